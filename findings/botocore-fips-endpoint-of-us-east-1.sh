#!/usr/bin/env bash
# botocore 1.44.5: with use_fips_endpoint in us-east-1, client.meta.endpoint_url of S3 is a host that does not exist,
# s3-fips.aws-global.amazonaws.com; requests go to s3-fips.us-east-1.amazonaws.com. In other regions both agree.
# Guessed: client.meta.endpoint_url is where the client sends its requests.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from urllib.parse import urlsplit

import boto3
import botocore
from botocore.config import Config

print("botocore", botocore.__version__)
seen = {}
for region in ("us-east-1", "us-west-2"):
    client = boto3.client(
        "s3",
        region_name=region,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(use_fips_endpoint=True, s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
    signed = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    seen[region] = (urlsplit(client.meta.endpoint_url).hostname, urlsplit(signed).hostname)
    print(f"{region}: meta.endpoint_url {seen[region][0]}, requests go to {seen[region][1]}")
as_before = seen == {
    "us-east-1": ("s3-fips.aws-global.amazonaws.com", "s3-fips.us-east-1.amazonaws.com"),
    "us-west-2": ("s3-fips.us-west-2.amazonaws.com", "s3-fips.us-west-2.amazonaws.com"),
}
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

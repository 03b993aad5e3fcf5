#!/usr/bin/env bash
# deltalake 1.6.6 and boto3 1.44.5 take the same S3 URI for different folders: delta-rs reads a URL, so it decodes %20,
# resolves ".." and "." and drops tabs; boto takes the key as it is written.
# Guessed: s3://bucket/a%20b/table is one folder, whoever writes there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, unquote_plus

import boto3
import deltalake
from botocore.config import Config


class Store(BaseHTTPRequestHandler):
    """Notes what is asked for; has nothing."""

    def do_GET(self):
        asked.append(self.path)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


asked = []
server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
options = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": url,
    "AWS_ALLOW_HTTP": "true",
}
client = boto3.client(
    "s3",
    endpoint_url=url,
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    region_name="us-east-1",
    config=Config(request_checksum_calculation="when_required"),
)


def folder_of_boto(name):
    asked.clear()
    client.put_object(Bucket="bucket", Key=f"{name}/table/note", Body=b"")
    return unquote(asked[0]).removeprefix("/bucket/").partition("/table/")[0]


def folder_of_delta_rs(name):
    asked.clear()
    try:
        deltalake.DeltaTable(f"s3://bucket/{name}/table", storage_options=options)
    except Exception:
        pass
    listed = next(path for path in asked if "prefix=" in path)
    return unquote_plus(listed.partition("prefix=")[2].partition("&")[0]).partition("/table/")[0]


print("deltalake", deltalake.__version__, "boto3", boto3.__version__)
expected = {"plain": "plain", "a%20b": "a b", "x/../y": "y", "x/./y": "x/y", "a\tb": "ab"}
seen = {}
for name in expected:
    seen[name] = (folder_of_boto(name), folder_of_delta_rs(name))
    print(f"s3://bucket/{name!r}: boto {seen[name][0]!r}, delta-rs {seen[name][1]!r}")
as_before = seen == {name: (name, other) for name, other in expected.items()}
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

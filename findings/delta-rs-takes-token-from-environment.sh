#!/usr/bin/env bash
# deltalake 1.6.6 takes any environment variable whose name, in any letter case, is one of its storage options for an
# option, also names without AWS_: TOKEN is sent to S3 as the session token of keys that were given explicitly, and
# TIMEOUT=30 (no unit) stops every table from being opened.
# Guessed: with explicit keys in storage_options nothing is taken from the environment, or only from AWS_ names.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6
"$folder/venv/bin/python" - <<'PYTHON'
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import deltalake

tokens = []


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        tokens.append(self.headers.get("x-amz-security-token"))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    "AWS_ALLOW_HTTP": "true",
}


def open_with(name, value):
    tokens.clear()
    os.environ[name] = value
    try:
        deltalake.DeltaTable("s3://bucket/table", storage_options=options)
    except Exception as error:
        text = " ".join(str(error).split())
    del os.environ[name]
    return sorted({str(token) for token in tokens}), text


print("deltalake", deltalake.__version__)
seen = {}
for name, value in (("TOKEN", "of-some-other-tool"), ("token", "lower-case"), ("TIMEOUT", "30")):
    seen[name] = open_with(name, value)
    print(f"{name}={value}: session tokens that S3 got: {seen[name][0]}; {seen[name][1][-90:]}")
as_before = (
    seen["TOKEN"][0] == ["of-some-other-tool"]
    and seen["token"][0] == ["lower-case"]
    and "failed to parse" in seen["TIMEOUT"][1]
)
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

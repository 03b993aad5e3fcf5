#!/usr/bin/env bash
# deltalake 1.6.6: below a folder with a space (or a letter outside ASCII) the log is listed under its right key,
# and _last_checkpoint is asked for under another (a space becomes %2520). So it is never found, and each open lists
# the whole log.
# Guessed: both are keys below the same folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, unquote_plus

import deltalake


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


def folders(name):
    """Folder whose log is listed, and folder in which the last checkpoint is looked for."""
    asked.clear()
    try:
        deltalake.DeltaTable(f"s3://bucket/{name}/table", storage_options=options)
    except Exception:
        pass
    listed = next(path for path in asked if "prefix=" in path).partition("prefix=")[2].partition("&")[0]
    hint = next(path for path in asked if path.endswith("_last_checkpoint")).removeprefix("/bucket/")
    return unquote_plus(listed).partition("/table/")[0], unquote(hint).partition("/table/")[0]


print("deltalake", deltalake.__version__)
seen = {name: folders(name) for name in ("plain", "my folder", "m\u00fcnchen")}
for name, (listed, hint) in seen.items():
    print(f"{name!r}: the log is listed in {listed!r}, _last_checkpoint is looked for in {hint!r}")
as_before = seen == {
    "plain": ("plain", "plain"),
    "my folder": ("my folder", "my%2520folder"),
    "m\u00fcnchen": ("m\u00fcnchen", "m%25C3%25BCnchen"),
}
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

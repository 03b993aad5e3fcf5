#!/usr/bin/env bash
# deltalake 1.6.6: vacuum(retention_hours=25 days, full=True) deletes a file that was replaced 10 days ago, once a
# checkpoint lies in between: a checkpoint forgets replaced files after delta.deletedFileRetentionDuration (7 days by
# default), and a full vacuum then goes by the file's own age. The 10 days old version can't be read any more.
# Guessed: a vacuum that is told 25 days keeps what versions of the last 25 days need.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import sys
import time
from pathlib import Path

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

DAY = 86_400


def age(days):
    """Let the table be as if its last change had been so many days earlier."""
    for commit in Path("table/_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for action in actions:
            for body in action.values():
                for key in ("timestamp", "modificationTime", "deletionTimestamp"):
                    if key in body:
                        body[key] -= days * DAY * 1000
        commit.write_text("\n".join(map(json.dumps, actions)))
    then = time.time() - days * DAY
    for path in Path("table").rglob("*"):
        if path.is_file():
            moment = then if "_delta_log" in path.parts else path.stat().st_mtime - days * DAY
            os.utime(path, (moment, moment))


def try_it(properties):
    os.system("rm -rf table")
    write_deltalake("table", pa.table({"night": [1]}), configuration=properties)
    age(20)
    write_deltalake("table", pa.table({"night": [2]}), mode="overwrite")
    age(10)
    DeltaTable("table").create_checkpoint()
    gone = DeltaTable("table").vacuum(24 * 25, dry_run=False, enforce_retention_duration=False, full=True)
    return len(gone)


print("deltalake", deltalake.__version__)
plain = try_it({})
kept = try_it({"delta.deletedFileRetentionDuration": "interval 25 days"})
print("vacuum of 25 days, a file that was replaced 10 days ago:")
print("  without table property:", plain, "file deleted")
print("  with delta.deletedFileRetentionDuration = 25 days:", kept, "files deleted")
as_before = (plain, kept) == (1, 0)
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

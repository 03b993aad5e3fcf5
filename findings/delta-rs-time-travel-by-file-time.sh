#!/usr/bin/env bash
# deltalake 1.6.6: load_as_version(moment) goes by when the files of the log were last modified, not by the time that
# each commit holds. After the table was copied or restored from a backup, a moment between two commits gives another
# version than it gave before the copy, without an error.
# Guessed: the version that was current at that moment, which the commits themselves tell.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import datetime as dt
import shutil
import sys
import time

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

between = []
for number in range(3):
    write_deltalake("table", pa.table({"a": [number]}), mode="overwrite")
    time.sleep(0.2)
    between.append(dt.datetime.now(dt.timezone.utc))
    time.sleep(0.2)
shutil.copytree("table", "copy", copy_function=shutil.copyfile)


def versions(where):
    found = []
    for moment in between:
        table = DeltaTable(where)
        table.load_as_version(moment)
        found.append(table.version())
    return found


print("deltalake", deltalake.__version__)
original, copied = versions("table"), versions("copy")
commits = [entry["timestamp"] for entry in DeltaTable("copy").history()]
print("moments after commit 0, 1 and 2:")
print("  in the table:", original)
print("  in its copy, whose commits hold the same times:", copied)
as_before = original == [0, 1, 2] and copied == [0, 0, 0] and len(set(commits)) == 3
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

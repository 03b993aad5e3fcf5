#!/usr/bin/env bash
# deltalake 1.6.6: a vacuum lists files that an earlier vacuum deleted as deleted once more, and notes that in two more
# commits, each time, until a checkpoint forgets them. A vacuum every night so makes a table's log grow for nothing,
# and its result does not tell how many files it removed.
# Guessed: a second vacuum right after the first finds nothing to do and commits nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

for number in range(4):
    write_deltalake("table", pa.table({"a": [number]}), mode="overwrite")


def vacuum():
    gone = DeltaTable("table").vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    return len(gone), DeltaTable("table").version()


print("deltalake", deltalake.__version__)
results = [(0, DeltaTable("table").version()), vacuum(), vacuum(), vacuum()]
for deleted, version in results:
    print(f"files deleted: {deleted}, version of the table: {version}")
as_before = results == [(0, 3), (3, 5), (3, 7), (3, 9)]
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

#!/usr/bin/env bash
# deltalake 1.6.6 reads a table with column mapping (reader version 2, columns that have other names in the files, as
# Spark makes it) through PyArrow without an error, as NULL in every column; its own QueryBuilder reads the values.
# Guessed: the values, or a refusal as it gives where the feature is listed by name (reader version 3).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from pathlib import Path

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

# A file whose column is called col-1, and a log that says: col-1 is what people call "tier".
write_deltalake("table", pa.table({"col-1": ["gold", "silver"]}))
log = Path("table/_delta_log/00000000000000000000.json")
actions = [json.loads(line) for line in log.read_text().splitlines()]
for action in actions:
    if "protocol" in action:
        action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
    if "metaData" in action:
        schema = json.loads(action["metaData"]["schemaString"])
        schema["fields"][0] |= {
            "name": "tier",
            "metadata": {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"},
        }
        action["metaData"]["schemaString"] = json.dumps(schema)
        action["metaData"]["configuration"] = {
            "delta.columnMapping.mode": "name",
            "delta.columnMapping.maxColumnId": "1",
        }
    if "add" in action:
        action["add"].pop("stats", None)
log.write_text("\n".join(map(json.dumps, actions)))

print("deltalake", deltalake.__version__)
table = DeltaTable("table")
through_arrow = table.to_pyarrow_table()["tier"].to_pylist()
rows = QueryBuilder().register("t", table).execute("SELECT tier FROM t ORDER BY tier")
by_query = pa.table(rows.read_all() if hasattr(rows, "read_all") else rows)["tier"].to_pylist()
print("to_pyarrow_table:", through_arrow)
print("QueryBuilder:", by_query)
as_before = (through_arrow, by_query) == ([None, None], ["gold", "silver"])
print("as described" if as_before else "CHANGED")
sys.exit(not as_before)
PYTHON

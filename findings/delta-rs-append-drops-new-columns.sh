#!/usr/bin/env bash
# delta-rs: a write transaction of Parquet files (create_write_transaction) is handed the schema of what it writes. With
# mode="overwrite" a column that the table does not have yet is added to it. With mode="append" it is not, and nobody is
# told: the commit succeeds, the file with the column is in the table, and the table's schema stays without it, so that
# no reader ever sees its values.
# Seen while taking files into a table that a task had written itself. Exits with 1 if that is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/add_a_column.py" <<'PYTHON'
import sys
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.transaction import AddAction


def columns_after(home: Path, mode: str) -> list[str]:
    uri = str(home / mode)
    write_deltalake(uri, pa.table({"id": [1]}))
    wider = pa.table({"id": [2], "city": ["Ede"]})
    pq.write_table(wider, Path(uri) / "more.parquet")
    size = (Path(uri) / "more.parquet").stat().st_size
    DeltaTable(uri).create_write_transaction(
        [AddAction("more.parquet", size, {}, 0, True, "{}")], mode=mode, schema=Schema.from_arrow(wider.schema)
    )
    table = DeltaTable(uri)
    print(f"delta-rs {deltalake.__version__}, {mode}: version {table.version()}, {len(table.file_uris())} file(s), "
          f"columns {[field.name for field in table.schema().fields]}")
    return [field.name for field in table.schema().fields]


home = Path(sys.argv[1])
sys.exit(0 if (columns_after(home, "append"), columns_after(home, "overwrite")) == (["id"], ["id", "city"]) else 1)
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
"$folder/venv/bin/python" "$folder/add_a_column.py" "$folder"

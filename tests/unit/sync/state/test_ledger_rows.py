"""The rows of the ledger as a delta reads them."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.database import connect
from tests.support.commits import A, B, ledger_of
from tests.support.core import engine, stored_ledger


def test_one_partition_is_loaded_with_the_fields_asked_for(tmp_path: Path) -> None:
    stored_ledger(
        tmp_path,
        [{"identifier": A, "field_x": "1"}, {"identifier": B, "partition": 1, "field_x": "2"}],
        partitions=2,
    )

    with connect(engine(tmp_path)) as connection:
        ledger_of(tmp_path).load(connection, 1, ["field_new"])
        rows = connection.execute("SELECT identifier, field_x, field_new FROM ledger").fetchall()

    assert rows == [(B, "2", None)]

"""The records of a delta come out as the SQL of the target makes them, whatever is in them."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.sending.delta_records import open_records
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def objects(source: str, _: object) -> str:
    return f"SELECT identifier, body, repeatable FROM {source}"


def plain(source: str, _: object) -> str:
    return f"SELECT identifier, body FROM {source}"


def write_delta(folder: Path, rows: list[tuple[str, str, bool]]) -> Path:
    file = folder / "delta.parquet"
    columns = list(zip(*rows, strict=True)) or [[], [], []]
    table = pa.table(
        {
            "identifier": pa.array(columns[0], pa.string()),
            "body": pa.array(columns[1], pa.string()),
            "repeatable": pa.array(columns[2], pa.bool_()),
        }
    )
    pq.write_table(table, file, row_group_size=7)
    return file


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=40))
def test_records_in_columns_are_those_that_a_query_returns_one_by_one(rows: list[tuple[str, str, bool]]) -> None:
    rows = [(f"{number}-{identifier}", body, repeatable) for number, (identifier, body, repeatable) in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        file = write_delta(Path(folder), rows)
        engine = Engine(Path(folder) / "work")
        with connect(engine) as connection:
            one_by_one = connection.execute(objects(f"read_parquet('{file}')", ())).fetchall()

        total, records = open_records(engine, file, (), objects)
        with closing(records):
            found = [record for chunk in records for record in chunk]

    assert total == len(rows)
    assert sorted(found) == sorted(Outgoing(who, body.encode(), repeatable) for who, body, repeatable in one_by_one)


def test_a_delta_of_many_chunks_comes_whole_and_all_of_it_may_be_repeated(tmp_path: Path) -> None:
    file = write_delta(tmp_path, [(f"p{number}", "x" * (number % 50), True) for number in range(20_000)])

    total, records = open_records(Engine(tmp_path / "work"), file, (), plain)
    chunks = list(records)

    assert total == 20_000
    assert len(chunks) > 1
    assert all(chunk.all_repeatable for chunk in chunks)
    assert {record.identifier: len(record.body) for chunk in chunks for record in chunk} == {
        f"p{number}": number % 50 for number in range(20_000)
    }

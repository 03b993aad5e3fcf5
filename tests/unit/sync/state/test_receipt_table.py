"""The receipts table, for good."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.state.receipt_summary import summarise
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.told_receipts import OPEN_INTENT
from tests.support.core import engine, person
from tests.support.receipts import MOMENT, part, receipt


def delta_file(folder: Path, **people: dict[str, str | None]) -> Path:
    """A delta file: person → target → JSON text."""
    targets = list(dict.fromkeys(target for fields in people.values() for target in fields))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'-'.join(people)}.parquet"
    columns = {field_column(target): [fields.get(target) for fields in people.values()] for target in targets}
    table = pa.table({"identifier": [person(who) for who in people], **columns})
    pq.write_table(table, path)
    return path


def committed(folder: Path) -> list[dict[str, Any]]:
    rows = DeltaTable(str(folder / "receipts")).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: (row["identifier"], row["sent_at"]))


def commit(folder: Path, delta: list[Path], parts: list[Path], *, delta_id: str = "d1") -> bool:
    rows = summarise(engine(folder), parts).receipts
    return ReceiptTable(str(folder / "receipts"), {}).commit(
        engine(folder),
        run_key="run-1",
        delta_id=delta_id,
        delta=dict(enumerate(delta)),
        parts=parts,
        receipt_rows=rows,
        folder=folder,
    )


def test_the_table_says_who_was_sent_what_when_and_with_what_outcome(tmp_path: Path) -> None:
    one = delta_file(tmp_path, a={'Say "hi"': '"Zoë"', "points": "42"}, b={'Say "hi"': "null", "points": None})
    other = delta_file(tmp_path, c={"tags": '["x","y"]'})

    path = part(tmp_path, "first", receipt("a"), receipt("b", "rejected", "is bad", minute=1), receipt("c", minute=2))
    assert commit(tmp_path, [one, other], [path]) is True

    rows = committed(tmp_path)
    assert rows[1] == {
        "identifier": person("b"),
        "run_key": "run-1",
        "delta_id": "d1",
        "outcome": "rejected",
        "reason": "is bad",
        "status": 201,
        "sent_at": MOMENT + dt.timedelta(minutes=1),
        "refused_fields": None,
        "fields": '{"Say \\"hi\\"":null}',
    }
    assert [json.loads(row["fields"]) for row in rows] == [
        {'Say "hi"': "Zoë", "points": 42},
        {'Say "hi"': None},
        {"tags": ["x", "y"]},
    ]
    assert rows[0]["fields"] == '{"Say \\"hi\\"":"Zoë","points":42}'


def test_the_table_holds_outcomes_and_no_intents_and_of_a_sum_what_was_added(tmp_path: Path) -> None:
    path = tmp_path / "delta.parquet"
    columns = {"field_revenue": ['["12"]', '["7"]'], "increase_revenue": ['["5"]', None], "field_city": [None, '["x"]']}
    pq.write_table(pa.table({"identifier": [person("a"), person("b")], **columns}), path)
    receipts = part(
        tmp_path,
        "first",
        *[receipt("a", "intended")],
        *[receipt("b", "intended"), receipt("b", minute=1)._replace(refused_fields=("city",))],
    )

    assert commit(tmp_path, [path], [receipts]) is True

    rows = committed(tmp_path)
    assert [(row["outcome"], row["reason"], row["refused_fields"]) for row in rows] == [
        ("unknown", OPEN_INTENT, None),
        ("accepted", "", ["city"]),
    ]
    assert [json.loads(row["fields"]) for row in rows] == [{"revenue": ["5"]}, {"city": ["x"]}]


def test_what_may_have_been_sent_is_dated_by_the_last_time_and_named_as_the_target_names_it(tmp_path: Path) -> None:
    intents = [receipt("a", outcome, minute=n) for n, outcome in enumerate(["intended", "withdrawn", "intended"])]

    commit(tmp_path, [delta_file(tmp_path, a={"Größe": '"4"'})], [part(tmp_path, "first", *intents)])

    (row,) = committed(tmp_path)
    assert (row["outcome"], row["sent_at"]) == ("unknown", MOMENT + dt.timedelta(minutes=2))
    assert row["fields"] == '{"Größe":"4"}'


def test_a_table_of_an_older_version_gets_the_new_column(tmp_path: Path) -> None:
    delta = delta_file(tmp_path, a={"vip": "true"}, b={"vip": "true"})
    commit(tmp_path, [delta], [part(tmp_path, "first", receipt("a"))])
    rows = DeltaTable(str(tmp_path / "receipts")).to_pyarrow_table().drop_columns(["refused_fields"])
    write_deltalake(str(tmp_path / "receipts"), rows, mode="overwrite", schema_mode="overwrite")

    second = part(tmp_path, "second", receipt("b")._replace(refused_fields=("vip",)))
    assert commit(tmp_path, [delta], [second], delta_id="d2") is True

    assert [row["refused_fields"] for row in committed(tmp_path)] == [None, ["vip"]]


@pytest.mark.promise(1)
def test_committing_twice_is_committing_once(tmp_path: Path) -> None:
    delta, path = delta_file(tmp_path, a={"vip": "true"}), part(tmp_path, "first", receipt("a"))

    assert commit(tmp_path, [delta], [path]) is True
    assert commit(tmp_path, [delta], [path]) is False

    assert len(committed(tmp_path)) == 1


@pytest.mark.promise(1)
def test_with_more_parts_only_what_came_on_top_is_added(tmp_path: Path) -> None:
    delta = delta_file(tmp_path, a={"vip": "true"}, b={"vip": "true"})
    first = part(tmp_path, "first", receipt("a"), receipt("b", "unknown", "lost"))
    second = part(tmp_path, "second", receipt("b", minute=5))
    commit(tmp_path, [delta], [first])

    assert commit(tmp_path, [delta], [first, second]) is True
    assert commit(tmp_path, [delta], [first, second]) is False

    assert [(row["identifier"], row["outcome"]) for row in committed(tmp_path)] == [
        (person("a"), "accepted"),
        (person("b"), "unknown"),
        (person("b"), "accepted"),
    ]


def test_two_deltas_of_one_run_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    delta = delta_file(tmp_path, a={"vip": "true"})
    commit(tmp_path, [delta], [part(tmp_path, "first", receipt("a"))])

    assert commit(tmp_path, [delta], [part(tmp_path, "second", receipt("a"))], delta_id="d2") is True

    assert sorted(row["delta_id"] for row in committed(tmp_path)) == ["d1", "d2"]


def test_without_parts_there_is_nothing_to_commit(tmp_path: Path) -> None:
    assert commit(tmp_path, [delta_file(tmp_path, a={"vip": "true"})], []) is False
    assert not (tmp_path / "receipts").exists()

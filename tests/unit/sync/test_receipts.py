"""Receipts: parts while an upload runs, and the table for good."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.receipts import (
    OPEN_INTENT,
    PartReceipts,
    Receipt,
    ReceiptSummary,
    ReceiptTable,
    best_receipts,
    settled_identifiers,
    summarise,
)
from tests.support.core import engine, person
from tests.support.targets import ReceiptFiles

WHOLE = {"refused_fields": None}
MOMENT = dt.datetime(2026, 11, 3, 4, 5, 6, 789, tzinfo=dt.UTC)


def receipt(who: str, outcome: Any = "accepted", reason: str = "", *, minute: int = 0) -> Receipt:
    return Receipt(person(who), outcome, reason, 201, MOMENT + dt.timedelta(minutes=minute))


def part(folder: Path, name: str, *receipts: Receipt) -> Path:
    """A part as an attempt of an upload leaves it."""
    files = ReceiptFiles(folder / name)
    parts = PartReceipts(folder / name / "local", attempt=name, publish=files.publish)
    parts.add(receipts)
    parts.flush()
    (path,) = files.folder.iterdir()
    return path


# Parts


def test_a_flush_makes_durable_what_came_since_the_last_one(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)

    parts.add([receipt("a"), receipt("b", "rejected", "bad")])
    assert len(parts) == 2
    assert parts.flush() == 2
    assert len(parts) == 0
    parts.add([Receipt(person("c"), "unknown", "lost", None, MOMENT)])
    assert parts.flush() == 1

    assert [path.name for path in sorted(files.folder.iterdir())] == ["first-00000.parquet", "first-00001.parquet"]
    assert files.rows() == [
        {"identifier": person("a"), "outcome": "accepted", "reason": "", "status": 201, "sent_at": MOMENT, **WHOLE},
        {"identifier": person("b"), "outcome": "rejected", "reason": "bad", "status": 201, "sent_at": MOMENT, **WHOLE},
        {"identifier": person("c"), "outcome": "unknown", "reason": "lost", "status": None, "sent_at": MOMENT, **WHOLE},
    ]


def test_a_flush_of_nothing_writes_nothing(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)

    assert PartReceipts(tmp_path / "local", attempt="first", publish=files.publish).flush() == 0
    assert files.tries == 0


def test_no_local_file_is_left_behind(tmp_path: Path) -> None:
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=ReceiptFiles(tmp_path).publish)
    parts.add([receipt("a")])

    parts.flush()

    assert list((tmp_path / "local").iterdir()) == []


@pytest.mark.promise(2)
def test_a_flush_that_fails_forgets_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path, fail=lambda number: number == 0)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)
    parts.add([receipt("a")])

    with pytest.raises(OSError, match="bucket"):
        parts.flush()
    assert len(parts) == 1
    parts.add([receipt("b")])
    assert parts.flush() == 2

    assert [row["identifier"] for row in files.rows()] == [person("a"), person("b")]


@pytest.mark.promise(2)
def test_a_store_that_took_the_part_and_then_failed_has_each_receipt_once(tmp_path: Path) -> None:
    durable: dict[str, bytes] = {}

    def publish(path: Path) -> None:
        durable[path.name] = path.read_bytes()
        if len(durable) == 1 and not parts_failed:
            parts_failed.append(True)
            raise TimeoutError

    parts_failed: list[bool] = []
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=publish)
    parts.add([receipt("a")])
    with pytest.raises(TimeoutError):
        parts.flush()
    parts.add([receipt("b")])
    parts.flush()

    rows = [row for data in durable.values() for row in pq.read_table(pa.BufferReader(data)).to_pylist()]
    assert [row["identifier"] for row in rows] == [person("a"), person("b")]


@pytest.mark.promise(1)
def test_receipts_that_come_while_a_part_is_written_are_not_lost(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)
    done = threading.Event()

    def flush_all_the_time() -> None:
        while not done.is_set():
            parts.flush()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    flusher = threading.Thread(target=flush_all_the_time)
    try:
        flusher.start()
        for batch in range(400):
            parts.add(receipt(f"{batch}-{number}") for number in range(75))
    finally:
        done.set()
        flusher.join()
        sys.setswitchinterval(before)
    parts.flush()

    assert len({row["identifier"] for row in files.rows()}) == 400 * 75
    assert len(files.rows()) == 400 * 75


def test_a_second_flush_waits_for_the_one_under_way(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    published: list[str] = []

    def publish(path: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        published.append(path.name)

    parts = PartReceipts(tmp_path / "local", attempt="first", publish=publish)
    parts.add([receipt("a")])
    first = threading.Thread(target=parts.flush)
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=parts.flush)
    second.start()
    assert second.is_alive()
    assert len(parts) == 1
    go_on.set()
    second.join(10)

    assert published == ["first-00000.parquet"]
    first.join(10)


def test_a_receipt_does_not_show_the_person() -> None:
    shown = repr(receipt("secret", "rejected", "reason"))

    assert "secret" not in shown
    assert "rejected" in shown


# Reading parts


@pytest.mark.promise(2)
@pytest.mark.parametrize(("repeatable", "settled"), [(True, ["a", "b"]), (False, ["a", "b", "c"])])
def test_a_retry_leaves_out_who_has_an_outcome(tmp_path: Path, repeatable: bool, settled: list[str]) -> None:
    path = part(tmp_path, "first", receipt("a"), receipt("b", "rejected"), receipt("c", "unknown"))

    with duckdb.connect() as connection:
        rows = connection.execute(settled_identifiers([path], repeatable=repeatable)).fetchall()

    assert sorted(identifier for (identifier,) in rows) == [person(who) for who in settled]


@pytest.mark.promise(2)
def test_a_retry_holds_what_cannot_be_repeated_and_may_have_been_sent(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        *[receipt("killed", "intended")],
        *[receipt("done-nothing", "intended"), receipt("done-nothing", "withdrawn", minute=1)],
        *[receipt("done", "intended"), receipt("done", "accepted", minute=1)],
        *[receipt("lost", "intended"), receipt("lost", "unknown", "lost", minute=1)],
        *[receipt("again", outcome, minute=n) for n, outcome in enumerate(["intended", "withdrawn", "intended"])],
        receipt("gone", "not_found", "nobody"),
        receipt("refused", "no_consent", "no"),
    )

    with duckdb.connect() as connection:
        settled = {
            repeatable: sorted(
                json.loads(identifier)["external_id"]
                for (identifier,) in connection.execute(settled_identifiers([path], repeatable=repeatable)).fetchall()
            )
            for repeatable in (True, False)
        }

    assert settled[True] == ["done", "gone", "refused"]
    assert settled[False] == ["again", "done", "gone", "killed", "lost", "refused"]


@pytest.mark.promise(2)
def test_a_clock_that_was_set_back_does_not_withdraw_an_intent(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        receipt("a", "intended", minute=10),
        receipt("a", "withdrawn", minute=11),
        receipt("a", "intended", minute=5),
    )

    assert summarise(engine(tmp_path), [path]).outcomes == {"unknown": 1}


def test_an_intent_that_nothing_followed_is_an_unknown_outcome_with_a_reason(tmp_path: Path) -> None:
    path = part(tmp_path, "first", receipt("a", "intended"), receipt("b", "intended"), receipt("b", "withdrawn"))

    summary = summarise(engine(tmp_path), [path])

    assert summary == ReceiptSummary(1, {"unknown": 1}, {OPEN_INTENT: 1})


def test_people_accepted_without_a_field_are_counted_by_field(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        receipt("a")._replace(refused_fields=("city", "age"), reason="city: bad; age: bad"),
        receipt("b")._replace(refused_fields=("city",), reason="city: bad"),
        receipt("c"),
        receipt("d", "not_found", "nobody"),
    )

    summary = summarise(engine(tmp_path), [path])

    assert summary == ReceiptSummary(4, {"accepted": 3, "not_found": 1}, {}, {"city": 2, "age": 1})
    assert list(summary.refused_fields) == ["city", "age"], "what most people lack comes first"


def test_the_best_receipt_tells_reason_and_refused_fields(tmp_path: Path) -> None:
    first = part(tmp_path, "first", receipt("a", "unknown", "lost"), receipt("b", "no_consent", "no consent"))
    second = part(tmp_path, "second", receipt("a")._replace(refused_fields=("city",), reason="city: bad"))

    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM ({best_receipts([first, second])}) ORDER BY identifier").fetchall()

    assert rows == [
        (person("a"), 2, "accepted", "city: bad", 201, ["city"]),
        (person("b"), 1, "no_consent", "no consent", 201, None),
    ]


def test_parts_of_an_older_version_are_still_read(tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(part(tmp_path, "first", receipt("a"))).drop_columns(["refused_fields"]), old)
    new = part(tmp_path, "second", receipt("b"))

    assert summarise(engine(tmp_path), [old]).outcomes == {"accepted": 1}
    assert summarise(engine(tmp_path), [old, new]).outcomes == {"accepted": 2}


def test_people_are_counted_by_their_best_receipt(tmp_path: Path) -> None:
    first = part(
        tmp_path,
        "first",
        receipt("a", "unknown", "lost"),
        receipt("b", "unknown", "lost"),
        receipt("c", "rejected", "is bad"),
        receipt("d"),
    )
    second = part(tmp_path, "second", receipt("a"), receipt("b", "rejected", "is bad"))

    summary = summarise(engine(tmp_path), [first, second])

    assert summary == ReceiptSummary(6, {"accepted": 2, "rejected": 2}, {"is bad": 2})


def test_no_parts_are_no_receipts(tmp_path: Path) -> None:
    assert summarise(engine(tmp_path), []) == ReceiptSummary(0, {}, {})


# The table


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
        engine(folder), run_key="run-1", delta_id=delta_id, delta=delta, parts=parts, receipt_rows=rows
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

"""The ledger moves only to what the target acknowledged, once, and never under another writer's feet."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.exceptions import WriterConflict
from airflow_provider_braze_blueconic.sync.engine.database import connect
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_of
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.commits import COUNTED, DOUBT, A, B, C, D, commit, divide, ledger_of
from tests.support.core import acknowledged, day, engine, ledger_rows, person, stored_ledger


def loaded(folder: Path, partitions: int) -> dict[str, dict[str, Any]]:
    """Read all rows as a delta with that many partitions does, each with the partition in which it was met."""
    rows: dict[str, dict[str, Any]] = {}
    with connect(engine(folder)) as connection:
        for partition in range(partitions):
            ledger_of(folder).load(connection, partition, [], partitions=partitions)
            for row in connection.sql("SELECT * FROM ledger").to_arrow_table().to_pylist():
                name = row.pop("identifier")
                assert name not in rows
                rows[name] = {"partition": partition, **row}
    return rows


# What was seen in the target


@pytest.mark.promise(1)
def test_committing_what_was_noted_and_held_twice_changes_nothing(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": name, "field_n": '["5"]', "field_x": '["a"]'} for name in (A, B, C)])
    delta = {
        0: [
            {"identifier": A, "kind": "change", **COUNTED},
            {"identifier": B, "kind": "change", **COUNTED},
            {"identifier": C, "kind": "change", "to_send": False, "noted_x": '["c"]', "seen_as_of": day(3)},
        ]
    }
    receipts = [(A, "unknown", "timeout"), (B, "accepted", "no good", ["x"])]

    first = commit(tmp_path, delta, receipts)
    rows, version = ledger_rows(tmp_path), ledger_of(tmp_path).version
    second = commit(tmp_path, delta, receipts)

    assert (first, second) == (True, False)
    assert (ledger_rows(tmp_path), ledger_of(tmp_path).version) == (rows, version)


@pytest.mark.promise(1)
def test_attempts_do_not_grow_when_more_receipts_of_one_run_are_committed(tmp_path: Path) -> None:
    delta = {0: [{"identifier": name, "field_x": "1"} for name in (A, B)]}

    commit(tmp_path, delta, [(A, "accepted", "no good", ["x"])])
    commit(tmp_path, delta, [(A, "accepted", "no good", ["x"]), (B, "not_found")])

    assert {name: row["attempts"] for name, row in ledger_rows(tmp_path).items()} == {A: 1, B: 1}


def test_no_column_of_the_ledger_is_made_of_what_was_noted_or_added(tmp_path: Path) -> None:
    row = {"identifier": A, **COUNTED, "noted_n": None, "noted_x": None, "seen_as_of": None, "matching": "[]"}

    commit(tmp_path, {0: [row]}, [(A, "accepted")])

    assert [name for name in ledger_of(tmp_path).columns() if name.endswith(("_n", "_x"))] == ["field_n", "field_x"]
    assert "matching" not in ledger_of(tmp_path).columns()


@pytest.mark.promise(1)
def test_a_ledger_of_before_refusals_were_remembered_is_carried_on(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("identifier", pa.string()), ("partition", pa.int32()), ("as_of", pa.timestamp("us", tz="UTC")),
            ("in_segment", pa.bool_()), ("run_key", pa.string()), ("rejection", pa.string()), ("attempts", pa.int32()),
            ("refused_hash", pa.string()), ("field_x", pa.string()),
        ]
    )  # fmt: skip
    plain = {"partition": 0, "as_of": day(1), "in_segment": True, "run_key": "earlier", "attempts": 0, "field_x": "1"}
    old = pa.Table.from_pylist([{"identifier": name, **plain} for name in (A, B)], schema=schema)
    ledger_of(tmp_path).replace_partitions(old.to_reader(), [0], transactions={"partitions": 1})

    commit(tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2"}]}, [(A, "not_found")])

    rows = ledger_rows(tmp_path)
    assert (rows[A]["field_x"], rows[A]["refused_as"]) == ("1", "not_found")
    assert (rows[B]["field_x"], rows[B]["refused_as"], rows[B]["tried_at"]) == ("1", None, None)
    assert divide(tmp_path, 3)
    assert {name: row["refused_as"] for name, row in ledger_rows(tmp_path).items()} == {A: "not_found", B: None}


# Twice is once


@pytest.mark.promise(1)
def test_committing_twice_is_committing_once(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": "1"}]}
    receipts = [(A, "accepted"), (B, "rejected", "no good")]

    first = commit(tmp_path, delta, receipts)
    rows, version = ledger_rows(tmp_path), ledger_of(tmp_path).version
    second = commit(tmp_path, delta, receipts)

    assert (first, second) == (True, False)
    assert ledger_rows(tmp_path) == rows
    assert ledger_of(tmp_path).version == version


@pytest.mark.promise(1)
def test_receipts_that_come_on_top_are_committed_and_the_others_not_again(tmp_path: Path) -> None:
    delta = {0: [{"identifier": name, "field_x": "1"} for name in (A, B, C)]}

    first = commit(tmp_path, delta, [(A, "accepted"), (B, "rejected", "no good")])
    only_two = ledger_rows(tmp_path)
    second = commit(tmp_path, delta, [(A, "accepted"), (B, "rejected", "no good"), (C, "accepted")])

    assert (first, second) == (True, True)
    assert sorted(only_two) == [A, B]
    rows = ledger_rows(tmp_path)
    assert rows.pop(C)["field_x"] == "1"
    assert rows == only_two


def test_a_delta_without_receipts_is_committed_once_too(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "kind": "leave", "to_send": False}]}

    assert [commit(tmp_path, delta, []), commit(tmp_path, delta, [])] == [True, False]


@pytest.mark.promise(4)
def test_the_newest_committed_version_never_goes_back(tmp_path: Path) -> None:
    assert ledger_of(tmp_path).newest_as_of() is None

    for number, read_on in enumerate((2, 5, 3)):
        commit(tmp_path, {}, [], delta_id=f"d{number}", as_of=day(read_on))

    assert ledger_of(tmp_path).newest_as_of() == day(5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"merge:field_n": 1}, {"merge:field_n": 2}, id="another merge"),
        pytest.param({"merge:field_n": 3, "source:field_n": 7}, {"merge:field_n": 3, "source:field_n": 8}, id="source"),
    ],
)
def test_what_changes_of_a_field_that_nobody_has_yet_puts_nothing_in_doubt(
    before: dict[str, int], after: dict[str, int], tmp_path: Path
) -> None:
    delta = {0: [{"identifier": A, "field_x": "1"}]}
    commit(tmp_path, delta, [(A, "accepted")], settings=before)

    assert commit(tmp_path, delta, [(A, "accepted")], delta_id="d2", settings=after)

    assert ledger_rows(tmp_path)[A]["field_x"] == "1"


def test_a_first_run_without_anybody_makes_a_table_with_partitions(tmp_path: Path) -> None:
    commit(tmp_path, {}, [], partitions=4)

    table = deltalake.DeltaTable(str(tmp_path / "ledger"))
    assert table.metadata().partition_columns == ["partition"]
    assert ledger_rows(tmp_path) == {}


# Two writers


def outcome_of(folder: Path, name: str, identifier: str) -> Any:
    return acknowledged(
        folder / name, {0: [{"identifier": identifier, "field_x": f'"{name}"'}]}, [(identifier, "accepted")],
        delta_id=name,
    )  # fmt: skip


@pytest.mark.parametrize("there", [pytest.param(True, id="ledger exists"), pytest.param(False, id="first runs")])
@pytest.mark.promise(1)
def test_of_two_writers_the_slower_one_changes_nothing_and_may_try_again(there: bool, tmp_path: Path) -> None:
    if there:
        stored_ledger(tmp_path, [{"identifier": C, "field_x": "1"}])
    fast, slow = ledger_of(tmp_path), ledger_of(tmp_path)
    assert (fast.exists, slow.exists) == (there, there)

    fast.commit(engine(tmp_path), outcome_of(tmp_path, "fast", A))
    after_the_fast_one = ledger_rows(tmp_path)
    with pytest.raises(WriterConflict, match=r"this one changed nothing\. Run it again\."):
        slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))

    assert ledger_rows(tmp_path) == after_the_fast_one
    assert slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))
    assert {name: row["field_x"] for name, row in ledger_rows(tmp_path).items()} == {
        A: '"fast"',
        B: '"slow"',
        **({C: "1"} if there else {}),
    }


def test_a_ledger_that_moved_is_not_divided(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    slow = ledger_of(tmp_path)
    assert slow.exists
    commit(tmp_path, {0: [{"identifier": B, "field_x": "1"}]}, [(B, "accepted")])

    with pytest.raises(WriterConflict):
        slow.commit(engine(tmp_path), acknowledged(tmp_path, {}, [], delta_id="d2", partitions=3))

    assert sorted(ledger_rows(tmp_path)) == [A, B]


def test_a_failed_commit_leaves_no_local_files_behind(tmp_path: Path) -> None:
    fast, slow = ledger_of(tmp_path), ledger_of(tmp_path)
    assert (fast.exists, slow.exists) == (False, False)
    fast.commit(engine(tmp_path), outcome_of(tmp_path, "fast", A))

    with pytest.raises(WriterConflict):
        slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))

    assert list(engine(tmp_path).folder.glob("ledger-*")) == []


# Partitions


@pytest.mark.parametrize("partitions", [1, 3, 7])
@pytest.mark.promise(1)
def test_another_number_of_partitions_keeps_every_row(partitions: int, tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(40)]
    stored_ledger(
        tmp_path,
        [
            {
                "identifier": name, "partition": partition_of(name, 4), "field_x": f'"{name[-3]}"',
                "rejection": "no good" if number % 5 == 0 else None, "attempts": number, "as_of": day(number % 9 + 1),
            }
            for number, name in enumerate(names)
        ],
        newest=day(9),
        partitions=4,
    )  # fmt: skip
    before = ledger_rows(tmp_path)

    assert divide(tmp_path, partitions)

    after = ledger_rows(tmp_path)
    assert {name: row["partition"] for name, row in after.items()} == {
        name: partition_of(name, partitions) for name in names
    }
    assert [{**row, "partition": 0} for row in after.values()] == [{**before[name], "partition": 0} for name in after]
    assert sorted(after) == sorted(before)
    assert ledger_of(tmp_path).newest_as_of() == day(9)
    assert deltalake.DeltaTable(str(tmp_path / "ledger")).metadata().partition_columns == ["partition"]
    assert loaded(tmp_path, partitions) == after


@pytest.mark.promise(1)
def test_a_ledger_of_other_partitions_is_read_as_the_goal_divides_it_now(tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(40)]
    stored_ledger(
        tmp_path,
        [{"identifier": name, "partition": partition_of(name, 4), "field_x": f'"{name[-3]}"'} for name in names],
        partitions=4,
    )
    version = ledger_of(tmp_path).version

    read = loaded(tmp_path, 7)

    assert {name: row["partition"] for name, row in read.items()} == {name: partition_of(name, 7) for name in names}
    assert ledger_of(tmp_path).version == version


@pytest.mark.promise(1)
def test_an_upload_that_ends_after_the_ledger_was_divided_anew_loses_nobody(tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(20)]
    stored_ledger(
        tmp_path,
        [{"identifier": name, "partition": partition_of(name, 2), "field_x": "1"} for name in names],
        partitions=2,
    )
    delta: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    for name in names[:10]:
        delta[partition_of(name, 2)].append({"identifier": name, "kind": "change", "field_x": "2"})
    late = acknowledged(tmp_path, delta, [(name, "accepted") for name in names[:10]], partitions=2)
    divide(tmp_path, 5)

    assert ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert {name: (row["field_x"], row["partition"]) for name, row in ledger_rows(tmp_path).items()} == {
        name: (DOUBT if number < 10 else "1", partition_of(name, 5)) for number, name in enumerate(names)
    }
    assert divide(tmp_path, 2)


# Who a row's person is


def test_released_people_are_tried_as_if_for_the_first_time_and_why_they_were_refused_stays(tmp_path: Path) -> None:
    books = {
        "rejection": "no good", "attempts": 5, "refused_hash": "h", "refused_as": "rejected", "tried_at": day(1),
        "unstuck": 1, "unstuck_hash": "u", "field_x": "1",
    }  # fmt: skip
    refused_as = {A: "rejected", B: "absent", C: "rejected", D: "absent"}
    rows = [
        {"identifier": name, "partition": partition_of(name, 3), **books, "refused_as": word}
        for name, word in refused_as.items()
    ]
    stored_ledger(tmp_path, rows, partitions=3)
    before, start = ledger_rows(tmp_path), dt.datetime.now(dt.UTC)
    assert ledger_of(tmp_path).released_at is None

    changed = ledger_of(tmp_path).release(engine(tmp_path), [A, B])

    again = {"attempts": 0, "refused_hash": None, "unstuck": None, "unstuck_hash": None}
    assert ledger_rows(tmp_path) == {
        A: {**before[A], **again},
        B: {**before[B], **again, "refused_as": None},
        C: before[C],
        D: before[D],
    }
    assert changed == len({partition_of(name, 3) for name in (A, B)})
    released_at = ledger_of(tmp_path).released_at
    assert released_at is not None
    assert start <= released_at <= dt.datetime.now(dt.UTC)


def test_released_people_stay_known_by_what_they_were(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "known_by": "m", "attempts": 5}])

    ledger_of(tmp_path).release(engine(tmp_path), [A])

    assert (ledger_rows(tmp_path)[A]["known_by"], ledger_rows(tmp_path)[A]["attempts"]) == ("m", 0)


# Tables


def test_a_table_is_read_as_it_was_when_it_was_first_looked_at(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    reader = ledger_of(tmp_path)
    version = reader.version

    commit(tmp_path, {0: [{"identifier": B, "field_x": "1"}]}, [(B, "accepted")])

    assert reader.version == version
    table = reader.open()
    assert table is not None
    assert table.to_pyarrow_table().num_rows == 1


def test_a_table_shows_no_credentials() -> None:
    assert repr(Ledger("s3://bucket/ledger", {"AWS_SECRET_ACCESS_KEY": "hush"})) == "Ledger('s3://bucket/ledger')"


def test_appending_makes_the_table_and_remembers_its_transaction(tmp_path: Path) -> None:
    from airflow_provider_braze_blueconic.sync.store.tables import Table

    table = Table(str(tmp_path / "rows"), {})
    assert (table.version, table.columns(), table.transaction("t")) == (None, [], None)

    table.append(pa.table({"a": ["1"]}), transactions={"t": 3})
    table.append(pa.table({"a": ["2"], "b": ["x"]}), transactions={"t": 4})

    assert (table.columns(), table.transaction("t"), table.transaction("other")) == (["a", "b"], 4, None)

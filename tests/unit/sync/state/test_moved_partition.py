"""The short way to a row of the ledger, and the long one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.database import connect, parquet_source
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.moved_partition import moved_partition
from airflow_provider_braze_blueconic.sync.state.moved_row import moved_sql
from airflow_provider_braze_blueconic.sync.state.outcome_fields import load_fields
from airflow_provider_braze_blueconic.sync.state.outcomes import load_outcomes, receipts_sql
from tests.support.commits import DOUBT, A, B, C, D, ledger_of
from tests.support.core import acknowledged, day, engine, stored_ledger

FIELDS = ["field_x", "field_y"]
TEXTS = st.sampled_from([None, "1", "2", "null", DOUBT])
HASHES = st.sampled_from([None, "h", "g"])
PEOPLE = st.sampled_from([None, "[]", '["a"]', '["b"]'])

LEDGER_ROW = st.fixed_dictionaries(
    {
        "field_x": TEXTS,
        "field_y": TEXTS,
        "as_of": st.sampled_from([None, day(1), day(3)]),
        "in_segment": st.sampled_from([None, True, False]),
        "run_key": st.sampled_from(["earlier", "run"]),
        "attempts": st.sampled_from([None, 0, 3]),
        "rejection": st.sampled_from([None, "no good"]),
        "refused_hash": HASHES,
        "refused_as": st.sampled_from([None, "rejected", "absent", "fields"]),
        "tried_at": st.sampled_from([None, day(1)]),
        "unstuck": st.sampled_from([None, 2]),
        "unstuck_hash": HASHES,
        "unproven": st.sampled_from([None, True, False]),
        "known_by": PEOPLE,
    }
)
DELTA_ROW = st.fixed_dictionaries(
    {
        # Most rows are as on most nights, so that partitions with none, some and all of the others come up.
        "kind": st.sampled_from(["insert", "change", "change", "change", "return", "leave", "move", "known"]),
        "to_send": st.sampled_from([True, True, True, False]),
        "as_of": st.just(day(2)),
        "field_x": TEXTS,
        "field_y": TEXTS,
    }
)
SELDOM = {
    "absent": st.sampled_from([None, True, False]),
    "noted_x": TEXTS,
    "noted_y": TEXTS,
    "increase_y": st.sampled_from([None, "1"]),
    "seen_as_of": st.sampled_from([None, day(1), day(4)]),
    "repair_hash": HASHES,
    "sticks": st.booleans(),
    "takes_over": st.booleans(),
    "crossed": st.sampled_from([None, [], ["field_x"]]),
    "known_by": PEOPLE,
    "matching": st.sampled_from([None, "m"]),
}
RECEIPTS = st.one_of(
    st.just([("accepted", "", None)]),
    st.lists(
        st.sampled_from(
            [
                ("accepted", "", None),
                ("accepted", "", []),
                ("accepted", "x: bad", ["x"]),
                ("rejected", "no good", None),
                ("not_found", "nobody", None),
                ("unknown", "lost", None),
                ("intended", "", None),
                ("withdrawn", "", None),
            ]
        ),
        max_size=2,
    ),
)


@st.composite
def deltas(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Identifier → row; the columns that only some deltas have are there for all or for none."""
    seldom = st.fixed_dictionaries(draw(st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in SELDOM.items()})))
    people = draw(st.lists(st.sampled_from([A, B, C]), min_size=1, unique=True))
    return {identifier: {**draw(DELTA_ROW), **draw(seldom)} for identifier in people}


Rows = Sequence[tuple[Any, ...]]


def all_ways(
    folder: Path,
    ledger: Sequence[Mapping[str, Any]],
    delta: Mapping[str, Mapping[str, Any]],
    receipts: Sequence[tuple[Any, ...]],
    **how: Any,
) -> tuple[Rows, Rows, Rows]:
    """A partition as the commit moves it, as the long way alone would, and as it would with a table a field."""
    if ledger:
        stored_ledger(folder, ledger)
    rows = [{"identifier": identifier, **row} for identifier, row in delta.items()]
    outcome: Acknowledged = acknowledged(folder, {0: rows}, receipts, **how)
    with_known_by = any("known_by" in row for row in [*ledger, *rows])
    with connect(engine(folder)) as connection:
        ledger = ledger_of(folder)
        ledger.attach(connection, ledger.fetch_files(0, folder), FIELDS, with_known_by=with_known_by)

        def found(moved: str) -> Rows:
            names = ", ".join(
                ["identifier", "as_of", "in_segment", "run_key", "rejection", "attempts", "refused_hash"]
                + ["refused_as", "tried_at", "unstuck", "unstuck_hash", "unproven", *FIELDS]
                + (["known_by"] if with_known_by else [])
            )
            return connection.execute(f"SELECT {names} FROM ({moved}) ORDER BY identifier").fetchall()

        def long_way(groups: Sequence[Sequence[str]]) -> Rows:
            load_outcomes(connection, outcome, 0, receipts=receipts_sql(connection, outcome, 0))
            sums = load_fields(connection, parquet_source([outcome.delta[0]]), groups, outcome.policy)
            return found(moved_sql(connection, groups, outcome, sums, with_known_by=with_known_by))

        moved = found(moved_partition(connection, outcome, 0, FIELDS, with_known_by=with_known_by))
        return moved, long_way([FIELDS]), long_way([[field] for field in FIELDS])


@pytest.mark.promise(1)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ledger=st.dictionaries(st.sampled_from([A, B, D]), LEDGER_ROW),
    delta=deltas(),
    told=st.lists(RECEIPTS, min_size=3, max_size=3),
    creates=st.sampled_from([None, 0, 1]),
)
def test_the_short_way_says_the_same_as_the_long_one(
    ledger: dict[str, dict[str, Any]],
    delta: dict[str, dict[str, Any]],
    told: list[list[tuple[str, str, list[str] | None]]],
    creates: int | None,
) -> None:
    # Of two receipts with the same outcome either may be the best one, so nobody has two such here.
    receipts = [
        (who, *each)
        for who, some in zip([A, B, C], told, strict=True)
        for each in {outcome: (outcome, *more) for outcome, *more in some}.values()
        if who in delta
    ]
    rows = [{"identifier": identifier, **row} for identifier, row in ledger.items()]

    with tempfile.TemporaryDirectory() as folder:
        moved, long_way, by_field = all_ways(
            Path(folder), rows, delta, receipts, settings={} if creates is None else {"creates": creates}
        )

    assert moved == long_way == by_field


def test_both_ways_are_taken_in_one_partition(tmp_path: Path) -> None:
    ledger = [{"identifier": name, "field_x": "1"} for name in (A, B, D)]
    delta = {name: {"kind": "change", "as_of": day(2), "field_x": "2", "field_y": None} for name in (A, B, C)}

    moved, long_way, by_field = all_ways(
        tmp_path, ledger, delta, [(A, "accepted"), (B, "rejected", "no good"), (C, "accepted")]
    )

    assert moved == long_way == by_field
    values = {row[0]: row[-2] for row in moved}
    assert values == {A: "2", B: "1", C: "2", D: "1"}


FULL_ROW = {
    "field_x": "1", "field_y": "1", "as_of": day(3), "in_segment": False, "run_key": "earlier", "attempts": 3,
    "rejection": "no good", "refused_hash": "h", "refused_as": "absent", "tried_at": day(1), "unstuck": 2,
    "unstuck_hash": "h", "unproven": True, "known_by": "[]",
}  # fmt: skip
TAKEN = {"kind": "change", "as_of": day(2), "field_x": "2", "field_y": None}


@pytest.mark.promise(1)
@pytest.mark.parametrize("creates", [None, 0, 1])
@pytest.mark.parametrize("refused_as", ["absent", "rejected"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        *({"kind": kind} for kind in ("insert", "return", "leave", "move", "known")),
        {"to_send": False},
        {"absent": True},
        {"absent": False},
        {"crossed": ["field_x"]},
        {"crossed": []},
        {"repair_hash": "h"},
        {"sticks": True},
        {"takes_over": True},
        {"noted_x": "5", "noted_y": "5"},
        {"increase_x": "1"},
        {"seen_as_of": day(4)},
        {"as_of": None, "seen_as_of": None},
        {"known_by": '["a"]'},
        {"known_by": None, "matching": "m"},
        {"matching": "m"},
    ],
    ids=str,
)
def test_what_a_delta_may_say_of_somebody_who_was_accepted_means_the_same_both_ways(
    more: dict[str, Any], refused_as: str, creates: int | None, tmp_path: Path
) -> None:
    """B is taken plainly beside A, so that both ways are gone."""
    empty = {name: None for name in more if name not in TAKEN and name not in ("sticks", "takes_over", "to_send")}
    delta = {A: {**TAKEN, **more}, B: {**TAKEN, **empty}}
    ledger = [{"identifier": name, **FULL_ROW, "refused_as": refused_as} for name in (A, B, D)]
    how = {} if creates is None else {"creates": creates}

    moved, long_way, by_field = all_ways(tmp_path, ledger, delta, [(A, "accepted"), (B, "accepted")], settings=how)

    assert moved == long_way == by_field

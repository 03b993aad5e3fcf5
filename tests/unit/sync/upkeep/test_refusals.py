"""Who was not taken, and whether the next run tries them again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.engine.partitions import partition_of
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.upkeep.identifier_texts import mask_identifier
from airflow_provider_braze_blueconic.sync.upkeep.refusals import Refusal, RestRules, list_refusals, release_people
from tests.support.core import day, engine, person, stored_ledger
from tests.support.staging import LocalStaging

IMPORT = RestRules(holds_back=True, max_attempts=3)
EXPORT = RestRules(holds_back=False, max_attempts=3)


def refused(who: str, outcome: str, **books: Any) -> dict[str, Any]:
    return {
        "identifier": person(who), "refused_as": outcome, "rejection": f"{outcome}, it said", "attempts": 1,
        "refused_hash": "h", "tried_at": day(2), "field_tier": '"gold"', **books,
    }  # fmt: skip


def workspace_with(tmp_path: Path, *rows: dict[str, Any], partitions: int = 1) -> Workspace:
    folder = GoalFolder(str(tmp_path), "goal")
    if rows:
        stored_ledger(tmp_path / "goal", rows, newest=day(2), partitions=partitions)
    return Workspace(LocalStaging(), folder, "command", engine(tmp_path))


def next_runs(workspace: Workspace, rules: RestRules, now: dt.datetime) -> list[str]:
    _, people = list_refusals(workspace, rules, now=now)
    return [each.next for each in people]


@pytest.mark.parametrize(
    ("row", "rules", "now", "then"),
    [
        pytest.param(refused("a", "rejected"), EXPORT, day(3), "retried", id="rejected"),
        pytest.param(
            refused("a", "rejected", attempts=3), EXPORT, day(30), "quarantined until a value changes", id="rejected too often"
        ),
        pytest.param(
            refused("a", "unknown", attempts=3), EXPORT, day(30), "quarantined until a value changes", id="unclear too often"
        ),
        pytest.param(
            refused("a", "rejected", attempts=3, refused_hash=None), EXPORT, day(3), "retried", id="released"
        ),
        pytest.param(
            refused("a", "not_found"), IMPORT, day(9) - dt.timedelta(seconds=1), "waits until 2026-11-09 or a change",
            id="not found",
        ),
        pytest.param(refused("a", "not_found"), IMPORT, day(9), "retried", id="not found a week ago"),
        pytest.param(
            refused("a", "not_found", attempts=9), IMPORT, day(30), "retried", id="not found is never for good"
        ),
        pytest.param(refused("a", "not_found"), EXPORT, day(3), "retried", id="exports hold nobody back"),
        pytest.param(refused("a", "fields"), IMPORT, day(3), "waits until 2026-11-09 or a change", id="without a field"),
        pytest.param(
            refused("a", None, rejection=None, attempts=0, unstuck=1, unstuck_hash="u"), EXPORT, day(3),  # type: ignore[arg-type]
            "not sent again if it differs again", id="put right",
        ),
    ],
)  # fmt: skip
def test_it_is_told_what_the_next_run_does(
    row: dict[str, Any], rules: RestRules, now: dt.datetime, then: str, tmp_path: Path
) -> None:
    workspace = workspace_with(tmp_path, row, {"identifier": person("taken"), "field_tier": '"gold"'})

    assert next_runs(workspace, rules, now) == [then]


def test_people_are_counted_by_outcome_and_listed_latest_first(tmp_path: Path) -> None:
    workspace = workspace_with(
        tmp_path,
        refused("a", "rejected", attempts=3),
        refused("b", "rejected", tried_at=day(3)),
        refused("c", "not_found", tried_at=day(1)),
    )

    counts, people = list_refusals(workspace, IMPORT, now=day(20), limit=2)

    assert counts == {("not_found", "retried"): 1, ("rejected", "not retried"): 1, ("rejected", "retried"): 1}
    assert people == [
        Refusal(person("b"), "rejected", "rejected, it said", day(3), 1, "retried"),
        Refusal(person("a"), "rejected", "rejected, it said", day(2), 3, "quarantined until a value changes"),
    ]


def test_without_a_ledger_nobody_was_refused(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path)

    assert list_refusals(workspace, IMPORT, now=day(3)) == ({}, [])
    assert release_people(workspace, None) == (0, 0)
    assert not (tmp_path / "goal" / "ledger").exists()


def rows_of(tmp_path: Path) -> dict[str, dict[str, Any]]:
    table = Ledger(str(tmp_path / "goal" / "ledger"), {}).open()
    assert table is not None
    return {row["identifier"]: row for row in table.to_pyarrow_table().to_pylist()}


@pytest.mark.promise(1)
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_release_changes_the_books_of_those_people_and_nothing_else(partitions: int, tmp_path: Path) -> None:
    rows = [
        {**row, "partition": partition_of(row["identifier"], partitions)}
        for row in (
            refused("a", "rejected", attempts=3),
            refused("b", "rejected", attempts=3, unstuck=1, unstuck_hash="u"),
            *({"identifier": person(f"p{number}"), "field_tier": '"gold"'} for number in range(20)),
        )
    ]
    workspace = workspace_with(tmp_path, *rows, partitions=partitions)
    before = rows_of(tmp_path)

    released = release_people(workspace, ["b"])

    after = rows_of(tmp_path)
    assert released == (1, 0)
    assert before.pop(person("b"))["attempts"] == 3
    assert {"attempts": 0, "refused_hash": None, "unstuck": None, "unstuck_hash": None}.items() <= after.pop(
        person("b")
    ).items()
    assert after == before
    ledger = Ledger(str(tmp_path / "goal" / "ledger"), {})
    assert (ledger.newest_as_of(), ledger.transaction("partitions")) == (day(2), partitions)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(["ann"], (1, 0), id="a value"),
        pytest.param(['{"user_alias":{"alias_name":"ann","alias_label":"crm"}}'], (1, 0), id="the whole text"),
        pytest.param(["crm"], (0, 1), id="a label names nobody"),
        pytest.param(["an"], (0, 1), id="a part of a value"),
        pytest.param(["ann", "ann", "nobody"], (1, 1), id="twice and nobody"),
    ],
)
def test_people_are_found_by_their_own_values(wanted: list[str], found: tuple[int, int], tmp_path: Path) -> None:
    identifier = '{"user_alias":{"alias_name":"ann","alias_label":"crm"}}'
    workspace = workspace_with(tmp_path, refused("x", "rejected", identifier=identifier))

    assert release_people(workspace, wanted) == found


@pytest.mark.parametrize(
    ("identifier", "masked"),
    [
        ('{"external_id":"u-1017"}', '{"external_id":"u…7 (6)"}'),
        ('{"external_id":"abcd"}', '{"external_id":"… (4)"}'),
        (
            '{"user_alias":{"alias_name":"ann@acme.example","alias_label":"crm"}}',
            '{"user_alias":{"alias_name":"a…e (16)","alias_label":"crm"}}',
        ),
        ('{"id":"email","value":"bo@acme.example"}', '{"id":"email","value":"b…e (15)"}'),
    ],
    ids=["external_id", "a short one", "alias", "condition"],
)
def test_a_masked_identifier_names_nobody(identifier: str, masked: str) -> None:
    assert mask_identifier(identifier) == masked


def test_a_refusal_shows_nobody_in_a_trace() -> None:
    refusal = Refusal(person("ann"), "rejected", "is not valid", day(1), 1, "retried")

    assert "ann" not in repr(refusal)

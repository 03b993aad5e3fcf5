"""Imports as whole runs, and imports and exports of the same fields side by side."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, SyncError
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict
from airflow_provider_braze_blueconic.sync.state.open_uploads import mark_open
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Receipt
from airflow_provider_braze_blueconic.sync.steps.guard import GuardLimits, guard_delta
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import WRITES_FOR, BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Killed, Life

HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


def rows_of(home: Path, goal_id: str, name: str) -> list[dict[str, Any]]:
    return list(DeltaTable(str(home / "staging" / goal_id / name)).to_pyarrow_table().to_pylist())


def braze_of_two() -> Braze:
    return Braze(
        u1={"tier": "gold", "points": 7, "tags": ["a", "b"], "spent": 12.5, "city": None, "nick": "Ann"},
        u2={"tier": "silver", "points": 3, "tags": ["c"], "spent": 0.1, "city": "Ede", "nick": "Bo"},
    )


def blueconic_of_two() -> BlueConic:
    return BlueConic(
        {"crm_id": ["u1"], "level": ["bronze"], "tags": ["z"], "spent": ["100"], "city": ["Assen"], "nick": ["Annie"]},
        {"crm_id": ["u2"]},
        types={"points": "RANGE", "spent": "DECIMAL"},
    )


class Silent:
    """A target that does what it is asked, and never answers."""

    def __init__(self, target: Braze) -> None:
        self._target = target

    async def send(self, body: bytes) -> Reply:
        await self._target.send(body)
        return Reply(Verdict.UNKNOWN, None, sentence="no answer came")


EVERY_MERGE = [
    ("custom_attributes.tier", "level"),
    ("custom_attributes.points", "points", {"merge": "set"}),
    ("custom_attributes.tags", "tags", {"merge": "add"}),
    ("custom_attributes.spent", "spent", {"merge": "sum", "of": "increase"}),
    ("custom_attributes.city", "city", {"merge": "set_or_clear"}),
    ("custom_attributes.nick", "nick", {"merge": "set_if_empty"}),
]


def import_of(braze: Braze, blueconic: BlueConic, *fields: Any, **how: Any) -> ImportGoalOf:
    return ImportGoalOf("users_to_blueconic", braze, blueconic, fields or EVERY_MERGE, **how)


# A night, and the next


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_night_brings_every_field_as_its_merge_says(partitions: int, tmp_path: Path) -> None:
    blueconic = blueconic_of_two()

    night = Run(tmp_path, import_of(braze_of_two(), blueconic), day(1), partitions=partitions).run()

    assert blueconic.profiles == [
        {
            "crm_id": ["u1"], "level": ["gold"], "tags": ["a", "b", "z"], "spent": ["112.5"], "city": [],
            "nick": ["Annie"], "points": ["7"],
        },
        {
            "crm_id": ["u2"], "level": ["silver"], "tags": ["c"], "spent": ["0.1"], "city": ["Ede"], "nick": ["Bo"],
            "points": ["3"],
        },
    ]  # fmt: skip
    assert (night.report["status"], night.report["accepted"], night.report["fields"]) == ("success", 2, 12)


@pytest.mark.promise(2)
def test_a_second_night_without_changes_sends_nothing(tmp_path: Path) -> None:
    blueconic = blueconic_of_two()
    goal = import_of(braze_of_two(), blueconic)
    Run(tmp_path, goal, day(1)).run()
    writes = blueconic.writes.copy()

    second = Run(tmp_path, goal, day(2)).run()

    assert blueconic.writes == writes
    assert (second.report["to_send"], second.report["unchanged"], second.report["status"]) == (0, 2, "success")


@pytest.mark.promise(4)
def test_clearing_a_whole_run_adds_no_number_twice(tmp_path: Path) -> None:
    blueconic = blueconic_of_two()
    night = Run(tmp_path, import_of(braze_of_two(), blueconic), day(1)).run()

    night.again("upload", "commit", "report")
    night.run()
    night.again("delta", "guard", "upload", "commit", "report")
    night.run()

    assert blueconic.values("crm_id", "u1", "spent") == ["112.5"]
    assert blueconic.writes["spent"] == 2


def test_only_what_a_counter_grew_by_is_added(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["spent"] = 20.75

    second = Run(tmp_path, goal, day(2)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["120.75"]
    assert (second.report["changes"], second.report["fields"]) == (1, 1)


@pytest.mark.promise(2)
def test_a_number_whose_answer_was_lost_is_reported_unknown_and_not_added_again(tmp_path: Path) -> None:
    blueconic = blueconic_of_two()
    goal = import_of(braze_of_two(), blueconic)
    blueconic.answers = False
    first = Run(tmp_path, goal, day(1)).run()
    blueconic.answers = True

    first.again("upload", "commit", "report")
    first.run()
    second = Run(tmp_path, goal, day(2)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["112.5"]
    assert blueconic.writes["spent"] == 2
    assert (first.report["unknown"], first.report["accepted"]) == (2, 0)
    assert (second.report["unknown"], second.report["accepted"], second.report["fields"]) == (0, 2, 10)
    receipts = rows_of(tmp_path, goal.goal_id, "receipts")
    assert Counter(row["outcome"] for row in receipts) == {"unknown": 2, "accepted": 2}


@pytest.mark.promise(2)
def test_growth_after_a_lost_answer_is_added_as_what_came_on_top(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    blueconic.answers = False
    Run(tmp_path, goal, day(1)).run()
    blueconic.answers = True
    braze.users["u1"]["spent"] = 13

    Run(tmp_path, goal, day(2)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["113.0"]


@pytest.mark.promise(1)
def test_who_is_not_found_rests_until_something_changes(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    braze.users["u3"] = {"tier": "gold"}
    goal = import_of(braze, blueconic, ("custom_attributes.tier", "level"))
    reports = [Run(tmp_path, goal, day(number)).run().report for number in (1, 2)]
    blueconic.profiles.append({"crm_id": ["u3"]})
    braze.users["u3"]["tier"] = "platinum"

    last = Run(tmp_path, goal, day(3)).run().report

    assert [(report["not_found"], report["held"]) for report in (*reports, last)] == [(1, 0), (0, 1), (0, 0)]
    assert blueconic.values("crm_id", "u3", "level") == ["platinum"]


@pytest.mark.promise(1)
def test_who_was_not_found_is_created_once_the_goal_allows_it(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), BlueConic()
    fields = ("custom_attributes.tier", "level")
    Run(tmp_path, import_of(braze, blueconic, fields), day(1)).run()

    second = Run(tmp_path, import_of(braze, blueconic, fields, allow_creation=True), day(2)).run()
    third = Run(tmp_path, import_of(braze, blueconic, fields, allow_creation=True), day(3)).run()

    assert blueconic.profiles == [{"level": ["gold"], "crm_id": ["u1"]}, {"level": ["silver"], "crm_id": ["u2"]}]
    assert (second.report["accepted"], third.report["to_send"]) == (2, 0)


@pytest.mark.promise(1)
def test_who_did_not_consent_is_tried_again_after_a_week(tmp_path: Path) -> None:
    blueconic = blueconic_of_two()
    blueconic.without_consent = {"u1"}
    goal = import_of(braze_of_two(), blueconic, ("custom_attributes.tier", "level"))
    Run(tmp_path, goal, day(1)).run()
    blueconic.without_consent = set()

    reports = [Run(tmp_path, goal, day(number)).run().report for number in (7, 8)]

    assert [(report["held"], report["accepted"]) for report in reports] == [(1, 0), (0, 1)]
    assert blueconic.values("crm_id", "u1", "level") == ["gold"]


def test_a_run_may_ask_for_those_who_rest(tmp_path: Path) -> None:
    blueconic = blueconic_of_two()
    blueconic.without_consent = {"u1"}
    goal = import_of(braze_of_two(), blueconic, ("custom_attributes.tier", "level"))
    Run(tmp_path, goal, day(1)).run()

    second = Run(tmp_path, goal, day(2), retry_held="True").run()

    assert (second.report["held"], second.report["no_consent"]) == (0, 1)


@pytest.mark.promise(3)
def test_a_field_that_is_refused_alone_is_reported_and_rests_alone(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    blueconic.refused = {"level"}
    goal = import_of(braze, blueconic, ("custom_attributes.tier", "level"), ("custom_attributes.nick", "nickname"))
    first = Run(tmp_path, goal, day(1)).run()
    second = Run(tmp_path, goal, day(2)).run()
    braze.users["u1"]["nick"] = "Anna"
    blueconic.refused = set()

    third = Run(tmp_path, goal, day(3)).run()

    assert (first.report["accepted"], first.report["refused_fields"]) == (2, {"level": 2})
    assert (second.report["to_send"], second.report["held"]) == (0, 2)
    assert (third.report["accepted"], third.report["fields"], third.report["held"]) == (1, 2, 1)
    assert blueconic.values("crm_id", "u1", "level") == ["gold"]
    assert blueconic.values("crm_id", "u1", "nickname") == ["Anna"]


@pytest.mark.promise(2)
def test_a_row_is_not_repeated_with_all_that_was_acknowledged_because_of_one_field_that_is_not_taken(
    tmp_path: Path,
) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    blueconic.refused = {"level"}
    goal = import_of(braze, blueconic, ("custom_attributes.tier", "level"), ("custom_attributes.nick", "nickname"))

    def run(number: int) -> dict[str, Any]:
        return Run(tmp_path, goal, day(number), send="whole_profile").run().report

    nights = [run(1), run(2), run(3)]
    braze.users["u1"]["nick"] = "Anna"
    nights.append(run(4))
    nights.append(run(5))
    braze.users["u2"]["tier"] = "bronze"
    nights.append(run(6))

    assert [(night["to_send"], night["held"]) for night in nights] == [(2, 0), (0, 2), (0, 2), (1, 1), (0, 2), (1, 1)]
    assert blueconic.writes == {"nickname": 4}


def test_a_field_that_appears_in_braze_later_is_picked_up_and_named(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(
        braze,
        blueconic,
        ("custom_attributes.tier", "level"),
        remaining={"prefix": "braze_", "create_properties": True},
    )
    first = Run(tmp_path, goal, day(1)).run()
    braze.users["u2"]["shoe size"] = 43
    second = Run(tmp_path, goal, day(2)).run()

    assert blueconic.values("crm_id", "u1", "braze_tags") == ["a", "b"]
    assert "braze_points" in first.report["new_properties"]
    assert second.report["new_fields"] == ["braze_shoe_size"]
    assert second.pushed["new_properties"]["braze_shoe_size"] == {"name": "Braze shoe size", "filter_type": "RANGE"}
    assert blueconic.values("crm_id", "u2", "braze_shoe_size") == ["43"]
    assert second.report["fields"] == 1


@pytest.mark.promise(4)
def test_an_old_export_puts_nothing_over_what_a_newer_one_brought(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    old = Run(tmp_path, goal, day(1)).run(last="map")
    braze.users["u1"]["tier"] = "platinum"
    Run(tmp_path, goal, day(2)).run()

    old.run()

    assert blueconic.values("crm_id", "u1", "level") == ["platinum"]
    assert blueconic.values("crm_id", "u1", "spent") == ["112.5"]
    assert (old.report["stale"], old.report["to_send"]) == (1, 0)


@pytest.mark.promise(8)
def test_what_the_steps_hand_on_names_nobody(tmp_path: Path) -> None:
    night = Run(tmp_path, import_of(braze_of_two(), blueconic_of_two()), day(1)).run()

    text = json.dumps([night.done, night.pushed], default=str)
    assert not any(f'"{value}"' in text for value in ("u1", "b-u1", "gold", "Annie", "Assen"))


# Killed at any durable write


WRITES = 24
"""Durable writes of a night; a test below says so."""

INTENDED = 14
"""The one of them by which it was decided what to add to."""


def deadly_night(home: Path, life: Life, deadly_tables: Callable[[Life], None]) -> tuple[BlueConic, ImportGoalOf, Run]:
    blueconic = blueconic_of_two()
    goal = import_of(braze_of_two(), blueconic)
    night = Run(home, goal, day(1))
    deadly_tables(life)
    with contextlib.suppress(Killed):
        night.run(life)
    deadly_tables(Life())
    return blueconic, goal, night


def test_every_durable_write_of_a_night_is_tried_as_the_last_one(
    tmp_path: Path, deadly_tables: Callable[[Life], None]
) -> None:
    life = Life()

    deadly_night(tmp_path, life, deadly_tables)

    assert len(life.writes) == WRITES


@pytest.mark.parametrize("until", range(1, WRITES + 1))
@pytest.mark.parametrize(
    ("after", "tried_again"),
    [
        pytest.param(False, True, id="before it, and tried again"),
        pytest.param(True, False, id="after it, and made good by the next night"),
    ],
)
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_night_killed_at_a_durable_write_adds_no_number_twice_and_loses_no_other_field(
    tmp_path: Path, deadly_tables: Callable[[Life], None], until: int, after: bool, tried_again: bool
) -> None:
    blueconic, goal, night = deadly_night(tmp_path, Life(until, after=after), deadly_tables)

    if tried_again:
        night.run()
    Run(tmp_path, goal, day(2)).run()
    rest = Run(tmp_path, goal, day(3)).run()

    told = {row["identifier"] for row in rows_of(tmp_path, goal.goal_id, "receipts") if row["outcome"] == "unknown"}
    for who, unsent, added in (("u1", ["100"], ["112.5"]), ("u2", None, ["0.1"])):
        possible = [added, unsent] if f'{{"braze_id":"b-{who}"}}' in told else [added]
        assert blueconic.values("crm_id", who, "spent") in possible
    assert blueconic.values("crm_id", "u1", "level") == ["gold"]
    assert blueconic.values("crm_id", "u2", "tags") == ["c"]
    assert rest.report["to_send"] == 0
    assert list((tmp_path / "staging" / goal.goal_id / "open").glob("*")) == []


@pytest.mark.promise(2)
def test_what_is_in_doubt_after_a_kill_is_told_by_the_next_night(
    tmp_path: Path, deadly_tables: Callable[[Life], None], caplog: pytest.LogCaptureFixture
) -> None:
    blueconic, goal, _ = deadly_night(tmp_path, Life(INTENDED, after=True), deadly_tables)
    assert blueconic.writes == {}

    Run(tmp_path, goal, day(2)).run()

    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "2 people have an unknown outcome from" in warning
    assert blueconic.values("crm_id", "u1", "spent") == ["100"]


# What may have been written, and two runs that meet


def tier_import(braze: Braze, blueconic: BlueConic) -> ImportGoalOf:
    return import_of(braze, blueconic, ("custom_attributes.tier", "level"))


@pytest.mark.promise(1)
def test_a_value_that_is_taken_back_after_its_answer_was_lost_is_sent_once_more(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = tier_import(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["tier"] = "platinum"
    blueconic.answers = False
    Run(tmp_path, goal, day(2)).run()
    blueconic.answers = True
    braze.users["u1"]["tier"] = "gold"

    third = Run(tmp_path, goal, day(3)).run()
    fourth = Run(tmp_path, goal, day(4)).run()

    assert blueconic.values("crm_id", "u1", "level") == ["gold"]
    assert (third.report["to_send"], fourth.report["to_send"]) == (1, 0)


@pytest.mark.promise(1)
def test_a_value_that_is_taken_back_after_its_upload_was_killed_is_sent_once_more(
    tmp_path: Path, deadly_tables: Callable[[Life], None]
) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = tier_import(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["tier"] = "platinum"
    second = Run(tmp_path, goal, day(2)).run(last="guard")
    deadly_tables(life := Life(3))
    with contextlib.suppress(Killed):
        second.run(life)
    deadly_tables(Life())
    assert blueconic.values("crm_id", "u1", "level") == ["platinum"]
    braze.users["u1"]["tier"] = "gold"

    Run(tmp_path, goal, day(3)).run()

    assert blueconic.values("crm_id", "u1", "level") == ["gold"]


@pytest.mark.promise(6)
def test_who_leaves_after_a_lost_answer_is_cleared_too(tmp_path: Path) -> None:
    braze, blueconic = Braze(), BlueConic({"crm_id": ["u1"], "level": ["gold"]}, {"crm_id": ["u2"]})
    goal = ExportGoalOf("export", Silent(braze), blueconic, [("level", "tier")], delta={"leavers": "clear_fields"})
    Run(tmp_path, goal, day(1)).run()
    assert braze.users["u1"] == {"tier": "gold"}
    del blueconic.profiles[0]

    Run(tmp_path, dataclasses.replace(goal, braze=braze), day(2)).run()

    assert braze.users["u1"] == {"tier": None}


@pytest.mark.promise(4)
def test_of_two_runs_that_compared_with_the_same_ledger_one_adds(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["spent"] = 15
    older = Run(tmp_path, goal, day(2)).run(last="guard")
    braze.users["u1"]["spent"] = 20
    newer = Run(tmp_path, goal, day(3)).run(last="guard")

    older.run()
    with pytest.raises(SyncError, match="The next run sends the rest"):
        newer.run()
    Run(tmp_path, goal, day(4)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["120.0"]


@pytest.mark.promise(4)
def test_of_two_runs_of_the_same_data_one_adds(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    first, second = (Run(tmp_path, goal, day(1)).run(last="guard") for _ in range(2))

    first.run()
    with pytest.raises(SyncError, match="The next run sends the rest"):
        second.run()

    assert blueconic.values("crm_id", "u1", "spent") == ["112.5"]


@pytest.mark.promise(4)
def test_an_upload_that_is_tried_again_late_puts_nothing_over_a_newer_one_that_was_not_committed(
    tmp_path: Path, deadly_tables: Callable[[Life], None]
) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = tier_import(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["tier"] = "platinum"
    older = Run(tmp_path, goal, day(2)).run(last="guard")
    deadly_tables(life := Life(1, after=True))
    with contextlib.suppress(Killed):
        older.run(life)
    deadly_tables(Life())
    braze.users["u1"]["tier"] = "diamond"
    Run(tmp_path, goal, day(3)).run(last="upload 0")

    with pytest.raises(SyncError, match="The next run sends the rest"):
        older.run()
    last = Run(tmp_path, goal, day(4)).run()

    assert blueconic.values("crm_id", "u1", "level") == ["diamond"]
    assert last.report["to_send"] == 0


@pytest.mark.promise(2)
def test_answers_that_come_after_another_run_has_taken_over_take_no_counter_back(
    tmp_path: Path, deadly_tables: Callable[[Life], None]
) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["spent"], braze.users["u2"]["tier"] = 15, "gold"
    older = Run(tmp_path, goal, day(2)).run(last="guard")
    deadly_tables(life := Life(4))
    with contextlib.suppress(Killed):
        older.run(life)
    deadly_tables(Life())
    assert blueconic.values("crm_id", "u1", "spent") == ["115.0"]
    braze.users["u1"]["spent"] = 18
    Run(tmp_path, goal, day(3)).run()

    # The answers are written down all the same, and that there is something to commit.
    workspace, delta = older.workspace(), older.done["delta"]
    uri = f"{delta['uri']}/receipts/partition=0"
    late = PartReceipts(
        tmp_path / "late",
        attempt="late",
        publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
    )
    who = ('{"braze_id":"b-u1"}', '{"braze_id":"b-u2"}')
    late.add([Receipt(identifier, "accepted", "", 200, day(2)) for identifier in who])
    late.flush()
    mark_open(workspace, delta)
    Run(tmp_path, goal, day(4)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["118.0"]


@pytest.mark.promise(4)
def test_an_old_date_that_may_be_stale_adds_no_number_again(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    old = Run(tmp_path, goal, day(1), allow_stale=True).run()
    braze.users["u1"] |= {"spent": 20, "tier": "platinum"}
    Run(tmp_path, goal, day(2)).run()

    old.again("delta", "guard", "upload", "commit", "report")
    old.run()
    set_back = blueconic.values("crm_id", "u1", "level")
    Run(tmp_path, goal, day(3)).run()

    assert set_back == ["gold"]
    assert blueconic.values("crm_id", "u1", "level") == ["platinum"]
    assert blueconic.values("crm_id", "u1", "spent") == ["120.0"]


@pytest.mark.promise(2)
@pytest.mark.parametrize("steps", ["delta", "report"])
def test_an_older_run_that_merges_in_the_way_of_before_does_not_have_a_field_sent_again(
    steps: str, tmp_path: Path
) -> None:
    braze, blueconic = Braze(u1={"tags": ["a"]}), BlueConic({"crm_id": ["u1"]})
    before, now = (
        import_of(braze, blueconic, ("custom_attributes.tags", "tags", {"merge": how})) for how in ("add", "set")
    )
    Run(tmp_path, before, day(1)).run()
    older = Run(tmp_path, before, day(2)).run(last="map")
    Run(tmp_path, now, day(3)).run()
    older.run(last=steps)

    last = Run(tmp_path, now, day(4)).run()

    assert last.report["to_send"] == 0
    assert blueconic.writes["tags"] == 2


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [("add", "set", ["c"]), ("set", "remove", []), ("set_if_empty", "set", ["c"]), ("remove", "add", ["c", "z"])],
)
@pytest.mark.promise(1)
def test_a_field_whose_merge_changes_is_sent_once_more(
    before: str, after: str, held: list[str], tmp_path: Path
) -> None:
    braze, blueconic = Braze(u1={"tags": ["c"]}), BlueConic({"crm_id": ["u1"], "tags": ["z"]})
    merged = {
        how: import_of(braze, blueconic, ("custom_attributes.tags", "tags", {"merge": how})) for how in (before, after)
    }
    Run(tmp_path, merged[before], day(1)).run()

    second = Run(tmp_path, merged[after], day(2)).run()
    third = Run(tmp_path, merged[after], day(3)).run()

    assert blueconic.values("crm_id", "u1", "tags") == held
    assert (second.report["to_send"], third.report["to_send"]) == (1, 0)


@pytest.mark.promise(2)
def test_a_run_that_is_only_planned_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    braze, blueconic = Braze(u1={"tags": ["c"]}), BlueConic({"crm_id": ["u1"], "tags": ["z"]})
    added, put = (
        import_of(braze, blueconic, ("custom_attributes.tags", "tags", {"merge": how})) for how in ("add", "set")
    )
    Run(tmp_path, added, day(1), partitions=1).run()
    version = DeltaTable(str(tmp_path / "staging" / "users_to_blueconic" / "ledger")).version()

    planned = Run(tmp_path, put, day(2), partitions=4).run(last="guard")
    after = DeltaTable(str(tmp_path / "staging" / "users_to_blueconic" / "ledger")).version()
    back = Run(tmp_path, added, day(3), partitions=1).run()

    assert planned.done["delta"]["to_send"] == 1
    assert after == version
    assert back.report["to_send"] == 0


@pytest.mark.promise(1)
@pytest.mark.parametrize(("answers", "again"), [(True, 0), (False, 9)])
def test_a_changed_merge_and_other_partitions_are_committed_with_what_was_answered(
    answers: bool, again: int, tmp_path: Path
) -> None:
    braze = Braze(**{f"u{number}": {"tags": ["c"]} for number in range(9)})
    blueconic = BlueConic(*({"crm_id": [f"u{number}"], "tags": ["z"]} for number in range(9)))
    added, put = (
        import_of(braze, blueconic, ("custom_attributes.tags", "tags", {"merge": how})) for how in ("add", "set")
    )
    Run(tmp_path, added, day(1), partitions=2).run()

    blueconic.answers = answers
    second = Run(tmp_path, put, day(2), partitions=5).run()
    blueconic.answers = True
    third = Run(tmp_path, put, day(3), partitions=5).run()

    assert (second.report["to_send"], third.report["to_send"]) == (9, again)
    assert [blueconic.values("crm_id", f"u{number}", "tags") for number in range(9)] == [["c"]] * 9
    assert max(row["partition"] for row in rows_of(tmp_path, "users_to_blueconic", "ledger")) > 1


@pytest.mark.promise(4)
@pytest.mark.parametrize("of", ["increase", "value"])
@pytest.mark.parametrize("send", ["changed_fields", "whole_profile"])
def test_an_old_snapshot_adds_nothing_and_takes_no_counter_back(of: str, send: str, tmp_path: Path) -> None:
    braze = Braze(u1={"spent": 50, "tier": "silver"})
    blueconic = BlueConic({"crm_id": ["u1"], "spent": ["100"]}, types={"spent": "DECIMAL"})
    fields: list[Any] = [
        ("custom_attributes.spent", "spent", {"merge": "sum", "of": of}), ("custom_attributes.tier", "level")
    ]  # fmt: skip
    goal = import_of(braze, blueconic, *fields)
    old = Run(tmp_path, goal, day(1), send=send, allow_stale=True).run(last="map")
    braze.users["u1"]["spent"] = 80
    Run(tmp_path, goal, day(2), send=send).run()
    braze.users["u1"]["tier"] = "gold"
    Run(tmp_path, goal, day(3), send=send).run()
    before = blueconic.values("crm_id", "u1", "spent")

    old.run()
    Run(tmp_path, goal, day(4), send=send).run()

    assert before == ["180"]
    assert blueconic.values("crm_id", "u1", "spent") == ["180"]
    assert blueconic.writes["spent"] == 1


def export_of(braze: Braze, blueconic: BlueConic, *, creates: bool, **how: Any) -> ExportGoalOf:
    fields = [("level", "tier"), ("city", "city")]
    return ExportGoalOf("to_braze", braze, blueconic, fields, delta={"allow_creation": creates, **how})


@pytest.mark.promise(1)
def test_whom_braze_dropped_in_silence_is_created_once_creation_is_on(tmp_path: Path) -> None:
    braze = Braze(known={"tier": "old"})
    blueconic = BlueConic(
        {"crm_id": ["known"], "level": ["gold"]}, {"crm_id": ["new"], "level": ["silver"], "city": ["Ede"]}
    )
    off, on = (export_of(braze, blueconic, creates=creates) for creates in (False, True))
    first = Run(tmp_path, off, day(1)).run()
    quiet = Run(tmp_path, off, day(2)).run()
    blueconic.profiles.append({"crm_id": ["later"], "level": ["bronze"]})

    planned = Run(tmp_path, on, day(3)).run(last="guard")
    switched = Run(tmp_path, on, day(4)).run()
    after = Run(tmp_path, on, day(5)).run()

    assert (first.report["accepted"], first.report["proven"], quiet.report["to_send"]) == (2, False, 0)
    assert (planned.done["delta"]["to_send"], switched.report["to_send"], after.report["to_send"]) == (3, 3, 0)
    assert (switched.report["proven"], after.report["proven"]) == (True, True)
    assert braze.users == {
        "known": {"tier": "gold"}, "new": {"tier": "silver", "city": "Ede"}, "later": {"tier": "bronze"}
    }  # fmt: skip


@pytest.mark.promise(2)
def test_who_was_accepted_while_creation_was_on_is_not_sent_again_after_it_was_off_for_a_while(tmp_path: Path) -> None:
    braze, blueconic = Braze(), BlueConic({"crm_id": ["a"], "level": ["gold"]})
    off, on = (export_of(braze, blueconic, creates=creates) for creates in (False, True))
    Run(tmp_path, on, day(1)).run()
    blueconic.profiles.append({"crm_id": ["b"], "level": ["gold"]})
    blueconic.profiles[0]["city"] = ["Ede"]
    Run(tmp_path, off, day(2)).run()

    back = Run(tmp_path, on, day(3)).run()

    assert back.report["to_send"] == 1
    assert braze.users == {"a": {"tier": "gold", "city": "Ede"}, "b": {"tier": "gold"}}
    assert braze.writes == {"tier": 2, "city": 1}


@pytest.mark.promise(1)
@pytest.mark.parametrize("loses", ["answer", "machine"])
def test_whoever_was_to_be_created_and_was_not_answered_for_stays_in_doubt(loses: str, tmp_path: Path) -> None:
    braze, blueconic = Braze(), BlueConic({"crm_id": ["a"], "level": ["gold"]}, {"crm_id": ["b"], "level": ["gold"]})
    off, on = (export_of(braze, blueconic, creates=creates) for creates in (False, True))
    Run(tmp_path, off, day(1)).run()
    if loses == "answer":
        Run(tmp_path, dataclasses.replace(on, braze=Silent(Braze())), day(2)).run()
    else:
        with pytest.raises(Killed):
            Run(tmp_path, on, day(2)).run(Life(11))

    Run(tmp_path, on, day(3)).run()

    assert braze.users == {"a": {"tier": "gold"}, "b": {"tier": "gold"}}


def test_a_leaver_proves_nobody(tmp_path: Path) -> None:
    braze, blueconic = Braze(), BlueConic({"crm_id": ["a"], "level": ["gold"]}, {"crm_id": ["b"], "level": ["gold"]})
    off, on = (export_of(braze, blueconic, creates=creates, leavers={"tier": None}) for creates in (False, True))
    Run(tmp_path, off, day(1)).run()
    gone = blueconic.profiles.pop()
    Run(tmp_path, on, day(2)).run()
    blueconic.profiles.append(gone)

    Run(tmp_path, on, day(3)).run()

    assert braze.users == {"a": {"tier": "gold"}, "b": {"tier": "gold"}}


@pytest.mark.promise(1)
def test_another_workspace_behind_the_same_goal_gets_everything(tmp_path: Path) -> None:
    blueconic = BlueConic({"crm_id": ["a"], "level": ["gold"], "city": ["Ede"]})
    first, second = Braze(), Braze()
    goal = export_of(first, blueconic, creates=True)
    Run(tmp_path, goal, day(1)).run()
    moved = dataclasses.replace(goal, braze=second, target_conn_id="braze_eu")

    planned = Run(tmp_path, moved, day(2)).run(last="guard")
    Run(tmp_path, moved, day(3)).run()
    again = Run(tmp_path, moved, day(4)).run()

    assert (planned.done["delta"]["to_send"], again.report["to_send"]) == (1, 0)
    assert second.users == first.users == {"a": {"tier": "gold", "city": "Ede"}}


@pytest.mark.promise(2)
def test_another_connection_to_the_same_tenant_adds_no_number_again(tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goal = import_of(braze, blueconic)
    Run(tmp_path, goal, day(1)).run()
    before = blueconic.values("crm_id", "u1", "spent")

    renamed = Run(tmp_path, dataclasses.replace(goal, target_conn_id="blueconic_crm"), day(2)).run()

    assert renamed.report["to_send"] == 2
    assert blueconic.values("crm_id", "u1", "spent") == before
    assert blueconic.writes["level"] == 4


@pytest.mark.promise(1)
def test_whom_one_tenant_does_not_know_is_tried_at_once_in_another(tmp_path: Path) -> None:
    one, other = BlueConic({"crm_id": ["u1"]}), BlueConic({"crm_id": ["u1"]}, {"crm_id": ["u2"]})
    goal = ImportGoalOf("im", Braze(u1={"city": "Ede"}, u2={"city": "Urk"}), one, [("custom_attributes.city", "city")])
    first = Run(tmp_path, goal, day(1)).run()

    there = Run(tmp_path, dataclasses.replace(goal, blueconic=other, target_conn_id="blueconic_crm"), day(2)).run()

    assert first.report["not_found"] == 1
    assert there.report["accepted"] == 2
    assert other.values("crm_id", "u2", "city") == ["Urk"]


@pytest.mark.promise(1)
@pytest.mark.parametrize("first", ["import", "export"])
def test_a_goal_that_runs_the_other_way_under_the_same_id_is_stopped(first: str, tmp_path: Path) -> None:
    braze, blueconic = braze_of_two(), blueconic_of_two()
    goals = [import_of(braze, blueconic), export_of(braze, blueconic, creates=True, leavers={"tier": None})]
    goals = [dataclasses.replace(goal, goal_id="one") for goal in goals]  # type: ignore[type-var]
    before, after = goals if first == "import" else reversed(goals)
    Run(tmp_path, before, day(1)).run()

    with pytest.raises(SyncError, match="one: give the goal another id"):
        Run(tmp_path, after, day(2)).run()


@pytest.mark.promise(2)
@pytest.mark.parametrize("of", ["increase", "value"])
def test_a_counter_that_takes_the_place_of_another_starts_anew(of: str, tmp_path: Path) -> None:
    braze = Braze(u1={"spent": 500, "bonus": 30}, u2={"spent": 5, "bonus": 700})
    blueconic = BlueConic({"crm_id": ["u1"]}, {"crm_id": ["u2"]}, types={"total": "DECIMAL"})
    of_spent, of_bonus = (
        import_of(braze, blueconic, (f"custom_attributes.{name}", "total", {"merge": "sum", "of": of}))
        for name in ("spent", "bonus")
    )
    Run(tmp_path, of_spent, day(1)).run()

    planned = Run(tmp_path, of_bonus, day(2)).run(last="guard")
    Run(tmp_path, of_bonus, day(3)).run()
    again = Run(tmp_path, of_bonus, day(4)).run()
    braze.users["u1"]["bonus"] = 40
    Run(tmp_path, of_bonus, day(5)).run()

    assert (planned.done["delta"]["to_send"], again.report["to_send"]) == (2, 0)
    grown = "540" if of == "increase" else "570"
    assert [blueconic.values("crm_id", user, "total") for user in ("u1", "u2")] == [[grown], ["705"]]


@pytest.mark.promise(2)
def test_a_number_of_another_source_that_is_set_first_and_added_to_later_starts_anew(tmp_path: Path) -> None:
    braze = Braze(u1={"spent": 500, "bonus": 30})
    blueconic = BlueConic({"crm_id": ["u1"]}, types={"total": "DECIMAL"})
    Run(tmp_path, import_of(braze, blueconic, ("custom_attributes.spent", "total", {"merge": "set"})), day(1)).run()
    added = import_of(braze, blueconic, ("custom_attributes.bonus", "total", {"merge": "sum", "of": "increase"}))

    Run(tmp_path, added, day(2)).run()

    assert blueconic.values("crm_id", "u1", "total") == ["530"]


@pytest.mark.promise(2)
@pytest.mark.parametrize("of", ["increase", "value"])
def test_a_number_that_is_in_doubt_when_it_begins_to_be_added_to_grows_from_where_it_stands(
    of: str, tmp_path: Path
) -> None:
    braze, blueconic = Braze(u1={"spent": 10}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
    field = "custom_attributes.spent"
    blueconic.answers = False
    Run(tmp_path, import_of(braze, blueconic, (field, "spent", {"merge": "set"})), day(1)).run()
    blueconic.answers = True
    added = import_of(braze, blueconic, (field, "spent", {"merge": "sum", "of": of}))

    Run(tmp_path, added, day(2)).run()
    braze.users["u1"]["spent"] = 12
    Run(tmp_path, added, day(3)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["12" if of == "increase" else "22"]


def test_a_counter_that_is_added_to_after_it_was_set_grows_from_where_it_stood(tmp_path: Path) -> None:
    braze, blueconic = Braze(u1={"spent": 10}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
    field = "custom_attributes.spent"
    Run(tmp_path, import_of(braze, blueconic, (field, "spent", {"merge": "set"})), day(1)).run()
    braze.users["u1"]["spent"] = 12

    Run(tmp_path, import_of(braze, blueconic, (field, "spent", {"merge": "sum", "of": "increase"})), day(2)).run()

    assert blueconic.values("crm_id", "u1", "spent") == ["12"]


# No echo


class Both:
    """An import and an export of the same fields, hour by hour."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.braze = Braze(u1={"tier": "gold", "points": 7}, u2={"tier": "silver", "points": 3})
        self.blueconic = BlueConic(
            {"crm_id": ["u1"], "level": ["gold"], "score": ["7"]},
            {"crm_id": ["u2"], "level": ["silver"], "score": ["3"]},
            types={"score": "RANGE"},
        )
        self.goals: dict[str, ImportGoalOf | ExportGoalOf] = {
            "import": ImportGoalOf(
                "import", self.braze, self.blueconic,
                [("custom_attributes.tier", "level"), ("custom_attributes.points", "score")],
            ),
            "export": ExportGoalOf("export", self.braze, self.blueconic, [("level", "tier"), ("score", "points")]),
        }  # fmt: skip
        self.now = day(1)

    def run(self, *names: str) -> list[int]:
        """Run goals one after the other, an hour apart; give how many people each sent."""
        sent = []
        for name in names:
            report = Run(self._home, self.goals[name], self.now).run().report
            sent.append(report["to_send"])
            self.now += HOUR
        return sent

    def link_by_card_too(self) -> None:
        """Let the import find people by their cards also, of which the first person has one."""
        fields = [("level", "tier"), ("score", "points"), ("card", "card")]
        self.goals["export"] = ExportGoalOf("export", self.braze, self.blueconic, fields)
        links = (
            {"braze": "external_id", "blueconic": "crm_id"},
            {"braze": "custom_attributes.card", "blueconic": "card"},
        )
        self.goals["import"] = dataclasses.replace(self.goals["import"], identifiers=links)
        self.braze.users["u1"]["card"] = "c1"

    def change_braze_to_what_comes_into(self, other: dict[str, list[str]]) -> None:
        """Give the first person another profile, and both it and Braze the same news, after a run of each goal."""
        self.blueconic.profiles.append(other)
        self.run("import", "export")
        self.braze.users["u1"]["tier"] = "platinum"
        other["level"] = ["platinum"]
        self.blueconic.touch(other)

    def change_source_of(self, name: str, tier: str) -> None:
        """Change the first person in the system that a goal reads."""
        if name == "import":
            self.braze.users["u1"]["tier"] = tier
        else:
            self.blueconic.profiles[0]["level"] = [tier]

    @property
    def agree(self) -> bool:
        return all(
            (self.blueconic.values("crm_id", who, "level"), self.blueconic.values("crm_id", who, "score"))
            == ([user["tier"]], [str(user["points"])])
            for who, user in self.braze.users.items()
        )


@pytest.mark.promise(7)
def test_goals_over_systems_that_agree_already_send_little_and_then_nothing(tmp_path: Path) -> None:
    both = Both(tmp_path)

    first = both.run("import", "export", "import", "export")

    # The first run of all knows nothing of its target: nobody has read it yet.
    assert first == [2, 0, 0, 0]
    assert both.agree


@pytest.mark.parametrize("order", [("import", "export"), ("export", "import")], ids=" then ".join)
@pytest.mark.promise(7)
def test_a_change_in_braze_arrives_once_and_is_not_sent_back(order: tuple[str, str], tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    written, braze_written = both.blueconic.writes.copy(), both.braze.writes.copy()
    both.braze.users["u1"] |= {"tier": "platinum", "points": 8}

    both.run(*order)
    sent = both.run("import", "export") if order[0] == "export" else []
    settled = both.run("import", "export", "import", "export")

    assert both.agree
    assert both.braze.users["u1"] == {"tier": "platinum", "points": 8}
    assert both.blueconic.writes - written == {"level": 1, "score": 1}
    assert both.braze.writes == braze_written
    assert (sent, settled) == ([0, 0] if sent else [], [0, 0, 0, 0])


@pytest.mark.parametrize("order", [("import", "export"), ("export", "import")], ids=" then ".join)
@pytest.mark.promise(7)
def test_a_change_in_blueconic_arrives_once_and_is_not_sent_back(order: tuple[str, str], tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    written, braze_written = both.blueconic.writes.copy(), both.braze.writes.copy()
    both.blueconic.profiles[1] |= {"level": ["platinum"], "score": ["8"]}

    both.run(*order)
    settled = both.run("import", "export", "import", "export")

    assert both.agree
    assert both.braze.users["u2"] == {"tier": "platinum", "points": 8}
    assert both.braze.writes - braze_written == {"tier": 1, "points": 1}
    assert both.blueconic.writes == written
    assert settled == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_changes_of_different_people_on_both_sides_cross_without_an_echo(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    written, braze_written = both.blueconic.writes.copy(), both.braze.writes.copy()
    both.braze.users["u1"]["tier"] = "platinum"
    both.blueconic.profiles[1]["score"] = ["8"]

    both.run("import", "export")
    settled = both.run("import", "export", "import", "export")

    assert both.agree
    assert both.blueconic.writes - written == {"level": 1}
    assert both.braze.writes - braze_written == {"points": 1}
    assert settled == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_change_that_is_made_back_arrives_too(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    both.braze.users["u1"]["tier"] = "platinum"
    both.run("import", "export")
    both.blueconic.profiles[0]["level"] = ["gold"]

    both.run("export", "import")
    settled = both.run("import", "export")

    assert both.braze.users["u1"]["tier"] == "gold"
    assert both.agree
    assert settled == [0, 0]


@pytest.mark.promise(7)
def test_a_field_that_an_export_brought_to_braze_is_not_imported_as_a_remaining_one(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.goals["import"] = ImportGoalOf(
        "import", both.braze, both.blueconic, [], remaining={"prefix": "braze_", "create_properties": True}
    )
    both.braze.users["u1"]["own"] = "yes"

    both.run("export", "import")

    assert both.blueconic.profiles[0] == {
        "crm_id": ["u1"], "level": ["gold"], "score": ["7"], "braze_own": ["yes"], "braze_braze_id": ["b-u1"],
        "braze_external_id": ["u1"],
    }  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [("import", "export"), ("export", "import")])
@pytest.mark.promise(7)
def test_a_read_that_does_not_show_yet_what_the_other_goal_wrote_brings_no_older_value_back(
    first: str, second: str, tmp_path: Path
) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    both.change_source_of(first, "platinum")

    # It read five minutes after the other goal's last write, and the write does not show so soon.
    lagging = Run(tmp_path, both.goals[second], both.now + WRITES_FOR + dt.timedelta(minutes=4))
    lagging.run(last="extract")
    sent = both.run(first)
    lagging.run()
    both.now += HOUR
    settled = both.run("import", "export", "import", "export")

    assert sent == [1]
    assert lagging.report["to_send"] == 0
    assert (both.braze.users["u1"]["tier"], both.agree) == ("platinum", True)
    assert settled == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_list_that_both_sides_add_to_comes_to_rest(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.braze.users["u1"]["tags"] = ["a", "b"]
    both.blueconic.profiles[0]["tags"] = ["z"]
    both.goals = {
        "import": ImportGoalOf(
            "import", both.braze, both.blueconic, [("custom_attributes.tags", "tags", {"merge": "add"})]
        ),
        "export": ExportGoalOf("export", both.braze, both.blueconic, [("tags", "tags", {"type": "array"})]),
    }

    both.run("import", "export")
    settled = both.run("import", "export", "import", "export")

    assert both.braze.users["u1"]["tags"] == both.blueconic.values("crm_id", "u1", "tags") == ["a", "b", "z"]
    assert settled == [0, 0, 0, 0]


@pytest.mark.parametrize(("first", "second"), [("import", "export"), ("export", "import")])
@pytest.mark.promise(7)
def test_goals_that_run_at_the_same_time_send_no_older_value_back(first: str, second: str, tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export", "import", "export")
    both.change_source_of(first, "platinum")

    # The first goal has read and mapped, and not yet sent, when the second one compares.
    sooner = Run(tmp_path, both.goals[first], both.now).run(last="map")
    later = Run(tmp_path, both.goals[second], both.now + dt.timedelta(minutes=1)).run()
    sooner.run()
    both.now += HOUR
    settled = both.run("import", "export", "import", "export")

    assert later.report["to_send"] == 0
    assert (both.braze.users["u1"]["tier"], both.agree) == ("platinum", True)
    assert settled == [0, 0, 0, 0]


# What did not get over, or is set back


@pytest.mark.promise(7)
def test_a_value_that_braze_would_not_store_is_not_overwritten_by_the_older_one_there(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export")
    both.blueconic.profiles[0] |= {"level": ["x" * 256], "score": ["8"]}

    sent = both.run("export", "import", "export", "import")

    # What else is new of the person goes over.
    assert both.braze.users["u1"] == {"tier": "gold", "points": 8}
    assert both.blueconic.profiles[0] == {"crm_id": ["u1"], "level": ["x" * 256], "score": ["8"]}
    assert sent == [1, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_value_that_blueconic_refused_is_not_overwritten_by_the_older_one_there(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export")
    both.blueconic.refused = {"level"}
    both.braze.users["u1"] |= {"tier": "platinum", "points": 8}

    sent = both.run("import", "export", "import", "export")

    assert both.braze.users["u1"] == {"tier": "platinum", "points": 8}
    assert both.blueconic.profiles[0] == {"crm_id": ["u1"], "level": ["gold"], "score": ["8"]}
    assert sent == [1, 0, 0, 0]


@pytest.mark.promise(7)
def test_who_is_rejected_by_braze_keeps_what_blueconic_has_until_braze_takes_it(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export")
    written = both.blueconic.writes.copy()
    both.blueconic.profiles[0]["level"] = ["platinum"]
    both.braze.rejected = {"u1"}

    while_rejected = both.run("export", "import", "export", "import")
    kept = both.blueconic.values("crm_id", "u1", "level")
    both.braze.rejected = set()
    settled = both.run("export", "import", "export", "import")

    assert (kept, while_rejected) == (["platinum"], [1, 0, 1, 0])
    assert (both.braze.users["u1"]["tier"], both.agree) == ("platinum", True)
    assert both.blueconic.writes == written
    assert settled == [1, 0, 0, 0]


@pytest.mark.promise(7)
def test_who_was_rejected_by_braze_from_the_first_on_keeps_what_blueconic_has(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.braze.rejected = {"u1"}
    first = both.run("export", "import")
    both.blueconic.profiles[0]["level"] = ["platinum"]

    sent = both.run("export", "import")

    assert both.blueconic.values("crm_id", "u1", "level") == ["platinum"]
    assert (first, sent) == ([2, 0], [1, 0])


@pytest.mark.parametrize(
    "link",
    [
        pytest.param({"braze": "external_id", "blueconic": "crm_id"}, id="found by one of the two"),
        pytest.param({"braze": "custom_attributes.card", "blueconic": "card"}, id="found by another link"),
    ],
)
@pytest.mark.promise(7)
def test_a_profile_of_two_persons_which_the_export_skips_keeps_what_it_has(
    link: dict[str, str], tmp_path: Path
) -> None:
    both = Both(tmp_path)
    both.braze.users["u1"]["card"], both.braze.users["u2"]["card"] = "c1", "c2"
    both.blueconic.profiles[0]["card"], both.blueconic.profiles[1]["card"] = ["c1"], ["c2"]
    fields = [("level", "tier"), ("score", "points"), ("card", "card")]
    both.goals["export"] = ExportGoalOf("export", both.braze, both.blueconic, fields)
    both.goals["import"] = dataclasses.replace(both.goals["import"], identifiers=(link,))
    both.run("import", "export")
    both.blueconic.profiles[0] |= {"crm_id": ["u1", "u9"], "level": ["platinum"]}

    sent = both.run("export", "import", "export", "import")

    assert both.blueconic.profiles[0]["level"] == ["platinum"]
    assert both.braze.users["u1"]["tier"] == "gold"
    assert sent == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_value_that_is_set_back_in_braze_after_it_came_from_blueconic_goes_there(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.run("import", "export")
    both.blueconic.profiles[0]["level"] = ["platinum"]
    both.run("export")
    assert both.braze.users["u1"]["tier"] == "platinum"
    both.braze.users["u1"]["tier"] = "gold"

    sent = both.run("import")
    settled = both.run("export", "import", "export")

    assert both.blueconic.values("crm_id", "u1", "level") == ["gold"]
    assert (both.braze.users["u1"]["tier"], both.agree) == ("gold", True)
    assert (sent, settled) == ([1], [0, 0, 0])


@pytest.mark.promise(1)
@pytest.mark.promise(7)
def test_a_change_reaches_the_profile_that_is_written_although_another_one_of_that_person_holds_it_already(
    tmp_path: Path,
) -> None:
    both = Both(tmp_path)
    written, other = both.blueconic.profiles[0], {"crm_id": ["u1"], "level": ["gold"], "score": ["7"]}
    both.change_braze_to_what_comes_into(other)

    both.run("export", "import")
    settled = both.run("export", "import", "export", "import")

    assert (written["level"], other["level"]) == (["platinum"], ["platinum"])
    assert (both.braze.users["u1"]["tier"], both.agree) == ("platinum", True)
    assert settled == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_visit_to_the_other_profile_of_a_person_does_not_undo_a_change_in_braze(tmp_path: Path) -> None:
    both = Both(tmp_path)
    other = {"crm_id": ["u1"], "level": ["gold"], "score": ["7"]}
    both.blueconic.profiles.append(other)
    both.run("import", "export")
    both.braze.users["u1"]["tier"] = "silver"
    both.run("import")
    both.blueconic.touch(other)

    sent = both.run("export", "import", "export", "import")

    assert both.braze.users["u1"]["tier"] == "silver"
    assert both.blueconic.profiles[0]["level"] == ["silver"]
    assert sent == [0, 0, 0, 0]


@pytest.mark.promise(7)
def test_doubt_about_a_profile_holds_for_every_link_by_which_it_is_found(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.link_by_card_too()
    both.change_braze_to_what_comes_into({"crm_id": ["u1"], "card": ["c1"], "level": ["gold"], "score": ["7"]})

    both.run("export", "import")

    assert both.blueconic.profiles[0]["level"] == ["platinum"]


@pytest.mark.promise(7)
def test_two_links_that_name_two_profiles_leave_it_open_which_one_is_written(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.link_by_card_too()
    other = {"card": ["c1"], "level": ["gold"]}
    both.blueconic.profiles.append(other)
    both.run("import", "export")
    both.braze.users["u1"]["tier"] = "platinum"
    other["level"] = ["platinum"]

    both.run("export", "import")

    assert both.blueconic.profiles[0]["level"] == ["platinum"]


# People known by another link than before


@pytest.mark.promise(6)
def test_who_is_known_by_another_link_than_before_did_not_leave_and_later_departures_count_again(
    tmp_path: Path,
) -> None:
    braze = Braze()
    blueconic = BlueConic(
        {"crm_id": ["u1"], "number": ["n1"], "level": ["gold"]}, {"crm_id": ["u2"], "number": ["n2"], "level": ["red"]}
    )
    by_crm = ExportGoalOf("export", braze, blueconic, [("level", "tier")], delta={"leavers": "clear_fields"})
    by_number = dataclasses.replace(by_crm, identifiers=({"blueconic": "number", "braze": "external_id"},))
    Run(tmp_path, by_crm, day(1)).run()

    changed = Run(tmp_path, by_number, day(2)).run()
    blueconic.profiles.pop()
    later = Run(tmp_path, by_number, day(3)).run()

    assert (changed.done["delta"]["relinked"], later.done["delta"]["relinked"]) == (True, False)
    assert braze.users == {
        "u1": {"tier": "gold"}, "u2": {"tier": "red"}, "n1": {"tier": "gold"}, "n2": {"tier": None},
    }  # fmt: skip
    assert later.report["leavers"] == 1
    members = {row["identifier"]: row["in_segment"] for row in rows_of(tmp_path, "export", "ledger")}
    assert members == {
        '{"external_id":"u1"}': False, '{"external_id":"u2"}': False,
        '{"external_id":"n1"}': True, '{"external_id":"n2"}': False,
    }  # fmt: skip


@pytest.mark.promise(6)
def test_the_guard_does_not_take_a_change_of_links_for_a_broken_snapshot(tmp_path: Path) -> None:
    blueconic = BlueConic({"crm_id": ["u1"], "number": ["n1"], "level": ["gold"]})
    goal = ExportGoalOf("export", Braze(), blueconic, [("level", "tier")], delta={"leavers": "clear_fields"})
    Run(tmp_path, goal, day(1)).run()
    by_number = dataclasses.replace(goal, identifiers=({"blueconic": "number", "braze": "external_id"},))

    changed = Run(tmp_path, by_number, day(2)).run()

    delta = {**changed.done["delta"], "leavers": 1, "members": 1}
    workspace = changed.workspace()
    how: Any = {"limits": GuardLimits(leavers_percent=0.0), "acts_on_leavers": True, "dry_run": True}
    guard_delta(workspace, delta, **how, objects=75, rate=Rate(1, 1.0))
    with pytest.raises(LimitExceeded):
        guard_delta(workspace, {**delta, "relinked": False}, **how, objects=75, rate=Rate(1, 1.0))

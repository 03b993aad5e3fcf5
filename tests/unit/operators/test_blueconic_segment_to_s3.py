"""Reads of changes, against the sandbox: from where they begin, when the whole segment is read, and what they miss."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from tests.support.core import engine, stored_ledger
from tests.support.sandbox import running_sandbox, use_connections

PROFILES = "/rest/v2/segments/*/profiles"
_NUMBERS = itertools.count()
SETTINGS = {"fields": ["a"], "when_missing": "keep", "objectives": []}


class Goal:
    """A goal that reads changes, run by run."""

    def __init__(self, box: Sandbox, name: str) -> None:
        self.box = box
        self.name = name
        self.number = 0

    def operator(self, **how: Any) -> BlueConicSegmentToS3Operator:
        settings: dict[str, Any] = {
            "segment": "VIP customers", "properties": ["crm_id", "points"], "read": "modified", "settings": SETTINGS
        }  # fmt: skip
        return BlueConicSegmentToS3Operator(
            task_id="extract", goal_id=self.name, staging="s3://sandbox-sync/tests", **{**settings, **how}
        )

    def read(self, *, accepted: bool = True, **how: Any) -> dict[str, Any]:
        """Read, and report what was read as a run does."""
        self.number += 1
        now = dt.datetime.now(dt.UTC)
        dag_run = SimpleNamespace(logical_date=None, run_type="scheduled", run_after=now, start_date=now)
        operator = self.operator(**how)
        snapshot: Any = operator.execute({"run_id": f"run-{self.number}", "dag_run": dag_run})  # type: ignore[typeddict-item]
        report = {
            "run_key": f"run-{self.number}", "status": "success", "dry_run": False, "read": snapshot["read"],
            "complete": snapshot["complete"], "whole": snapshot["whole"], "not_accepted": 0 if accepted else 1,
        }  # fmt: skip
        RunTable(f"s3://sandbox-sync/tests/{self.name}/runs", self.options(operator)).add(
            report,
            read_started_at=dt.datetime.fromisoformat(snapshot["as_of"]),
            mapping_hash=snapshot["fingerprint"],
        )
        return dict(snapshot)

    def options(self, operator: BlueConicSegmentToS3Operator) -> dict[str, str]:
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook

        return dict(StagingHook(operator.aws_conn_id).storage_options())


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=40) as running:
        running.faults.blueconic = replace(running.faults.blueconic, index_lag_s=0.0)
        yield running


@pytest.fixture
def goal(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Goal:
    use_connections(box, monkeypatch)
    return Goal(box, f"people-{next(_NUMBERS)}")


def test_the_second_read_is_one_of_changes(goal: Goal) -> None:
    assert [goal.read()["read"], goal.read()["read"]] == ["full", "modified"]


@pytest.mark.promise(1)
def test_another_segment_and_other_settings_make_one_whole_read_that_says_why(
    goal: Goal, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = next(each.name for each in goal.box.blueconic.segments.values() if each.name != "VIP customers")
    different: dict[str, Any] = {"segment": segment, "settings": {**SETTINGS, "objectives": ["newsletter"]}}
    goal.read()

    kinds = [goal.read(**different)["read"], goal.read(**different)["read"]]

    assert kinds == ["full", "modified"]
    told = f"{goal.name}: reading the whole segment: changed since the last run: objectives, segment"
    assert told in capsys.readouterr().out


def test_a_property_that_gets_another_type_is_read_of_everybody(goal: Goal, monkeypatch: pytest.MonkeyPatch) -> None:
    goal.read()
    properties = goal.box.blueconic.properties
    monkeypatch.setitem(properties, "points", {**properties["points"], "filterType": "SELECT"})

    assert goal.read()["read"] == "full"


@pytest.mark.promise(1)
def test_a_window_of_which_not_all_came_is_read_once_more(goal: Goal, capsys: pytest.CaptureFixture[str]) -> None:
    goal.read()
    for profile_id in list(goal.box.blueconic.profiles)[:30]:
        goal.box.blueconic.change(profile_id, {"points": ["7"]})
    goal.box.faults.add(Fault("blueconic", "missing_profiles", path=PROFILES, times=1, entry_share=0.6))
    short = goal.read()
    again = goal.read()

    assert (short["read"], short["whole"], again["read"], again["whole"]) == ("modified", False, "modified", True)
    assert short["profiles"] < again["profiles"]
    assert "the next run reads these changes again" in capsys.readouterr().out


@pytest.mark.promise(1)
def test_a_whole_read_that_missed_anybody_is_followed_by_a_whole_read(goal: Goal) -> None:
    goal.box.faults.add(Fault("blueconic", "missing_profiles", path=PROFILES, times=1, entry_share=0.1))

    assert [goal.read()["read"], goal.read()["read"], goal.read()["read"]] == ["full", "full", "modified"]


def test_a_read_after_which_somebody_was_not_accepted_does_not_move_the_window(goal: Goal) -> None:
    first = goal.read(accepted=False)
    second = goal.read()

    assert (first["read"], second["read"]) == ("full", "full")


def test_who_was_released_is_met_by_the_next_read(
    goal: Goal, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    goal.read()
    operator = goal.operator()
    from airflow_provider_braze_blueconic.sync.state.ledger import Ledger

    ledger = Ledger(GoalFolder("s3://sandbox-sync/tests", goal.name).ledger, goal.options(operator))
    stored_ledger(tmp_path, [{"identifier": '{"external_id":"1"}', "field_x": "1"}], ledger=ledger)
    ledger.release(engine(tmp_path), ['{"external_id":"1"}'])

    kinds = [goal.read()["read"], goal.read()["read"]]

    assert kinds == ["full", "modified"]
    assert f"{goal.name}: reading the whole segment: people were released since the last run" in capsys.readouterr().out


@pytest.mark.promise(6)
def test_a_segment_that_blueconic_lists_as_large_and_reads_as_empty_is_not_complete(
    goal: Goal, capsys: pytest.CaptureFixture[str]
) -> None:
    goal.box.faults.add(Fault("blueconic", "empty_index", path=PROFILES, times=1))

    empty = goal.read(read="full")
    well = goal.read(read="full")

    assert (empty["profiles"], empty["complete"], empty["whole"]) == (0, False, False)
    assert (well["complete"], well["whole"]) == (True, True)
    assert f"BlueConic sent 0 profiles of a segment of {well['profiles']}" in capsys.readouterr().out

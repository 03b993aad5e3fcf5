"""After a run that sent other than new changes, no read of changes begins where one would have begun before it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.state.runs import GoodRead, RunTable
from airflow_provider_braze_blueconic.sync.state.windows import fingerprint
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, Run

PLAIN: dict[str, Any] = {"fields": [["p", "x"]]}
OTHER: dict[str, Any] = {"fields": [["q", "x"]]}


class Goal:
    """An export goal of two people that reads changes, night by night."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.braze = Braze(ann={}, bob={})
        self.profiles = [{"crm_id": [who], "p": ["a"], "q": [who]} for who in ("ann", "bob")]

    def run(
        self, number: int, settings: dict[str, Any] = PLAIN, mapped_by: dict[str, Any] | None = None, **how: Any
    ) -> Run:
        """Make a run.

        :param settings: of the goal when it reads.
        :param mapped_by: of the goal when it maps, if that is another one.
        """
        mapped_by = mapped_by or settings
        goal = ExportGoalOf(
            "goal", self.braze, BlueConic(*self.profiles), [(p, x, {"type": "string"}) for p, x in mapped_by["fields"]]
        )

        def read(workspace: Workspace) -> dict[str, Any]:
            uri = workspace.folder.step(workspace.run_key, "snapshot")
            return {
                "uri": uri, "segment_id": "s", "segment_name": "All", "segment_size": None, "read": "full",
                "complete": True, "whole": True, "as_of": day(number).isoformat(), "bytes": 1, "property_types": {},
                "fingerprint": json.dumps(fingerprint({**settings, "tenant": "t"})),
                **goal.extract(workspace, self.home / "local" / "read", uri, day(number)),
            }  # fmt: skip

        return Run(self.home, goal, day(number), read=read, settings=mapped_by, **how)

    @property
    def begins(self) -> GoodRead | None:
        return RunTable(str(self.home / "staging" / "goal" / "runs"), {}).last_good_read()

    @property
    def begins_at(self) -> dt.datetime | None:
        return self.begins and self.begins[0]


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    made = Goal(tmp_path)
    made.run(1).run()
    assert made.begins_at == day(1)
    return made


@pytest.mark.promise(1)
def test_a_goal_that_is_changed_for_a_night_and_changed_back_finds_whom_that_night_reached(goal: Goal) -> None:
    """One person was refused in it, so its own read is no place to begin; the other has its values."""
    goal.braze.rejected = {"bob"}
    goal.run(2, OTHER).run()

    assert goal.braze.users["ann"]["x"] == "ann"
    assert goal.begins is None


@pytest.mark.promise(1)
def test_so_does_one_whose_night_between_was_killed_before_it_could_report(goal: Goal) -> None:
    goal.run(2, OTHER).run(last="upload 0")

    assert goal.braze.users["ann"]["x"] == "ann"
    assert goal.begins is None


@pytest.mark.promise(1)
def test_a_night_that_was_read_by_other_settings_than_it_was_mapped_by_is_no_place_to_begin(goal: Goal) -> None:
    """Its steps were cleared from the mapping on, after the goal had changed."""
    goal.run(2, PLAIN, mapped_by=OTHER).run()
    after_it = goal.begins
    assert goal.braze.users["ann"]["x"] == "ann"

    assert after_it is not None
    assert set(json.loads(after_it[1])) > set(fingerprint({**PLAIN, "tenant": "t"}))


@pytest.mark.promise(1)
def test_older_data_that_went_out_before_their_run_was_killed_end_the_reads_too(goal: Goal) -> None:
    goal.profiles[0]["p"] = ["b"]
    goal.run(3).run()
    assert goal.begins_at == day(3)

    goal.profiles[0]["p"] = ["old"]
    goal.run(2, allow_stale=True).run(last="upload 0")

    assert goal.braze.users["ann"]["x"] == "old"
    assert goal.begins is None


def test_a_changed_goal_that_only_plans_or_is_stopped_or_has_nothing_to_send_ends_nothing(goal: Goal) -> None:
    goal.run(2, OTHER, plan_only=True).run()
    stopped = goal.run(3, OTHER, limits={"data_points": 0})
    with pytest.raises(LimitExceeded, match="data points"):
        stopped.run()
    goal.run(4, {**PLAIN, "send": "whole_profile"}).run(last="guard")

    assert goal.begins_at == day(1)


def test_a_night_after_which_somebody_is_left_is_begun_anew_by_the_same_settings(goal: Goal) -> None:
    goal.braze.rejected = {"bob"}
    for profile in goal.profiles:
        profile["p"] = ["b"]
    goal.run(2).run()

    assert goal.begins_at == day(1)

"""Which runs are about the past, and which of the kept snapshots they get."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots import keep_snapshot, kept_entries
from airflow_provider_braze_blueconic.sync.upkeep.past_dates import asks_for_the_past, date_of_read
from airflow_provider_braze_blueconic.sync.upkeep.replays import NoSnapshot, SnapshotNeeds, find_snapshot
from tests.support.staging import LocalStaging

STAGING = LocalStaging()
NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
HOLDS = ("property crm_id", "property points")


def at(day: int, hour: int = 2, minute: int = 0) -> dt.datetime:
    return dt.datetime(2026, 11, day, hour, minute, tzinfo=dt.UTC)


class Goal:
    """A goal's folder with kept snapshots."""

    def __init__(self, home: Path) -> None:
        self.folder = GoalFolder(str(home), "people")

    def keep(
        self,
        name: str,
        *,
        as_of: dt.datetime,
        logical_date: dt.datetime | None = None,
        holds: tuple[str, ...] = HOLDS,
        connection: str = "blueconic_default",
        **snapshot: Any,
    ) -> None:
        """Keep a snapshot whose folder has the given name."""
        uri = f"{self.folder.work}run/snapshot-{name}"
        STAGING.write_bytes(f"{uri}/part-0.parquet", b"rows")
        made = {
            "uri": uri, "profiles": 1, "segment_id": "s-1", "segment_name": "VIP", "segment_size": 1, "read": "full",
            "complete": True, "as_of": as_of.isoformat(), "bytes": 4, "property_types": {"points": "NUMBER"}, **snapshot,
        }  # fmt: skip
        keep_snapshot(
            STAGING,
            self.folder,
            made,  # type: ignore[arg-type]
            run_key=f"run-{name}",
            logical_date=logical_date,
            connection=connection,
            holds=holds,
        )

    def find(self, date: dt.datetime, *, timezone: str = "UTC", **needs: Any) -> Any:
        """Find the snapshot for a date and return it."""
        wanted = {"source": "VIP", "connection": "blueconic_default", "holds": HOLDS, **needs}
        return find_snapshot(STAGING, self.folder, SnapshotNeeds(**wanted), logical_date=date, timezone=timezone)

    def found(self, date: dt.datetime, **how: Any) -> str:
        """Find the snapshot for a date and return its name."""
        return str(self.find(date, **how)["uri"]).rpartition("-")[2]

    def why_not(self, date: dt.datetime, **how: Any) -> str:
        """Say why there is none for a date."""
        with pytest.raises(NoSnapshot) as raised:
            self.find(date, **how)
        return str(raised.value)


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    return Goal(tmp_path)


@pytest.mark.parametrize(
    ("run_type", "logical_date", "run_after", "timezone", "is_past"),
    [
        pytest.param("backfill", at(25), at(25), "UTC", True, id="backfill of yesterday"),
        pytest.param("backfill", at(26), at(26), "UTC", False, id="backfill of today"),
        pytest.param("backfill", at(25, 12), at(25, 12), "Pacific/Auckland", False, id="today, where the goal lives"),
        pytest.param("backfill", at(26, 4), at(26, 4), "America/New_York", True, id="yesterday, where the goal lives"),
        pytest.param("scheduled", at(20), at(20), "UTC", False, id="scheduled, late or cleared"),
        pytest.param("manual", at(20), at(26), "UTC", True, id="manual, set back by days"),
        pytest.param("manual", at(25, 3), at(26, 2), "UTC", False, id="manual, set back by less than a day"),
        pytest.param("manual", at(20), at(20), "UTC", False, id="manual, cleared days later"),
        pytest.param("asset_triggered", at(20), at(26), "UTC", False, id="triggered by an asset"),
        pytest.param("manual", at(20), None, "UTC", True, id="manual, set back, on an Airflow that says nothing"),
        pytest.param("manual", at(26, 3), None, "UTC", False, id="manual, of now, on an Airflow that says nothing"),
        pytest.param("scheduled", at(20), None, "UTC", False, id="scheduled, on an Airflow that says nothing"),
    ],
)
def test_only_backfills_of_past_days_and_manual_runs_that_were_set_back_ask_for_the_past(
    run_type: str, logical_date: dt.datetime, run_after: dt.datetime | None, timezone: str, is_past: bool
) -> None:
    now = NOON if "Auckland" not in timezone else at(26, 10)

    asked = asks_for_the_past(run_type, logical_date, run_after=run_after, now=now, timezone=timezone)

    assert asked is is_past


@pytest.mark.parametrize(
    ("run_type", "logical_date", "kept_under"),
    [
        pytest.param("manual", at(20), None, id="manual, set back or cleared days later"),
        pytest.param("manual", at(26, 3), at(26, 3), id="manual"),
        pytest.param("backfill", at(25), None, id="reconcile, backfilled"),
        pytest.param("backfill", at(26), at(26), id="backfill of today"),
        pytest.param("scheduled", at(20), at(20), id="scheduled, late or cleared"),
        pytest.param("asset_triggered", None, None, id="without a date"),
    ],
)
def test_what_is_read_now_is_not_kept_as_what_a_past_date_read(
    run_type: str, logical_date: dt.datetime | None, kept_under: dt.datetime | None
) -> None:
    assert date_of_read(run_type, logical_date, read_at=NOON, timezone="UTC") == kept_under


def test_a_kept_snapshot_comes_back_as_it_was_and_says_that_it_is_replayed(goal: Goal) -> None:
    goal.keep("a", as_of=at(20, 2, 1), logical_date=at(20), read="full", complete=False)

    snapshot = goal.find(at(20))

    assert snapshot["as_of"] == at(20, 2, 1).isoformat()
    assert snapshot["property_types"] == {"points": "NUMBER"}
    assert snapshot["complete"] is False
    assert snapshot["replayed"] is True


def test_the_runs_own_date_counts_before_the_newest_read_of_that_day(goal: Goal) -> None:
    goal.keep("own", as_of=at(20, 2, 1), logical_date=at(20))
    goal.keep("later", as_of=at(20, 18), logical_date=at(20, 18))
    goal.keep("undated", as_of=at(20, 22))
    goal.keep("next-day", as_of=at(21, 2, 1), logical_date=at(21))

    assert goal.found(at(20)) == "own"
    assert goal.found(at(20, 5)) == "undated"
    assert goal.found(at(21)) == "day"


def test_what_a_date_read_on_its_day_counts_before_what_it_read_when_it_was_cleared_later(goal: Goal) -> None:
    goal.keep("first", as_of=at(20, 2, 1), logical_date=at(20))
    goal.keep("cleared", as_of=at(24, 9), logical_date=at(20))

    assert goal.found(at(20)) == "first"


def test_what_a_late_run_of_that_date_read_counts_before_other_reads_of_that_day(goal: Goal) -> None:
    goal.keep("late", as_of=at(22, 9), logical_date=at(20))
    goal.keep("by hand", as_of=at(20, 9))

    assert goal.found(at(20)) == "late"


def test_a_day_begins_and_ends_where_the_goal_lives(goal: Goal) -> None:
    goal.keep("late", as_of=at(20, 23, 30))

    assert goal.found(at(21, 2), timezone="Europe/Amsterdam") == "late"
    assert "the run did nothing for 2026-11-20" in goal.why_not(at(20, 2), timezone="Europe/Amsterdam")


def test_a_date_without_a_kept_snapshot_is_told_what_that_means_and_what_to_do(goal: Goal) -> None:
    goal.keep("a", as_of=at(20))

    said = goal.why_not(at(21))

    assert said == (
        'people: the run did nothing for 2026-11-21. The segment "VIP" can only be read as it is now, and no '
        "snapshot of that day is kept: no run read it then, or it is older than retention.snapshot_days. To send "
        "the segment as it is now, trigger the goal without a date."
    )


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        pytest.param(
            {"holds": (*HOLDS, "property city", "segments")},
            "it lacks what the goal reads now: property city, segments.",
            id="columns that are new",
        ),
        pytest.param({"source": "Others"}, 'it is of the segment "VIP".', id="another segment"),
        pytest.param(
            {"connection": "other"},
            'it was read with the connection "blueconic_default", and the goal now uses "other".',
            id="another tenant",
        ),
    ],
)
def test_a_snapshot_that_does_not_fit_the_goal_any_more_is_not_replayed(
    goal: Goal, needs: dict[str, Any], said: str
) -> None:
    goal.keep("a", as_of=at(20, 2, 1), logical_date=at(20))

    assert goal.why_not(at(20), **needs) == (
        'people: the run did nothing for 2026-11-20. The segment "{}" can only be read as it is now. The snapshot '
        "that was read at 2026-11-20 02:01 UTC doesn't fit: {}".format(needs.get("source", "VIP"), said)
    )


def test_a_goal_that_reads_less_than_before_gets_the_snapshot(goal: Goal) -> None:
    goal.keep("a", as_of=at(20), holds=(*HOLDS, "property city"))

    assert goal.found(at(20)) == "a"


def test_a_segment_is_known_by_its_id_too(goal: Goal) -> None:
    goal.keep("a", as_of=at(20))

    assert goal.found(at(20), source="s-1") == "a"


def test_the_next_best_snapshot_is_taken_where_the_best_one_does_not_fit(goal: Goal) -> None:
    goal.keep("own", as_of=at(20, 2, 1), logical_date=at(20), holds=("property crm_id",))
    goal.keep("later", as_of=at(20, 18))

    assert goal.found(at(20)) == "later"


def test_a_full_read_does_not_take_a_snapshot_of_changes(goal: Goal) -> None:
    goal.keep("changes", as_of=at(20, 2, 1), logical_date=at(20), read="modified")

    assert goal.found(at(20)) == "changes"
    assert "contains only changes" in goal.why_not(at(20), whole=True)


def test_an_entry_whose_files_somebody_removed_leads_nowhere(goal: Goal) -> None:
    goal.keep("a", as_of=at(20), logical_date=at(20))
    shutil.rmtree(f"{goal.folder.work}run")

    assert "its files are gone" in goal.why_not(at(20))


def test_a_damaged_entry_is_named_and_never_taken_for_a_snapshot(goal: Goal) -> None:
    goal.keep("a", as_of=at(20))
    (entry,) = kept_entries(STAGING, goal.folder)
    for damage in (b"", b"[]", b'{"snapshot": null}'):
        STAGING.write_bytes(entry.uri, damage)

        with pytest.raises(UnexpectedAnswer, match="isn't an entry of a kept snapshot"):
            goal.find(at(20))


def test_files_of_other_names_among_the_entries_are_left_alone(goal: Goal) -> None:
    goal.keep("a", as_of=at(20))
    STAGING.write_bytes(f"{goal.folder.snapshots}notes.txt", b"mine")

    assert [entry.as_of for entry in kept_entries(STAGING, goal.folder)] == [at(20)]

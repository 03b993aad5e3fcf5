"""Both extracts of live sources, run for dates: what they read they keep, and a past date gets what was kept of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_braze_blueconic.operators import replay
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.braze_segment_to_s3 import BrazeSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.look_at_braze import LookAtBrazeOperator
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import running_sandbox, use_connections

NOW = dt.datetime.now(dt.UTC)
_AHEAD = 12 - NOW.hour
ZONE = f"Etc/GMT{-_AHEAD:+d}"
"""Where it is noon, so that no test meets midnight. The database writes signs the other way round."""
YESTERDAY = NOW - dt.timedelta(days=1)
LONG_AGO = NOW - dt.timedelta(days=400)
COMMON: dict[str, Any] = {
    "task_id": "extract",
    "goal_id": "people",
    "staging": "s3://sandbox-sync/tests",
    "timezone": ZONE,
}


@dataclass
class Runs:
    """Runs of one task against a sandbox."""

    box: Sandbox
    pushed: dict[str, Any] = field(default_factory=dict)

    def run(
        self,
        operator: GoalOperator,
        date: dt.datetime | None,
        *,
        run_type: str = "backfill",
        name: str = "run",
        run_after: dt.datetime = NOW,
    ) -> Any:
        """Run the task for a date, in a run that was started just now."""
        dag_run = SimpleNamespace(logical_date=date, run_type=run_type, run_after=run_after, start_date=NOW)
        ti = SimpleNamespace(xcom_push=lambda *, key, value: self.pushed.update({key: value}))
        return operator.execute({"run_id": name, "dag_run": dag_run, "ti": ti})  # type: ignore[typeddict-item]

    def asked(self, service: str) -> int:
        """Say how often a service was asked so far, and forget it."""
        count = sum(exchange.service == service for exchange in self.box.exchanges)
        self.box.exchanges.clear()
        return count

    def kept(self) -> dict[str, Any]:
        """Entries of kept snapshots: name → document."""
        client = self.box.s3_client()
        prefix = "tests/people/snapshots/"
        listed = client.list_objects_v2(Bucket="sandbox-sync", Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): json.loads(
                client.get_object(Bucket="sandbox-sync", Key=item["Key"])["Body"].read()
            )
            for item in listed
        }


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    with running_sandbox(profiles=20, record=True) as box:
        use_connections(box, monkeypatch)
        yield Runs(box)


def blueconic(**how: Any) -> BlueConicSegmentToS3Operator:
    return BlueConicSegmentToS3Operator(
        **{**COMMON, "segment": "VIP customers", "properties": ["crm_id", "points"], **how}
    )


def braze(kind: type[BrazeSegmentToS3Operator] = BrazeSegmentToS3Operator, **how: Any) -> BrazeSegmentToS3Operator:
    own: dict[str, Any] = {
        "segment": "BlueConic Test Users", "export": "s3://sandbox-braze-exports", "sources": ["external_id", "email"],
        "poll_seconds": 0.1, "quiet_seconds": 0.2, "deferrable": False,
    }  # fmt: skip
    return kind(**{**COMMON, **own, **how})


EXTRACTS = [pytest.param("blueconic", id="BlueConic"), pytest.param("braze", id="Braze")]
MAKE: dict[str, Any] = {"blueconic": blueconic, "braze": braze}


@pytest.mark.parametrize("source", EXTRACTS)
def test_a_past_date_gets_what_its_run_read_as_old_as_it_is_and_the_source_is_not_asked(
    source: str, runs: Runs
) -> None:
    # Late by a day, or cleared: a scheduled run reads what there is now.
    read = runs.run(MAKE[source](), YESTERDAY, run_type="scheduled")
    asked = runs.asked(source)

    replayed = runs.run(MAKE[source](), YESTERDAY, run_type="backfill", name="again")

    assert asked > 0
    assert runs.asked(source) == 0
    assert replayed == {**read, "replayed": True}
    assert read["profiles"] > 0
    assert list(runs.kept().values()) == [
        {
            "snapshot": read,
            "logical_date": YESTERDAY.isoformat(),
            "connection": f"{source}_default",
            "holds": {"blueconic": ["property crm_id", "property points"], "braze": ["email", "external_id"]}[source],
        }
    ]


@pytest.mark.parametrize("source", EXTRACTS)
@pytest.mark.parametrize("run_type", ["backfill", "manual"])
def test_a_past_date_of_which_nothing_is_kept_is_skipped_with_the_reason_before_anything_is_asked(
    source: str, run_type: str, runs: Runs
) -> None:
    with pytest.raises(AirflowSkipException) as raised:
        runs.run(MAKE[source](), LONG_AGO, run_type=run_type)

    assert runs.pushed == {"skipped": str(raised.value)}
    assert f"the run did nothing for {(LONG_AGO + dt.timedelta(hours=_AHEAD)).date()}" in str(raised.value)
    assert runs.asked(source) == 0
    assert runs.kept() == {}


@pytest.mark.parametrize(
    ("run_type", "date"),
    [
        pytest.param("backfill", NOW, id="backfill of today"),
        pytest.param("manual", NOW, id="manual"),
        pytest.param("manual", None, id="without a date"),
        pytest.param("scheduled", LONG_AGO, id="scheduled"),
    ],
)
def test_what_is_not_about_a_past_date_reads_the_source_and_is_kept(
    run_type: str, date: dt.datetime | None, runs: Runs
) -> None:
    snapshot = runs.run(blueconic(), date, run_type=run_type)

    assert "replayed" not in snapshot
    assert [entry["snapshot"]["uri"] for entry in runs.kept().values()] == [snapshot["uri"]]


@pytest.mark.parametrize("source", EXTRACTS)
def test_a_manual_run_of_a_past_date_reads_nothing_live_also_where_airflow_sets_its_run_after_to_that_date(
    source: str, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the UI of Airflow 3.0.6 does.
    monkeypatch.setattr(replay, "_TELLS_WHEN_TRIGGERED", False)

    with pytest.raises(AirflowSkipException, match="the run did nothing for"):
        runs.run(MAKE[source](), LONG_AGO, run_type="manual", run_after=LONG_AGO)

    assert runs.asked(source) == 0
    assert runs.kept() == {}


@pytest.mark.parametrize(
    ("operator", "run_type"),
    [
        pytest.param(blueconic, "manual", id="a manual run that was cleared days later"),
        pytest.param(lambda: blueconic(replay=False), "backfill", id="a reconcile that was backfilled"),
        pytest.param(lambda: blueconic(replay=False), "manual", id="a reconcile of a past date"),
    ],
)
def test_a_live_read_is_not_kept_under_a_past_date(
    operator: Any, run_type: str, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_TELLS_WHEN_TRIGGERED", True)
    read = runs.run(operator(), LONG_AGO, run_type=run_type, run_after=LONG_AGO)

    assert [entry["logical_date"] for entry in runs.kept().values()] == [None]
    assert [entry["snapshot"] for entry in runs.kept().values()] == [read]
    with pytest.raises(AirflowSkipException, match="no snapshot of that day is kept"):
        runs.run(blueconic(), LONG_AGO)


@pytest.mark.parametrize(
    ("operator", "missing"),
    [
        pytest.param(lambda: blueconic(properties=["crm_id", "points", "email"]), "property email", id="a property"),
        pytest.param(lambda: blueconic(expand=["segments"]), "segments", id="the segments"),
        pytest.param(lambda: blueconic(interaction_names=True), "names of interactions", id="names of interactions"),
    ],
)
def test_a_kept_snapshot_that_lacks_what_the_mapping_needs_now_is_not_replayed(
    operator: Any, missing: str, runs: Runs
) -> None:
    runs.run(blueconic(), YESTERDAY, run_type="scheduled")

    with pytest.raises(AirflowSkipException, match=f"lacks what the goal reads now: {missing}"):
        runs.run(operator(), YESTERDAY)


def test_all_other_fields_are_others_where_something_else_is_left_out(runs: Runs) -> None:
    runs.run(braze(remaining=True, excluded=["email_subscribe"]), YESTERDAY, run_type="scheduled")

    assert runs.run(braze(remaining=True, excluded=["email_subscribe"]), YESTERDAY)["replayed"]
    with pytest.raises(AirflowSkipException, match="all fields beside dob, email, external_id"):
        runs.run(braze(remaining=True, excluded=["dob"]), YESTERDAY)


def test_a_comparison_with_the_target_reads_both_sides_as_they_are_now_and_keeps_no_side_of_braze(runs: Runs) -> None:
    looked = runs.run(braze(LookAtBrazeOperator), LONG_AGO)
    read = runs.run(blueconic(replay=False), LONG_AGO)

    assert looked["profiles"] > 0
    assert [entry["snapshot"]["uri"] for entry in runs.kept().values()] == [read["uri"]]


def test_reasons_and_entries_hold_nothing_of_people(runs: Runs) -> None:
    runs.run(blueconic(properties=["crm_id", "email"]), YESTERDAY, run_type="scheduled")
    with pytest.raises(AirflowSkipException) as raised:
        runs.run(blueconic(properties=["crm_id", "points"]), YESTERDAY)

    told = json.dumps([str(raised.value), list(runs.kept().values())])
    emails = [value for one in runs.box.blueconic.profiles.values() for value in one.values.get("email", [])]

    assert emails
    assert not [email for email in emails if email in told]

from __future__ import annotations

import copy
import datetime as dt
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import BaseTrigger

from airflow_provider_braze_blueconic import exceptions
from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.export_rows import ExportField
from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.operators import base
from airflow_provider_braze_blueconic.operators.airflow_errors import as_airflow_exception
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.operators.s3_to_braze_users import S3ToBrazeUsersOperator
from airflow_provider_braze_blueconic.operators.s3_to_s3_csv import S3ToS3CsvOperator
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore
from airflow_provider_braze_blueconic.sync.sending.upload import Stopped
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from tests.support.store import Store, store

__all__ = ["store"]

LOCK = "s3://sandbox-sync/tests/people/lock/"


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (exceptions.GoalError([Problem("id", "is missing.")]), False),
        (exceptions.AccessError("wrong key"), False),
        (exceptions.LimitExceeded("too much"), False),
        (exceptions.UnexpectedAnswer("what"), False),
        (exceptions.GoalBusy("another run"), False),
        (exceptions.BrokenTable("a file is missing"), False),
        (exceptions.UnsupportedTable("deletion vectors"), False),
        (exceptions.TransientError("busy"), True),
        (exceptions.WriterConflict("slower"), True),
        (Stopped("killed"), True),
        (Superseded("a newer attempt"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_can_go_better_by_itself_is_tried_again(error: exceptions.SyncError, is_retried: bool) -> None:
    shown = as_airflow_exception(error)

    assert isinstance(shown, AirflowFailException) is not is_retried
    assert str(shown) == str(error)


@pytest.mark.parametrize(
    ("value", "expected"), [("True", True), ("false", False), (True, True), ("", False), (1, True)]
)
def test_a_flag_may_come_out_of_a_template(value: object, expected: bool) -> None:
    assert is_true(value) is expected


def test_a_flag_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        is_true("maybe")


def test_operators_can_be_copied_as_airflow_does() -> None:
    common = {"goal_id": "x", "staging": "s3://bucket/x"}
    extract = BlueConicSegmentToS3Operator(task_id="extract", segment="A", properties=["a"], **common)  # type: ignore[arg-type]
    upload = S3ToBrazeUsersOperator(task_id="upload", delta={}, partition=0, **common)  # type: ignore[arg-type]

    assert copy.deepcopy(extract).segment == "A"
    assert copy.deepcopy(upload).partition == 0


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[StagingHook]:
    """The sandbox's S3 alone behind the default connection, and runs that are still at work between two steps."""
    store = ObjectStore()
    store.start()
    extra = {"endpoint_url": store.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "sandbox", "password": "sandbox", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS", "900")
    hook = StagingHook()
    hook.delete(found.uri for found in hook.list_objects("s3://sandbox-sync/"))
    yield hook
    store.stop()


class Step(GoalOperator):
    """A step that does what a test says."""

    def __init__(self, *, does: Callable[[Step], Any] = lambda _: "done", **kwargs: Any) -> None:
        super().__init__(goal_id="people", staging="s3://sandbox-sync/tests", **kwargs)
        self.does = does
        self.killed = 0
        self.told = 0

    def on_kill(self) -> None:
        self.killed += 1

    def on_lock_lost(self, workspace: Any) -> None:
        self.told += 1

    def run_step(self, workspace: Any, context: Any) -> Any:
        return self.does(self)


class Report(Step):
    ends_run = True


def run(
    run_id: str, *, kind: str = "scheduled", started: int = 1, says: Callable[[str, str], str] | None = None
) -> Any:
    """A context of Airflow.

    :param says: what Airflow says of the state of a run, by DAG id and run id; without it, it can't be asked.
    """
    start = dt.datetime(2026, 11, 5, 2, 0, started, tzinfo=dt.UTC)
    dag_run = SimpleNamespace(dag_id="braze_blueconic__people", start_date=start, run_type=kind)
    ti = SimpleNamespace(get_dagrun_state=says) if says is not None else SimpleNamespace()
    return {"run_id": run_id, "dag_run": dag_run, "ti": ti}


def unknown_run(_: str, __: str) -> str:
    """What Airflow says of a run that it doesn't have."""
    detail = {"status_code": 404, "message": "Not Found"}
    raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


def no_answer(_: str, __: str) -> str:
    """What Airflow says when its API fails."""
    detail = {"status_code": 500, "message": "Internal Server Error"}
    raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


def waiting(s3: StagingHook) -> list[dict[str, Any]]:
    """What the runs that wait say of themselves."""
    return [json.loads(s3.read_bytes(found.uri)) for found in s3.list_objects(f"{LOCK}waiting/")]


def waited(s3: StagingHook, **since: float) -> None:
    """Let those who wait have begun so long ago."""
    for found in s3.list_objects(f"{LOCK}waiting/"):
        document = json.loads(s3.read_bytes(found.uri))
        document["since"] = (dt.datetime.now(dt.UTC) - dt.timedelta(**since)).isoformat()
        s3.write_bytes(found.uri, json.dumps(document).encode())


def fail(_: Step) -> Any:
    raise exceptions.TransientError("it did not work")


def steal(_: object) -> Any:
    """Have another run take over."""
    (held,) = [found.uri for found in StagingHook().list_objects(LOCK)]
    document = json.loads(StagingHook().read_bytes(held))
    document |= {"owner": "thief", "run_id": "thief"}
    StagingHook().write_bytes(f"{LOCK}00000002.json", json.dumps(document).encode())
    return "done"


def said(s3: StagingHook) -> dict[str, Any]:
    newest = max(found.uri for found in s3.list_objects(f"{LOCK}0"))
    document: dict[str, Any] = json.loads(s3.read_bytes(newest))
    return document


@pytest.mark.parametrize(
    ("name", "value"),
    [("staging", "s3://sandbox-sync/a%20b"), ("goal_id", "../people"), ("renamed_from", "a\\b")],
)
def test_a_folder_that_two_libraries_read_in_two_ways_is_refused_before_a_step_does_anything(
    name: str, value: str, s3: StagingHook
) -> None:
    done: list[Step] = []
    step = Step(task_id="extract", does=done.append)
    setattr(step, name, value)

    with pytest.raises(AirflowFailException, match=f"{name}: .*Choose another one"):
        step.execute(run("first"))

    assert (done, s3.list_objects("s3://sandbox-sync/")) == ([], [])


def test_a_store_that_ignores_conditions_is_refused_before_a_step_does_anything(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint_url": store.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "sandbox", "password": "sandbox", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    store.faults.add(Fault("s3", "unconditional_put"))
    done: list[Step] = []

    with pytest.raises(AirflowFailException, match="choose a store that supports the condition If-None-Match"):
        Step(task_id="extract", does=done.append).execute(run("first"))

    assert (done, store.keys()) == ([], [])


MOVED = {"to": "customers", "at": "2026-11-05T02:00:00+00:00"}


def test_the_steps_after_the_first_of_a_run_ask_neither_what_store_it_is_nor_where_the_state_went(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint_url": store.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "sandbox", "password": "sandbox", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    asked: list[str] = []
    answer = store.gate._pass
    monkeypatch.setattr(
        store.gate, "_pass", lambda environ, start: asked.append(environ["PATH_INFO"]) or answer(environ, start)
    )

    Step(task_id="extract").execute(run("first"))
    of_first = list(asked)
    asked.clear()
    Step(task_id="map_fields").execute(run("first"))

    for name in ("conditional-writes.json", "moved.json"):
        assert any(path.endswith(name) for path in of_first)
        assert not any(path.endswith(name) for path in asked)
    assert len(asked) <= 8


def test_a_goal_whose_state_went_elsewhere_between_two_steps_of_a_run_stops(s3: StagingHook) -> None:
    Step(task_id="extract").execute(run("first"))
    # The goal that takes the state over holds the lock meanwhile, as a run that may follow the first one.
    Step(
        task_id="extract",
        does=lambda _: s3.write_bytes("s3://sandbox-sync/tests/people/moved.json", json.dumps(MOVED).encode()),
    ).execute(run("second", says=lambda *_: "failed"))
    Report(task_id="report").execute(run("second"))

    with pytest.raises(AirflowFailException, match='went to "customers"'):
        Step(task_id="map_fields").execute(run("first"))


@pytest.mark.parametrize("kind", ["scheduled", "manual", "backfill", "asset_triggered"])
def test_a_run_that_finds_its_goal_busy_waits_for_its_turn_without_a_slot_whatever_its_kind(
    kind: str, s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    Step(task_id="extract").execute(run("first"))
    before = dt.datetime.now(dt.UTC)

    with pytest.raises(AirflowRescheduleException) as waits:
        Step(task_id="extract").execute(run("second", kind=kind))

    assert waits.value.reschedule_date >= before + dt.timedelta(seconds=60)  # twice what the tests have
    assert said(s3)["run_id"] == "first"
    Step(task_id="map_fields").execute(run("first"))
    Report(task_id="report").execute(run("first"))
    Step(task_id="extract").execute(run("second", kind=kind))
    assert said(s3)["run_id"] == "second"
    assert waiting(s3) == []


def test_where_airflow_heeds_no_reschedule_a_run_waits_for_its_turn_in_the_triggerer(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", False)
    Step(task_id="extract").execute(run("first"))
    step = Step(task_id="extract")
    before = dt.datetime.now(dt.UTC)

    with pytest.raises(TaskDeferred) as waits:
        step.execute(run("second"))

    classpath, settings = waits.value.trigger.serialize()
    assert classpath == "airflow_provider_braze_blueconic.triggers.turn.TurnTrigger"
    assert settings["until"] >= (before + dt.timedelta(seconds=60)).timestamp()
    # Where no triggerer runs, the task ends all the same.
    assert waits.value.timeout is not None
    Report(task_id="report").execute(run("first"))
    again = getattr(step, waits.value.method_name)
    assert again(run("second"), event={}) == "done"
    assert said(s3)["run_id"] == "second"


def test_a_run_that_waited_for_as_long_as_it_may_fails_and_names_whom_it_waited_for_and_since_when(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__WAIT_FOR_GOAL_MINUTES", "90")
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    Step(task_id="extract").execute(run("first"))
    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("second"))
    waited(s3, minutes=89)
    with pytest.raises(AirflowRescheduleException):
        # A task that was killed and is tried again goes on waiting: it doesn't begin anew.
        Step(task_id="extract").execute(run("second"))
    waited(s3, minutes=91)

    with pytest.raises(AirflowFailException) as failed:
        Step(task_id="extract").execute(run("second"))

    since = dt.datetime.fromisoformat(said(s3)["since"])
    assert f'goal people hasn\'t ended: "first" started at {since:%Y-%m-%d %H:%M:%S} UTC' in str(failed.value)
    assert "It has waited since" in str(failed.value)
    assert "[braze_blueconic] wait_for_goal_minutes allows for 90 minutes" in str(failed.value)


def test_the_steps_that_follow_one_that_gave_up_do_not_wait_again(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # commit and clean_up run whatever became of the steps before them.
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    Step(task_id="extract").execute(run("first"))
    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("second"))
    waited(s3, hours=7)
    for step in ("extract", "commit", "clean_up"):
        with pytest.raises(AirflowFailException, match='"first"'):
            Step(task_id=step).execute(run("second"))

    # Somebody clears the step that gave up; or the whole run, whose start is another one then.
    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("second"))
    waited(s3, hours=7)
    with pytest.raises(AirflowFailException):
        Step(task_id="extract").execute(run("second"))
    with pytest.raises(AirflowRescheduleException):
        Step(task_id="map_fields").execute(run("second", started=2))
    Report(task_id="report").execute(run("second", started=2))
    assert waiting(s3) == []


def test_with_a_wait_of_nothing_a_second_run_fails_at_once(s3: StagingHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__WAIT_FOR_GOAL_MINUTES", "0")
    Step(task_id="extract").execute(run("first"))

    with pytest.raises(AirflowFailException, match='Another run of goal people hasn\'t ended: "first"'):
        Step(task_id="extract").execute(run("second"))

    assert waiting(s3) == []


def test_a_run_of_a_backfill_that_begins_when_another_ends_lets_the_nights_run_go_first(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    Step(task_id="extract").execute(run("backfill__1", kind="backfill"))
    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("scheduled__night"))
    Report(task_id="report").execute(run("backfill__1", kind="backfill"))

    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("backfill__2", kind="backfill"))
    Step(task_id="extract").execute(run("scheduled__night"))

    assert said(s3)["run_id"] == "scheduled__night"
    assert [each["run_id"] for each in waiting(s3)] == ["backfill__2"]


@pytest.mark.parametrize("state", ["success", "failed", "queued"])
def test_a_goal_whose_run_has_ended_without_saying_so_is_free_at_once(s3: StagingHook, state: str) -> None:
    # Somebody marked it as failed between two steps, or cleared one mapped upload without what follows it. Or cleared it
    # as a whole since then, so that it waits until the DAG's active run, which is the one that asks, has ended.
    asked = []

    def says(dag_id: str, run_id: str) -> str:
        asked.append((dag_id, run_id))
        return state

    Step(task_id="upload").execute(run("first"))

    Step(task_id="extract").execute(run("second", says=says))

    assert said(s3)["run_id"] == "second"
    assert asked == [("braze_blueconic__people", "first")]


def test_a_goal_whose_run_was_deleted_in_airflow_is_free_at_once(s3: StagingHook) -> None:
    Step(task_id="upload").execute(run("first"))

    Step(task_id="extract").execute(run("second", says=unknown_run))

    assert said(s3)["run_id"] == "second"


def test_a_run_that_waits_for_a_retry_keeps_its_goal_for_as_long_as_airflow_says_that_it_runs(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS", "0.001")
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    with pytest.raises(AirflowException, match="it did not work"):
        Step(task_id="look", does=fail).execute(run("reconcile"))

    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("nightly", says=lambda *_: "running"))


def broken(_: str, __: str) -> str:
    raise OSError("the supervisor is gone")


@pytest.mark.parametrize("says", [None, no_answer, broken], ids=["it can't be asked", "its API fails", "no supervisor"])
def test_where_airflow_does_not_say_what_became_of_a_run_it_keeps_its_goal_for_as_long_as_it_asked_for(
    s3: StagingHook, says: Callable[[str, str], str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    Step(task_id="extract").execute(run("first"))

    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract").execute(run("second", says=says))

    assert said(s3)["run_id"] == "first"


def test_a_run_of_another_airflow_is_not_looked_for_in_this_one(
    s3: StagingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://one.acme.example")
    Step(task_id="extract").execute(run("scheduled__1"))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://other.acme.example")

    for other in ("scheduled__1", "scheduled__2"):
        with pytest.raises(AirflowRescheduleException):
            Step(task_id="extract").execute(run(other, started=2, says=unknown_run))

    assert said(s3)["airflow"] == "https://one.acme.example"


@pytest.mark.parametrize("task", ["extract", "map_fields"])
def test_a_run_that_was_cleared_while_its_import_waits_for_braze_is_not_its_own_rival(
    s3: StagingHook, task: str
) -> None:
    def wait(step: Step) -> Any:
        step.wait_between_steps(4_500)
        step.defer(trigger=Never(), method_name="execute_complete")

    with pytest.raises(TaskDeferred):
        Step(task_id="extract", does=wait).execute(run("manual__1", started=1, says=lambda *_: "running"))

    assert Step(task_id=task).execute(run("manual__1", started=2, says=lambda *_: "running")) == "done"


def test_a_run_that_was_cleared_while_a_step_of_it_is_at_work_is_not_its_own_rival(s3: StagingHook) -> None:
    def clear(_: Step) -> Any:
        return Step(task_id="extract").execute(run("manual__1", started=2))

    # The earlier start is the one that stops.
    with pytest.raises(AirflowFailException, match='Run "manual__1" took over goal people'):
        Step(task_id="extract", does=clear).execute(run("manual__1", started=1))

    assert said(s3)["owner"].endswith("@2026-11-05T02:00:02+00:00")


def test_the_same_run_in_another_airflow_is_another_run(s3: StagingHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_CAN_WAIT", True)
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS", "6")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://one.acme.example")

    def meanwhile(_: Step) -> Any:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://other.acme.example")
        return Step(task_id="extract").execute(run("scheduled__1", started=2))

    with pytest.raises(AirflowRescheduleException):
        Step(task_id="extract", does=meanwhile).execute(run("scheduled__1", started=1))

    assert said(s3)["owner"].endswith("@2026-11-05T02:00:01+00:00")


@pytest.mark.parametrize("does", [lambda _: "done", fail], ids=["done", "failed"])
def test_the_report_releases_the_goal_whatever_it_says(s3: StagingHook, does: Callable[[Step], Any]) -> None:
    Step(task_id="commit").execute(run("first"))

    with suppress(AirflowException):
        Report(task_id="report", does=does).execute(run("first"))

    assert said(s3)["state"] == "released"


def test_the_report_of_a_run_that_never_had_the_goal_tells_it_and_takes_it_from_nobody(s3: StagingHook) -> None:
    Step(task_id="extract").execute(run("first"))

    Report(task_id="report").execute(run("second"))

    assert (said(s3)["run_id"], said(s3)["state"]) == ("first", "between")


def test_a_step_that_failed_keeps_the_goal_for_its_retry(s3: StagingHook) -> None:
    with pytest.raises(AirflowException, match="it did not work"):
        Step(task_id="extract", does=fail).execute(run("first"))

    assert (said(s3)["run_id"], said(s3)["state"], said(s3)["gap_seconds"]) == ("first", "between", 900)
    Step(task_id="extract").execute(run("first"))


@pytest.mark.parametrize(("gap", "kept"), [("900", 4_500), ("0", 0)])
def test_a_step_that_waits_without_a_slot_keeps_the_goal_for_as_long_as_it_says(
    s3: StagingHook, gap: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(step: Step) -> Any:
        step.wait_between_steps(4_500)
        step.defer(trigger=Never(), method_name="execute_complete")

    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS", gap)
    step = Step(task_id="extract", does=wait)
    with pytest.raises(TaskDeferred):
        step.execute(run("first"))
    waiting = said(s3)["gap_seconds"]
    step.does = lambda _: "done"
    step.execute(run("first"))

    assert waiting == kept
    assert said(s3)["gap_seconds"] == int(gap)


class Never(BaseTrigger):
    def serialize(self) -> Any:
        return "", {}

    async def run(self) -> Any:
        yield None


def test_a_step_that_lost_the_goal_fails_without_a_retry_and_does_what_is_left_to_do(s3: StagingHook) -> None:
    step = Step(task_id="upload", does=steal)

    with pytest.raises(AirflowFailException, match='Run "thief" took over goal people'):
        step.execute(run("first"))

    assert step.told == 1
    assert said(s3)["run_id"] == "thief"


@pytest.mark.parametrize("kind", [S3ToBrazeUsersOperator, S3ToS3CsvOperator])
def test_an_upload_that_lost_the_goal_has_the_next_run_look_at_its_receipts_again(
    s3: StagingHook, kind: type[GoalOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run that took over has committed what it found, and removed the mark, before the last answers came.
    delta = {"run_key": "first", "delta_id": "d1"}
    of_files = {"partitions": [0], "links": ("crm_id",), "s3_csv": "s3://sandbox-sync/out/"}
    settings: dict[str, Any] = {"partition": 0} if kind is S3ToBrazeUsersOperator else of_files
    monkeypatch.setattr(kind, "run_step", lambda *_: steal(_))
    upload = kind(task_id="upload", goal_id="people", staging="s3://sandbox-sync/tests", delta=delta, **settings)

    with pytest.raises(AirflowFailException, match="took over"):
        upload.execute(run("first"))

    assert json.loads(s3.read_bytes("s3://sandbox-sync/tests/people/open/first~d1.json")) == delta


def test_a_step_at_work_is_stopped_when_it_lost_the_goal(s3: StagingHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS", "6")

    def work(step: Step) -> Any:
        steal(step)
        deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
        while not step.killed:
            assert dt.datetime.now(dt.UTC) < deadline
        raise Stopped("as on_kill asks for")

    with pytest.raises(AirflowFailException, match='Run "thief" took over goal people'):
        Step(task_id="upload", does=work).execute(run("first"))


SECRET = "jane@planted.example"


def duckdb_error(_: Step) -> Any:
    duckdb.sql(f"SELECT '{SECRET}'::INTEGER").fetchall()


def arrow_error(_: Step) -> Any:
    pa.array([{SECRET: 1}], pa.list_(pa.string()))


def json_error(_: Step) -> Any:
    json.loads(f'{{"{SECRET}"')


def model_error(_: Step) -> Any:
    ExportField.model_validate({"from": SECRET, "to": SECRET, SECRET: 1})


def chained_error(_: Step) -> Any:
    try:
        json_error(_)
    except ValueError as error:
        raise exceptions.UnexpectedAnswer(f"the answer is odd ({type(error).__name__})") from KeyError(SECRET)


def error_while_handling(_: Step) -> Any:
    try:
        json_error(_)
    except ValueError:
        raise exceptions.GoalError([exceptions.Problem("fields", "is odd")])  # noqa: B904  as it happens by accident


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "does",
    [duckdb_error, arrow_error, json_error, model_error, chained_error, error_while_handling],
    ids=lambda does: does.__name__,
)
def test_no_error_that_leaves_a_task_holds_a_value_nor_does_what_it_came_from(
    s3: StagingHook, does: Callable[[Step], Any]
) -> None:
    with pytest.raises(AirflowException) as caught:
        Step(task_id="compute_delta", does=does).execute(run("r1"))

    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert SECRET not in shown
    error: BaseException | None = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert SECRET not in repr(error)


def test_an_error_that_is_not_ours_says_where_it_happened_and_is_tried_again(s3: StagingHook) -> None:
    with pytest.raises(AirflowException) as caught:
        Step(task_id="compute_delta", does=duckdb_error).execute(run("r1"))

    assert not isinstance(caught.value, AirflowFailException)
    assert str(caught.value).startswith("people: ConversionException in compute_delta, at base.py:")


def test_a_step_that_is_skipped_is_skipped(s3: StagingHook) -> None:
    def skip(_: Step) -> Any:
        raise AirflowSkipException("nothing to do")

    with pytest.raises(AirflowSkipException, match="nothing to do"):
        Step(task_id="extract", does=skip).execute(run("r1"))


def test_a_setting_that_can_not_be_is_told_and_not_tried_again(s3: StagingHook) -> None:
    with pytest.raises(AirflowFailException, match="'maybe' is neither true nor false"):
        Step(task_id="extract", does=lambda _: is_true("maybe")).execute(run("r1"))


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (FileNotFoundError("s3://b/x: there is no such object."), "people: s3://b/x: there is no such object."),
        (OSError(28, SECRET), "people: OSError (No space left on device) in extract, at "),
    ],
)
def test_what_the_system_says_of_files_and_disks_is_told(s3: StagingHook, error: OSError, shown: str) -> None:
    def fails(_: Step) -> Any:
        raise error

    with pytest.raises(AirflowException) as caught:
        Step(task_id="extract", does=fails).execute(run("r1"))

    assert str(caught.value).startswith(shown)
    assert SECRET not in str(caught.value)

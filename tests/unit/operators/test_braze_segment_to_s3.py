"""One task with the sandbox's Braze: through its waits, its crashes and its retries, each attempt a new operator."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_braze_blueconic.hooks.staging import StagedObject, StagingHook
from airflow_provider_braze_blueconic.operators.braze_segment_to_s3 import BrazeSegmentToS3Operator
from airflow_provider_braze_blueconic.sandbox.braze.export_requests import ExportRequest
from airflow_provider_braze_blueconic.sandbox.braze.workspace import SEGMENTS
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.store import fence
from airflow_provider_braze_blueconic.sync.store.fence import Fence
from tests.support.clock import ClockLoop, in_clock_time
from tests.support.sandbox import running_sandbox, use_connections

SEGMENT = "BlueConic Test Users"
SEGMENT_ID = next(segment.id for segment in SEGMENTS if segment.name == SEGMENT)
EXPORT = "/users/export/segment"
SOURCES = ["external_id", "email", "custom_attributes.loyalty_tier"]
REQUEST = {
    "segment_id": SEGMENT_ID,
    "fields_to_export": ["braze_id", "email", "external_id"],
    "custom_attributes_to_export": ["loyalty_tier"],
    "output_format": "gzip",
}


@dataclass
class Task:
    """A task of one run. Its clock moves only while its triggers sleep.

    :param waits: what the triggers ended with, one after the other.
    """

    box: Sandbox
    settings: dict[str, Any] = field(default_factory=dict)
    run_id: str = "scheduled__2026-11-24"
    now: float = field(default_factory=time.time)
    waits: list[dict[str, Any]] = field(default_factory=list)
    deferrals: list[TaskDeferred] = field(default_factory=list)

    def operator(self) -> BrazeSegmentToS3Operator:
        """A worker's copy of the operator."""
        settings: dict[str, Any] = {
            "task_id": "extract",
            "goal_id": "people",
            "staging": "s3://sandbox-sync/tests",
            "segment": SEGMENT,
            "export": "s3://sandbox-braze-exports",
            "sources": SOURCES,
            "poll_seconds": 20.0,
            "wait_seconds": 600.0,
            **self.settings,
        }
        made = copy.deepcopy(BrazeSegmentToS3Operator(**settings))
        made._now = lambda: self.now
        return made

    def defer(self, step: Callable[[], Any]) -> TaskDeferred:
        """Run a stretch that has to end in a wait, and leave the task there, as a killed machine would."""
        with pytest.raises(TaskDeferred) as raised:
            step()
        self.deferrals.append(raised.value)
        return raised.value

    def start(self) -> TaskDeferred:
        return self.defer(lambda: self.operator().execute({"run_id": self.run_id}))  # type: ignore[typeddict-item]

    def run(self, *, meanwhile: Callable[[], object] | None = None) -> dict[str, Any]:
        """Run an attempt to its end, as worker and triggerer do by turns; between two, Braze ends what it works at.

        :param meanwhile: what happens instead at the first wait.
        """
        context: Any = {"run_id": self.run_id}
        step: Callable[[], Any] = lambda: self.operator().execute(context)  # noqa: E731
        while True:
            try:
                return dict(step())
            except TaskDeferred as deferred:
                self.deferrals.append(deferred)
                (meanwhile or self.box.exports.wait)()
                meanwhile = None
                event = self._wait(deferred)
                self.waits.append(event)
                step = lambda event=event: self.operator().execute_complete(context, event)  # noqa: E731

    def _wait(self, deferred: TaskDeferred) -> dict[str, Any]:
        path, arguments = deferred.trigger.serialize()
        module, _, name = path.rpartition(".")
        trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

        async def main(loop: ClockLoop) -> dict[str, Any]:
            began = self.now - loop.moment
            trigger.wall = lambda: began + loop.moment
            events = [event.payload async for event in trigger.run()]
            self.now = began + loop.moment
            return dict(json.loads(json.dumps(events[0])))

        return in_clock_time(main)

    @property
    def exports(self) -> int:
        """How many exports Braze started."""
        return sum(self.box.exports.counts().values())

    @property
    def marker(self) -> dict[str, Any]:
        staging = StagingHook()
        uris = [found.uri for found in staging.list_objects("s3://sandbox-sync/tests/people/work/")]
        (uri,) = [uri for uri in uris if uri.endswith("/export.json")]
        return dict(json.loads(staging.read_bytes(uri)))

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(exchange.request_body) for exchange in self.box.exchanges if exchange.url.startswith(EXPORT)]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(profiles=200, record=True) as running:
        use_connections(running, monkeypatch)
        yield running


@pytest.fixture
def task(box: Sandbox) -> Task:
    return Task(box)


def settings(box: Sandbox, **changes: Any) -> None:
    box.faults.braze = replace(box.faults.braze, **changes)


def members(box: Sandbox) -> int:
    return len(box.braze.members(next(segment for segment in SEGMENTS if segment.id == SEGMENT_ID)))


def table(reference: dict[str, Any]) -> pa.Table:
    staging = StagingHook()
    uris = [found.uri for found in staging.list_objects(f"{reference['uri']}/")]
    parts = [pq.read_table(pa.BufferReader(staging.read_bytes(uri))) for uri in uris if uri.endswith(".parquet")]
    return pa.concat_tables(parts, promote_options="default")


def other_export(box: Sandbox, *, fields: tuple[str, ...] = ("braze_id", "phone")) -> str:
    """Somebody else has Braze export the same segment with other fields."""
    segment = next(segment for segment in SEGMENTS if segment.id == SEGMENT_ID)
    return box.exports.start(ExportRequest(segment, fields, format="gzip"))


class Held:
    """Braze's way into its bucket, shut until somebody lets it write: its exports last as long as a test wants.

    :param box: whose exports are held from now on.
    """

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._client = box.s3_client()
        self._open = threading.Event()
        box.exports._client = self

    def put_object(self, **arguments: Any) -> Any:
        assert self._open.wait(60)
        return self._client.put_object(**arguments)

    def let_go(self) -> None:
        self._open.set()
        assert self._box.exports.wait(timeout_s=60)


def test_segment_comes_into_a_snapshot(task: Task) -> None:
    reference = task.run()

    users = table(reference)
    assert task.asked() == [REQUEST]
    assert len(users) == members(task.box) > 100
    assert {"row", "profile_id", "as_of", "source_email", "source_external_id"} <= set(users.column_names)
    assert reference == {
        "uri": reference["uri"],
        "profiles": len(users),
        "segment_id": SEGMENT_ID,
        "segment_name": SEGMENT,
        "segment_size": len(users),
        "read": "full",
        "complete": True,
        "as_of": reference["as_of"],
        "bytes": reference["bytes"],
        "property_types": {},
        "files": 1,
        "broken_lines": 0,
    }
    assert [wait["state"] for wait in task.waits] == ["quiet"]
    assert json.loads(json.dumps(reference)) == reference


def test_data_are_as_old_as_the_question(task: Task) -> None:
    asked_at = task.now

    reference = task.run()

    assert task.now >= asked_at + 60
    assert abs(table(reference)["as_of"][0].as_py().timestamp() - asked_at) < 0.001


@pytest.mark.promise(2)
def test_a_copy_that_outlived_its_worker_and_the_retry_ask_braze_once(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry begins while the older copy is about to ask, and asks itself."""
    retry = Task(task.box, task.settings, task.run_id, task.now)
    check = Fence.check

    def late(place: Fence) -> None:
        monkeypatch.setattr(Fence, "check", check)
        retry.start()
        check(place)

    monkeypatch.setattr(Fence, "check", late)
    monkeypatch.setattr(fence, "_HANDOVER_SECONDS", 0.0)

    with pytest.raises(AirflowFailException, match="a newer attempt at this step has started"):
        task.operator().execute({"run_id": task.run_id})  # type: ignore[typeddict-item]

    assert task.exports == 1
    assert retry.run()["profiles"] > 0
    assert task.exports == 1


@pytest.mark.promise(2)
def test_task_killed_between_submitting_and_end_waits_for_the_same_export_when_retried(task: Task) -> None:
    task.start()
    prefix = task.marker["object_prefix"]

    reference = task.run()

    assert task.exports == 1
    assert task.marker["object_prefix"] == prefix
    assert reference["profiles"] == members(task.box)


@pytest.mark.promise(2)
def test_export_whose_answer_was_lost_is_found_by_the_retry(task: Task) -> None:
    task.box.faults.add(Fault("braze", "reset_after", path=EXPORT, times=1))
    with pytest.raises(AirflowException) as lost:
        task.run()
    task.box.exports.wait()

    reference = task.run()

    assert not isinstance(lost.value, AirflowFailException)
    assert task.exports == 1
    assert reference["profiles"] == members(task.box)


@pytest.mark.promise(2)
def test_export_whose_answer_was_lost_and_that_still_runs_is_adopted_when_its_files_come(task: Task) -> None:
    held = Held(task.box)
    task.box.faults.add(Fault("braze", "reset_after", path=EXPORT, times=1))
    with pytest.raises(AirflowException):
        task.run()

    reference = task.run(meanwhile=held.let_go)

    assert task.exports == 1
    assert [wait["state"] for wait in task.waits][:2] == ["turn", "quiet"]
    assert reference["profiles"] == members(task.box)


def test_folder_of_somebody_else_is_not_taken_for_the_lost_answer(task: Task) -> None:
    task.box.faults.add(Fault("braze", "reset_before", path=EXPORT, times=1))
    with pytest.raises(AirflowException):
        task.run()
    foreign = other_export(task.box)
    task.box.exports.wait()

    task.run()

    assert task.marker["object_prefix"] != foreign
    assert task.exports == 2


def test_somebody_elses_export_is_waited_for_and_not_read(task: Task) -> None:
    held = Held(task.box)
    foreign = other_export(task.box)

    reference = task.run(meanwhile=held.let_go)

    assert [wait["state"] for wait in task.waits] == ["turn", "quiet"]
    assert task.marker["object_prefix"] != foreign
    assert task.exports == 2
    assert table(reference)["source_email"].null_count < reference["profiles"]


def test_turn_that_never_comes_is_worth_a_retry_and_asked_for_nothing(task: Task, patches: pytest.MonkeyPatch) -> None:
    settings(task.box, export_seconds=600.0)
    other_export(task.box)

    with pytest.raises(AirflowException, match="429") as raised:
        task.run(meanwhile=lambda: keep_moving(patches))

    assert not isinstance(raised.value, AirflowFailException)
    assert task.exports == 1
    assert task.marker["questions"] == []


@pytest.fixture
def patches() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def keep_moving(patches: pytest.MonkeyPatch) -> None:
    """Let everything in Braze's bucket grow from look to look."""
    listed, looks = StagingHook.list_objects, iter(range(100_000))

    def list_growing(self: StagingHook, uri: str, **options: Any) -> list[StagedObject]:
        found = listed(self, uri, **options)
        return [replace(file, size=next(looks)) for file in found] if "segment-export" in uri else found

    patches.setattr(StagingHook, "list_objects", list_growing)


def test_parts_out_of_order_across_midnight_beside_other_exports_are_all_read_and_nothing_else(task: Task) -> None:
    settings(
        task.box,
        export_users_per_part=20,
        export_shuffled=True,
        export_across_midnight=True,
        export_grows=True,
        export_duplicates=4,
    )

    reference = task.run()

    users = table(reference)
    ids = {external_id for (external_id,) in users["source_external_id"].to_pylist()}
    assert (reference["files"], reference["complete"]) == (len(range(0, members(task.box), 20)), True)
    assert reference["profiles"] == members(task.box) + 4
    assert len(ids) == members(task.box)
    assert not any(external_id.startswith("crm-gone") for external_id in ids)
    assert users["row"].to_pylist() == list(range(len(users)))


def test_root_path_is_part_of_where_the_files_are(task: Task) -> None:
    settings(task.box, export_root="braze/eu")
    task.settings["export"] = "s3://sandbox-braze-exports/braze/eu/"

    assert task.run()["profiles"] == members(task.box)


def test_export_that_never_comes_says_where_it_was_looked_for_and_what_to_check(task: Task) -> None:
    settings(task.box, export_never=True)

    with pytest.raises(AirflowFailException) as raised:
        task.run()

    message = str(raised.value)
    place = f"s3://sandbox-braze-exports/segment-export/{SEGMENT_ID}/<date>/{task.marker['object_prefix']}/"
    assert place in message
    for word in ("SSE-KMS", "s3:DeleteObject", "credentials", "root path", "default data export destination"):
        assert word in message
    assert task.waits[0]["state"] == "timed_out"


def test_task_cleared_after_an_export_that_never_came_asks_for_a_new_one(task: Task) -> None:
    settings(task.box, export_never=True)
    with pytest.raises(AirflowFailException):
        task.run()
    settings(task.box, export_never=False)

    reference = task.run()

    assert task.exports == 2
    assert reference["profiles"] == members(task.box)


def test_task_cleared_while_files_still_come_goes_on_with_the_same_export(
    task: Task, patches: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AirflowFailException, match="still writes to"):
        task.run(meanwhile=lambda: (task.box.exports.wait(), keep_moving(patches)))
    patches.undo()

    reference = task.run()

    assert task.exports == 1
    assert reference["profiles"] == members(task.box)


def test_empty_segment_is_a_complete_and_empty_snapshot(task: Task) -> None:
    task.settings["segment"] = "Empty segment"

    reference = task.run()

    assert (reference["profiles"], reference["files"], reference["complete"]) == (0, 0, True)
    assert len(table(reference)) == 0
    assert [wait["state"] for wait in task.waits] == ["empty"]


def test_too_few_people_are_waited_for_until_the_time_is_up_and_never_called_complete(
    task: Task, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(task.box, size_error=0.5)
    began = task.now

    reference = task.run()

    assert [wait["state"] for wait in task.waits] == ["quiet", "timed_out"]
    assert task.now - began >= 600
    assert (reference["complete"], reference["profiles"]) == (False, members(task.box))
    assert "so it isn't complete" in capfd.readouterr().out


def test_size_that_the_key_may_not_read_leaves_stillness_to_decide(task: Task) -> None:
    keys = {
        key: [right for right in rights if right != "segments.data_series"]
        for key, rights in task.box.faults.braze.keys.items()
    }
    settings(task.box, keys=keys)

    reference = task.run()

    assert (reference["segment_size"], reference["complete"]) == (None, True)


def test_export_that_braze_keeps_itself_says_at_once_what_to_connect(
    task: Task, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(task.box, own_storage=False)

    with pytest.raises(AirflowFailException, match="no Amazon S3 connected") as failed:
        task.run()

    assert task.waits == []
    assert "planted-signature" not in "".join([str(failed.value), json.dumps(task.marker), *capfd.readouterr()])


def test_export_is_requested_anew_once_a_bucket_is_connected(task: Task) -> None:
    settings(task.box, own_storage=False)
    with pytest.raises(AirflowFailException):
        task.run()
    settings(task.box, own_storage=True)

    reference = task.run()

    assert task.exports == 2
    assert reference["profiles"] == members(task.box)


@pytest.mark.promise(4)
def test_finished_task_run_again_reads_the_same_export_without_a_wait(task: Task) -> None:
    first = task.run()
    task.waits.clear()
    task.now += 100_000

    again = task.run()

    assert task.exports == 1
    assert task.waits == []
    assert (again["as_of"], again["profiles"]) == (first["as_of"], first["profiles"])


def test_goal_that_reads_something_else_asks_for_a_new_export(task: Task) -> None:
    task.start()
    task.box.exports.wait()
    task.settings["sources"] = ["external_id", "phone"]

    task.run()

    assert task.exports == 2
    assert task.asked()[-1]["fields_to_export"] == ["braze_id", "external_id", "phone"]


def test_each_run_asks_for_its_own_export(task: Task) -> None:
    task.run()

    Task(task.box, run_id="scheduled__2026-11-25", now=task.now).run()

    assert task.exports == 2


def test_remaining_fields_are_asked_for_and_found(task: Task) -> None:
    task.settings |= {"remaining": True, "excluded": ["custom_attributes.loyalty_tier"], "sources": ["email"]}

    reference = task.run()

    fields = json.loads(StagingHook().read_bytes(f"{reference['uri']}/fields.json"))
    assert "custom_attributes_to_export" not in task.asked()[0]
    assert "push_tokens" not in task.asked()[0]["fields_to_export"]
    assert "first_name" in fields["remaining"]
    assert "custom_attributes.loyalty_tier" not in fields["remaining"]


def test_campaigns_are_read_by_name_archived_ones_too(task: Task) -> None:
    task.settings["sources"] = ["campaigns_received"]

    reference = task.run()

    names = {name for names in table(reference)["source_campaigns_received"].to_pylist() for name in names or ()}
    assert "Spring sale of last year" in names


def test_broken_lines_are_counted_and_kept(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    settings(task.box, export_broken_lines=2)
    task.settings["broken_percent"] = 5.0

    reference = task.run()

    rejects = StagingHook().read_bytes(reference["rejects_uri"]).splitlines()
    assert (reference["broken_lines"], len(rejects)) == (2, 2)
    assert reference["rejects_uri"] in caplog.text


def test_too_many_broken_lines_end_the_run(task: Task) -> None:
    settings(task.box, export_broken_lines=20)

    with pytest.raises(AirflowFailException, match="At most 1 %"):
        task.run()


def test_all_mistakes_come_in_one_error_before_anything_is_asked_for(task: Task) -> None:
    task.settings |= {
        "segment": "BlueConic Test User",
        "export": "s3://no-such-bucket",
        "sources": {"emial": "fields[0].from", "email": "fields[1].from"},
        "targets": {"ctiy": "fields[0].to"},
        "unique": {"city": "identifiers[0].blueconic", "email": "identifiers[1].blueconic"},
        "objectives": ["newsleter"],
        "blueconic_conn_id": "blueconic_default",
        "origin": {"file": "people.yaml", "lines": {"fields[0].to": 12}},
    }

    with pytest.raises(AirflowFailException) as raised:
        task.run()

    places = [line.partition(": ")[0] for line in str(raised.value).splitlines()]
    assert places == [
        "people.yaml source.export",
        "people.yaml source.segment",
        "people.yaml fields[0].from",
        "people.yaml:12 fields[0].to",
        "people.yaml identifiers[0].blueconic",
        "people.yaml objectives[0]",
    ]
    assert 'the BlueConic property "city" isn\'t a unique identifier' in str(raised.value)
    assert 'no property "ctiy". Nearest: "city"' in str(raised.value)
    assert 'Nearest: "BlueConic Test Users"' in str(raised.value)
    assert task.exports == 0


def test_bucket_that_another_connection_reads_is_checked_with_that_one(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = task.box.connections()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_BRAZE", connections["AIRFLOW_CONN_AWS_DEFAULT"])
    task.settings["export_aws_conn_id"] = "aws_braze"

    reference = task.run()

    assert task.deferrals[0].trigger.serialize()[1]["aws_conn_id"] == "aws_braze"
    assert reference["profiles"] == members(task.box)


def test_types_of_all_properties_are_handed_on(task: Task) -> None:
    task.settings |= {"targets": {"city": "fields[0].to"}, "blueconic_conn_id": "blueconic_default"}

    types = task.run()["property_types"]

    assert (types["points"], types["email"], types["birthdate"]) == ("RANGE", "EMAIL", "DATETIME")


def test_killed_while_reading_ends_without_a_reference_and_can_be_tried_again(task: Task) -> None:
    task.start()
    task.box.exports.wait()
    task.now += 100_000
    operator = task.operator()
    operator.on_kill()

    with pytest.raises(AirflowException, match="stopped during the read") as raised:
        operator.execute({"run_id": task.run_id})  # type: ignore[typeddict-item]

    assert not isinstance(raised.value, AirflowFailException)
    assert task.run()["profiles"] == members(task.box)


def test_without_a_triggerer_the_task_waits_by_itself(task: Task) -> None:
    task.settings |= {"deferrable": False, "poll_seconds": 0.02, "quiet_seconds": 0.5}
    operator = task.operator()
    operator._now = time.time

    reference = operator.execute({"run_id": task.run_id})  # type: ignore[typeddict-item]

    assert reference["profiles"] == members(task.box)


def test_wait_in_the_task_ends_when_it_is_killed(task: Task) -> None:
    settings(task.box, export_never=True)
    task.settings |= {"deferrable": False}
    operator = task.operator()
    operator.on_kill()

    with pytest.raises(AirflowException, match="stopped while waiting"):
        operator.execute({"run_id": task.run_id})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("event", [None, {}, {"state": "quiet"}, "quiet"])
def test_event_of_another_form_is_no_success(event: Any, task: Task) -> None:
    with pytest.raises(AirflowFailException, match="unexpected event"):
        task.operator().execute_complete({"run_id": task.run_id}, event)  # type: ignore[typeddict-item]


def test_error_of_the_wait_is_the_error_of_the_task(task: Task) -> None:
    task.start()
    event = {"state": "failed", "files": 0, "bytes": 0, "deadline": 0.0, "short": False}
    busy = {**event, "error": ["TransientError", "busy"]}
    denied = {**event, "error": ["AccessError", "denied"]}

    with pytest.raises(AirflowFailException, match="denied"):
        task.operator().execute_complete({"run_id": task.run_id}, denied)  # type: ignore[typeddict-item]
    with pytest.raises(AirflowException, match="busy") as raised:
        task.operator().execute_complete({"run_id": task.run_id}, busy)  # type: ignore[typeddict-item]
    assert not isinstance(raised.value, AirflowFailException)


def test_airflow_gives_the_wait_no_less_time_than_it_takes(task: Task) -> None:
    deferred = task.start()

    assert deferred.timeout is not None
    assert deferred.timeout.total_seconds() == pytest.approx(600 + 900, abs=1)


def test_segment_and_bucket_may_be_templates() -> None:
    assert {"segment", "export", "staging", "goal_id"} <= set(BrazeSegmentToS3Operator.template_fields)


def test_while_braze_is_waited_for_no_other_run_of_the_goal_begins(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS", "10")
    task.start()
    staging = StagingHook()

    lock = json.loads(staging.read_bytes("s3://sandbox-sync/tests/people/lock/00000001.json"))
    # The wait's own ten minutes, and what Airflow leaves it beyond them.
    assert (lock["state"], round(lock["gap_seconds"])) == ("between", 600 + 900)
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__WAIT_FOR_GOAL_MINUTES", "0")
    with pytest.raises(AirflowFailException, match="Another run of goal people hasn't ended"):
        Task(task.box, run_id="scheduled__2026-11-25").run()

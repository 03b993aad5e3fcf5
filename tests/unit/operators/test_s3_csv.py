"""The CSV road as Airflow walks it: operators, connections and an S3 that is a server."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.operators.s3_csv_to_s3 import S3CsvToS3Operator
from airflow_provider_braze_blueconic.operators.s3_to_s3_csv import S3ToS3CsvOperator
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore
from airflow_provider_braze_blueconic.sync.csv.finished_files import mark_files_finished
from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, run_key
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.core import write_delta
from tests.support.csv_road import read_csv

BUCKET = "sandbox-sync"
COMMON: dict[str, Any] = {"goal_id": "people", "staging": f"s3://{BUCKET}/tests"}
PATTERN = f"s3://{BUCKET}/out/people_%Y-%m-%d*.csv*"
RUN = "scheduled__2026-11-05"


class Pushed:
    """Takes what a task pushes beside its return value."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[StagingHook]:
    """The sandbox's S3 alone, empty, behind the default connection."""
    store = ObjectStore()
    store.start()
    extra = {"endpoint_url": store.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "sandbox", "password": "sandbox", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    hook = StagingHook()
    hook.delete(found.uri for found in hook.list_objects(f"s3://{BUCKET}/"))
    yield hook
    store.stop()


def context(day: int | None = 5) -> Any:
    dag_run = SimpleNamespace(logical_date=None if day is None else dt.datetime(2026, 11, day, 2, tzinfo=dt.UTC))
    return {"run_id": RUN, "dag_run": dag_run, "ti": Pushed()}


def extract(day: int | None = 5, **how: Any) -> Any:
    operator = S3CsvToS3Operator(
        task_id="extract",
        **COMMON,
        **{"s3_csv": PATTERN, "columns": {"id": "identifiers[0].blueconic", "city": "fields[0].from"}, **how},
    )
    return operator.execute(context(day))


def cities(s3: StagingHook, snapshot: Any, tmp_path: Path) -> list[Any]:
    found = []
    for staged in s3.list_objects(snapshot["uri"] + "/"):
        if staged.uri.endswith(".parquet"):
            s3.download_file(staged.uri, tmp_path / "part.parquet")
            found += pq.read_table(tmp_path / "part.parquet").column("property_city").to_pylist()
    return found


def workspace(s3: StagingHook, tmp_path: Path) -> Workspace:
    return Workspace(s3, GoalFolder(COMMON["staging"], "people"), run_key(RUN), Engine(tmp_path / "engine", threads=1))


def put_delta(s3: StagingHook, tmp_path: Path, *rows: dict[str, Any], fields: bool = True) -> Any:
    uri = f"{COMMON['staging']}/people/work/{run_key(RUN)}/delta-d1"
    s3.upload_file(write_delta(tmp_path / "delta.parquet", rows), f"{uri}/partition=0.parquet")
    if fields:
        listed = [{"target": "city", "merge": "set"}, {"target": "tags", "merge": "add"}]
        s3.write_bytes(f"{uri}/fields.json", json.dumps(listed).encode())
    return {
        "uri": uri,
        "delta_id": "d1",
        "run_key": run_key(RUN),
        "as_of": "2026-11-05T04:00:00+00:00",
        "newest_as_of": None,
        "ledger_partitions": 1,
        "partitions": [0],
        "send_partitions": [0],
        "policy": "",
        "new_fields": [],
    }


def person(number: str, city: str) -> dict[str, Any]:
    return {
        "identifier": json.dumps({"braze_id": number}),
        "matching": json.dumps([[{"id": "crm_id", "value": number}]]),
        "field_city": json.dumps([city]),
        "field_tags": '["x","y"]',
    }


def deliver(delta: Any, *, partitions: Any = (0,), **how: Any) -> tuple[Any, dict[str, Any]]:
    given = {"links": [{"braze": "external_id", "blueconic": "crm_id"}], "s3_csv": f"s3://{BUCKET}/in", **how}
    operator = S3ToS3CsvOperator(task_id="upload", delta=delta, partitions=list(partitions), **COMMON, **given)
    run = context()
    return operator.execute(run), run["ti"].values


def test_files_of_the_runs_date_and_late_ones_are_read_from_the_bucket(s3: StagingHook, tmp_path: Path) -> None:
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-04.csv", b"id,city\np4,Late\n")
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-05.csv", "\ufeffid,city\np5,Z\u00fcrich\n".encode())
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-06.csv", b"id,city\np6,Later\n")

    snapshot = extract()

    assert cities(s3, snapshot, tmp_path) == [["Late"], ["Z\u00fcrich"]]
    assert (snapshot["profiles"], snapshot["files"], snapshot["read"]) == (2, 2, "files")
    assert snapshot["as_of"] == "2026-11-05T00:00:00+00:00"


def test_a_finished_file_gets_its_suffix_and_is_not_read_again(s3: StagingHook, tmp_path: Path) -> None:
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-05.csv", b"id,city\np5,Z\n")
    snapshot = extract()

    mark_files_finished(workspace(s3, tmp_path), snapshot, source=s3, done=True)

    assert [item.uri for item in s3.list_objects(f"s3://{BUCKET}/out/")] == [
        f"s3://{BUCKET}/out/people_2026-11-05.csv.done"
    ]
    assert extract()["files"] == 0


def test_a_run_without_a_logical_date_reads_what_is_not_finished(s3: StagingHook, tmp_path: Path) -> None:
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-06.csv", b"id,city\np6,A\n")

    snapshot = extract(None)
    mark_files_finished(workspace(s3, tmp_path), snapshot)

    assert (snapshot["files"], extract(None)["files"], extract(None, full="True")["files"]) == (1, 0, 1)


def test_the_date_of_a_run_is_that_of_the_goals_time_zone(s3: StagingHook) -> None:
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-05.csv", b"id,city\np5,A\n")

    assert extract(timezone="America/New_York")["files"] == 0
    assert extract(timezone="Europe/Amsterdam")["files"] == 1


def test_wrong_columns_name_their_place_in_the_goal_and_are_not_tried_again(s3: StagingHook) -> None:
    s3.write_bytes(f"s3://{BUCKET}/out/people_2026-11-05.csv", b"id,town\n")
    origin = {"file": "people.yaml", "lines": {"fields[0].from": 9}}

    with pytest.raises(AirflowFailException) as caught:
        extract(origin=origin)

    assert str(caught.value) == (
        f'people.yaml:9 fields[0].from: s3://{BUCKET}/out/people_2026-11-05.csv has no column "city".'
    )


def test_a_required_file_that_is_not_there_is_tried_again(s3: StagingHook) -> None:
    with pytest.raises(AirflowException, match="there is no file of 2026-11-05") as caught:
        extract(required=True)

    assert not isinstance(caught.value, AirflowFailException)


def test_a_pattern_that_can_not_be_read_is_the_goals_mistake(s3: StagingHook) -> None:
    with pytest.raises(AirflowFailException, match=r"source.s3_csv: a date needs %Y, %m and %d; %d is missing"):
        extract(s3_csv=f"s3://{BUCKET}/out/%Y-%m.csv")


def test_a_delta_is_delivered_as_one_file_and_committed(s3: StagingHook, tmp_path: Path) -> None:
    delta = put_delta(s3, tmp_path, person("c1", "Z\u00fcrich"), person("c2", 'a "b", c'))

    uploads, pushed = deliver(delta)

    uri = f"s3://{BUCKET}/in/people_20261105T040000Z_d1.csv"
    s3.download_file(uri, tmp_path / "file.csv")
    assert read_csv(tmp_path / "file.csv") == [
        ["crm_id", "city", "tags"],
        ["c1", "Z\u00fcrich", "x|y"],
        ["c2", 'a "b", c', "x|y"],
    ]
    assert [(upload["accepted"], upload["requests"]) for upload in uploads] == [(2, 1)]
    assert pushed == {"delivery": {"uri": uri, "rows": 2, "left_out": {}}}
    assert commit_uploads(workspace(s3, tmp_path), delta).outcomes == {"accepted": 2}


def test_a_delivery_that_is_run_again_writes_no_second_file(s3: StagingHook, tmp_path: Path) -> None:
    delta = put_delta(s3, tmp_path, person("c1", "A"))
    deliver(delta)
    before = s3.list_objects(f"s3://{BUCKET}/in/")

    uploads, _ = deliver(delta)

    assert s3.list_objects(f"s3://{BUCKET}/in/") == before
    assert [(upload["accepted"], upload["requests"]) for upload in uploads] == [(0, 0)]


def test_what_is_left_out_is_told_without_a_value(
    s3: StagingHook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    delta = put_delta(s3, tmp_path, person("c1", "planted|value"), fields=False)

    _, pushed = deliver(delta, targets={"city": "set"}, gzip=True)

    assert pushed["delivery"]["left_out"] == {"city: a value contains the separator": 1}
    assert pushed["delivery"]["uri"].endswith("_d1.csv.gz")
    assert "planted" not in caplog.text + json.dumps(pushed)


def test_nothing_is_delivered_where_the_guard_lets_nothing_pass(s3: StagingHook, tmp_path: Path) -> None:
    delta = put_delta(s3, tmp_path, person("c1", "A"))

    assert deliver(delta, partitions=[]) == ([], {})
    assert s3.list_objects(f"s3://{BUCKET}/in/") == []


def test_operators_can_be_copied_as_airflow_does() -> None:
    read = S3CsvToS3Operator(task_id="extract", s3_csv="s3://b/*.csv", columns=["a"], **COMMON)
    write = S3ToS3CsvOperator(task_id="upload", delta={}, partitions=[0], links=["a"], s3_csv="s3://b", **COMMON)

    assert copy.deepcopy(read).columns == ["a"]
    assert copy.deepcopy(write).links == ["a"]

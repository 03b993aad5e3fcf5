"""Faults of the sandbox's S3 do to its clients, boto and delta-rs, what they say."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
import requests
from botocore.exceptions import ClientError, ReadTimeoutError
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]


def _put(store: Store, key: str = "a", **how: Any) -> str:
    """Put an object and return the error code, or ``done``."""
    try:
        store.outsider().put_object(Bucket=BUCKET, Key=key, Body=b"ours", **how)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
        (500, "InternalError"),
        (503, "SlowDown"),
    ],
)
def test_status_comes_with_the_code_of_s3_and_applies_nothing(store: Store, status: int, code: str) -> None:
    store.faults.add(Fault("s3", "status", status=status, times=1))

    assert _put(store) == code
    assert store.keys() == []
    assert _put(store) == "done"


def test_fault_hits_the_keys_and_the_method_that_it_names(store: Store) -> None:
    store.faults.add(Fault("s3", "status", path=f"/{BUCKET}/*/_delta_log/*", method="PUT", status=503))

    assert [_put(store, "ledger/_delta_log/0.json"), _put(store, "ledger/part.parquet")] == ["SlowDown", "done"]


def test_fault_on_listings_hits_the_prefix_that_it_names(store: Store) -> None:
    store.faults.add(Fault("s3", "status", path=f"/{BUCKET}/open/*", method="LIST", status=503))

    assert store.outsider().list_objects_v2(Bucket=BUCKET, Prefix="work/")["KeyCount"] == 0
    with pytest.raises(ClientError, match="SlowDown"):
        store.outsider().list_objects_v2(Bucket=BUCKET, Prefix="open/")


@pytest.mark.parametrize(("kind", "keys"), [("reset_before", []), ("reset_after", ["a"])])
def test_reset_leaves_the_object_unwritten_or_written(store: Store, kind: Any, keys: list[str]) -> None:
    store.faults.add(Fault("s3", kind, times=1))

    with pytest.raises(requests.ConnectionError, match="reset"):
        requests.put(f"{store.url}/{BUCKET}/a", data=b"ours", timeout=5)

    assert store.keys() == keys


@pytest.mark.parametrize(("kind", "keys"), [("timeout_before", []), ("timeout_after", ["a"])])
def test_client_that_gives_up_leaves_the_object_unwritten_or_written(store: Store, kind: Any, keys: list[str]) -> None:
    store.faults.add(Fault("s3", kind, delay_s=60))

    with pytest.raises(ReadTimeoutError):
        store.outsider(read_timeout=0.3).put_object(Bucket=BUCKET, Key="a", Body=b"ours")

    assert store.keys() == keys


def test_latency_delays_the_answer(store: Store) -> None:
    store.faults.add(Fault("s3", "latency", delay_s=0.1))

    assert requests.get(f"{store.url}/{BUCKET}", timeout=5).elapsed.total_seconds() >= 0.1


def test_unconditional_put_replaces_what_is_there(store: Store) -> None:
    client = store.outsider()
    client.put_object(Bucket=BUCKET, Key="a", Body=b"first")
    store.faults.add(Fault("s3", "unconditional_put", path=f"/{BUCKET}/a"))

    client.put_object(Bucket=BUCKET, Key="a", Body=b"second", IfNoneMatch="*")

    assert store.client().get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"second"


def test_lost_put_finds_the_object_of_another_writer(store: Store) -> None:
    store.faults.add(Fault("s3", "lost_put", path=f"/{BUCKET}/a"))

    assert _put(store, IfNoneMatch="*") == "PreconditionFailed"
    assert store.keys() == ["a"]


def test_put_without_a_condition_is_never_lost(store: Store) -> None:
    store.faults.add(Fault("s3", "lost_put"))

    assert _put(store) == "done"


def test_commit_of_another_writer_is_one_that_delta_rs_reads(store: Store) -> None:
    """Of two appends both are kept; the log of the table stays whole."""
    table = f"s3://{BUCKET}/table"
    write_deltalake(table, pa.table({"x": [1]}), storage_options=store.storage_options)
    store.faults.add(Fault("s3", "lost_put", path=f"/{BUCKET}/table/_delta_log/*", times=1))

    write_deltalake(table, pa.table({"x": [2]}), mode="append", storage_options=store.storage_options)

    read = DeltaTable(table, storage_options=store.storage_options)
    assert (read.version(), sorted(read.to_pyarrow_table()["x"].to_pylist())) == (2, [1, 2])
    assert store.faults.hits("lost_put") == 1


def test_another_writer_may_make_the_table_first(store: Store) -> None:
    table = f"s3://{BUCKET}/table"
    store.faults.add(Fault("s3", "lost_put", path=f"/{BUCKET}/table/_delta_log/*", times=1))

    with pytest.raises(CommitFailedError):
        write_deltalake(
            table,
            pa.table({"x": [1]}),
            mode="error",
            storage_options=store.storage_options,
            commit_properties=CommitProperties(max_commit_retries=0),
        )

    read = DeltaTable(table, storage_options=store.storage_options)
    assert (read.version(), read.to_pyarrow_table().num_rows) == (0, 0)


def test_delayed_list_misses_what_appeared_last_and_nothing_else(store: Store) -> None:
    _put(store, "work/new")
    store.faults.add(Fault("s3", "list_delay", path=f"/{BUCKET}/work/*", delay_s=60))

    listed = store.outsider().list_objects_v2(Bucket=BUCKET, Prefix="work/")
    elsewhere = store.outsider().list_objects_v2(Bucket=BUCKET, Prefix="wo")
    store.faults.clear()
    store.faults.add(Fault("s3", "list_delay", delay_s=0.0))
    later = store.outsider().list_objects_v2(Bucket=BUCKET, Prefix="work/")

    assert (listed["KeyCount"], listed.get("Contents", [])) == (0, [])
    assert store.outsider().get_object(Bucket=BUCKET, Key="work/new")["Body"].read() == b"ours"
    assert [each["Key"] for each in elsewhere["Contents"]] == ["work/new"]
    assert [each["Key"] for each in later["Contents"]] == ["work/new"]


def test_own_client_of_the_sandbox_is_hit_by_nothing(store: Store) -> None:
    store.faults.add(Fault("s3", "status", status=503))

    store.client().put_object(Bucket=BUCKET, Key="a", Body=b"own")

    assert store.faults.hits() == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"service": "s3", "kind": "entry_errors"}, id="S3 has no entries"),
        pytest.param({"service": "braze", "kind": "list_delay"}, id="Braze has no listings"),
    ],
)
def test_kind_that_a_service_does_not_have_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not have"):
        Faults().configure(json.loads(json.dumps({"faults": [fault]})))

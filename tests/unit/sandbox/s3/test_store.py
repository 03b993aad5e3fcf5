"""The S3 of the sandbox keeps the promises that the ledger needs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_provider_braze_blueconic.sandbox.s3.buckets import BUCKETS
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    running = ObjectStore()
    running.start()
    yield running
    running.stop()


def test_buckets_exist_after_the_start(store: ObjectStore) -> None:
    assert {each["Name"] for each in store.client().list_buckets()["Buckets"]} == set(BUCKETS)


def test_of_many_writers_with_if_none_match_one_wins(store: ObjectStore) -> None:
    """delta-rs commits in this way: two winners would be a lost commit."""
    client = store.client()

    def write(number: int) -> int:
        try:
            client.put_object(Bucket="sandbox-sync", Key="commit", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(write, range(24)))

    assert sorted(statuses) == [200, *[412] * 23]


def test_objects_are_gone_when_the_last_server_stops() -> None:
    first, second = ObjectStore(), ObjectStore()
    for each in (first, second):
        each.start()
    first.client().put_object(Bucket="sandbox-sync", Key="a", Body=b"x")

    first.stop()
    shared = _keys(second.client())
    second.stop()
    third = ObjectStore()
    third.start()
    later = _keys(third.client())
    third.stop()

    assert (shared, later) == (["a"], [])


def _keys(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket="sandbox-sync").get("Contents", [])]

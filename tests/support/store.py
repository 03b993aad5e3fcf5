"""The sandbox's S3 alone, with its faults at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.s3.buckets import REGION
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore

__all__ = ["BUCKET", "Store", "store"]

BUCKET = "sandbox-sync"


class Store(ObjectStore):
    """A store whose faults are at hand."""

    def __init__(self) -> None:
        self.faults = Faults()
        super().__init__(faults=self.faults)

    @property
    def storage_options(self) -> dict[str, str]:
        """The way to it in delta-rs's words."""
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def outsider(self, **settings: Any) -> Any:
        """A client that is hit by faults and tries once."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}, **settings),
        )

    def keys(self) -> list[str]:
        listed = self.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in listed]


@pytest.fixture
def store() -> Iterator[Store]:
    running = Store()
    running.start()
    yield running
    running.stop()

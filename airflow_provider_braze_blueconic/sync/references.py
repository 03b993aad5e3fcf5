"""What one step hands to the next: a small dict of strings, numbers and lists, never data.

Airflow writes dataclasses to XCom but can't read them back, so these are plain dicts.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = ["DeltaRef", "MappedRef", "PlanRef", "SnapshotRef", "UploadRef"]


class SnapshotRef(TypedDict):
    """A snapshot in S3.

    ``as_of`` and ``read_started_at`` are ISO 8601 UTC; ``complete`` tells that every member was read.
    """

    uri: str
    profiles: int
    segment_id: str
    segment_name: str
    segment_size: int | None
    read: str
    complete: bool
    as_of: str
    bytes: int
    property_types: dict[str, str]


class MappedRef(TypedDict):
    """A mapped snapshot in S3. ``skipped`` counts by reason, ``warnings`` by ``<target>: <reason>``."""

    uri: str
    people: int
    skipped: dict[str, int]
    warnings: dict[str, int]
    warning_sources: dict[str, str]
    as_of: str
    complete: bool
    partitions: int


class DeltaRef(TypedDict):
    """A delta in S3. ``partitions`` are those with any row, ``send_partitions`` those with something to send.

    ``newest_as_of`` is the newest version that the ledger held when the delta was made.
    """

    uri: str
    delta_id: str
    run_key: str
    as_of: str
    newest_as_of: NotRequired[str | None]
    ledger_partitions: int
    partitions: list[int]
    send_partitions: list[int]
    people_by_partition: dict[str, int]
    inserts: int
    changes: int
    leavers: int
    to_send: int
    unchanged: int
    stale: int
    fields: int
    clears: int
    data_points: int
    members: int


class PlanRef(TypedDict):
    """What the guard let pass. ``partitions`` is empty in a dry run, and when there is nothing to send."""

    partitions: list[int]
    dry_run: bool
    people: int
    data_points: int
    requests: int
    minutes: float
    plan_uri: str


class UploadRef(TypedDict):
    """The outcome of one partition's upload."""

    partition: int
    requests: int
    accepted: int
    rejected: int
    unknown: int
    rate_limited: int
    seconds: float
    started_at: str
    finished_at: str

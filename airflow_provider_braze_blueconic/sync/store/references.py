"""What one step passes to the next: a small dict of strings, numbers and lists, never data.

Airflow writes dataclasses to XCom but can't read them back, so these are plain dicts.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

__all__ = ["DeltaRef", "MappedRef", "PlanRef", "SnapshotRef", "UploadRef"]


class SnapshotRef(TypedDict):
    """A snapshot in S3.

    ``as_of`` is the start of the read, ISO 8601 UTC; ``complete`` tells that every member was read. A read of files
    says how many they were, how many lines of them could not be read, and where those are kept. ``repaired`` counts
    people with a text that held half a character. ``replayed`` tells that an earlier run read it. ``whole`` tells that
    it brought all that were announced, so that a later read of changes may begin where it began, ``fingerprint``
    (JSON) what decided who was read and what is said of them, ``repeated_pages`` how often BlueConic led back to a page
    and was asked again.
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
    files: NotRequired[int]
    broken_lines: NotRequired[int]
    repaired: NotRequired[int]
    rejects_uri: NotRequired[str]
    replayed: NotRequired[bool]
    whole: NotRequired[bool]
    fingerprint: NotRequired[str]
    repeated_pages: NotRequired[int]


class MappedRef(TypedDict):
    """A mapped snapshot in S3. ``skipped`` counts by reason, ``warnings`` by ``<target>: <reason>``.

    ``missing`` tells how many members of the segment the read may not have brought.

    ``new_properties`` are properties to create in the target, ``left_out`` fields that none takes: source → why.
    ``fingerprint`` is that of the snapshot.

    Where only the values of people were mapped whom no earlier run had mapped, ``mapping`` is the fingerprint of how,
    ``mapped_by`` the settings that decide it beside the fields, and ``snapshot`` where the others' records lie.
    """

    uri: str
    people: int
    skipped: dict[str, int]
    warnings: dict[str, int]
    warning_sources: dict[str, str]
    as_of: str
    complete: bool
    partitions: int
    property_types: dict[str, str]
    missing: NotRequired[int]
    new_properties: NotRequired[dict[str, dict[str, str]]]
    left_out: NotRequired[dict[str, str]]
    fingerprint: NotRequired[str]
    mapping: NotRequired[str]
    mapped_by: NotRequired[dict[str, Any]]
    snapshot: NotRequired[str]


class DeltaRef(TypedDict):
    """A delta in S3. ``partitions`` are those with any row, ``send_partitions`` those with something to send.

    ``newest_as_of`` is the newest version that the ledger held when the delta was made, ``policy`` what decides beside
    the values whether the target takes a record, ``links`` the fingerprint of the identifiers if everybody was read by
    them, ``relinked`` whether it is another than before (then nothing is sent for who is missing), ``settings`` what
    the ledger is to remember of the goal, ``new_fields`` the targets that the ledger had no column for. ``drift``,
    ``emptied`` and ``filled`` count people by target field. ``fingerprint`` is that of the snapshot, unless the goal
    was changed between the two. The other counts are those of
    :class:`~.compare.DeltaCounts`.
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
    policy: str
    last_delta: NotRequired[int | None]
    settings: NotRequired[dict[str, int]]
    fingerprint: NotRequired[str]
    links: int | None
    relinked: bool
    new_fields: list[str]
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
    seen: int
    held: int
    quarantined: int
    drifted: int
    unstuck: int
    absent: int
    spared: int
    drift: dict[str, int]
    emptied: NotRequired[dict[str, int]]
    filled: NotRequired[dict[str, int]]


class PlanRef(TypedDict):
    """What the guard let pass. ``partitions`` is empty in a dry run, and when there is nothing to send.

    Where ``proven`` is false, ``data_points`` are the most that it can be: see :class:`~.counters.Report`.
    """

    partitions: list[int]
    dry_run: bool
    people: int
    data_points: int
    proven: bool
    requests: int
    minutes: float
    plan_uri: str


class UploadRef(TypedDict):
    """The outcome of one partition's upload.

    ``not_found`` and ``no_consent`` count people whom the target does not have, or may not touch, as things are.
    """

    partition: int
    requests: int
    accepted: int
    rejected: int
    not_found: NotRequired[int]
    no_consent: NotRequired[int]
    unknown: int
    rate_limited: int
    seconds: float
    started_at: str
    finished_at: str

"""The mapping of a snapshot in staging: the records in the terms of the target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.sync.mapping.fingerprints import mapping_fingerprint
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.sync.steps.known_people import KnownPeople
from airflow_provider_braze_blueconic.sync.steps.target_fields import write_fields
from airflow_provider_braze_blueconic.sync.store.paths import fields_document
from airflow_provider_braze_blueconic.sync.store.references import MappedRef, SnapshotRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["map_staged_snapshot", "read_snapshot_fields"]


def map_staged_snapshot(
    workspace: Workspace,
    snapshot: SnapshotRef,
    plan: MappingPlan,
    warning_sources: Mapping[str, str],
    *,
    rows: Sequence[Mapping[str, Any]] = (),
    mapped_by: Mapping[str, Any] | None = None,
) -> MappedRef:
    """Map a snapshot and put the mapped snapshot beside it.

    :param rows: the target fields, for steps that need to know more of them than their names.
    :param mapped_by: settings that decide, beside the fields, how a record is mapped. With them, the values of records
        that the last run has mapped are not mapped again; ``None`` maps everybody's.
    """
    uri = workspace.folder.step(workspace.run_key, "mapped")
    people = None if mapped_by is None else KnownPeople.of(workspace, mapping_fingerprint(plan))
    with workspace.local("map") as local:
        known = None if people is None else people.fetch(local / "known")
        parts = fetch_folder(workspace.staging, snapshot["uri"], local / "snapshot")
        counts = map_snapshot(workspace.engine, parts, plan, local / "mapped", known=known)
        workspace.publish(local / "mapped", uri)
    write_fields(workspace, uri, rows)
    targets = {target for target, _ in counts.warnings}
    reference = MappedRef(
        uri=uri,
        people=counts.people,
        skipped=dict(counts.skipped),
        warnings={f"{target}: {reason}": people for (target, reason), people in counts.warnings.items()},
        warning_sources={target: source for target, source in warning_sources.items() if target in targets},
        as_of=snapshot["as_of"],
        complete=snapshot["complete"],
        partitions=plan.partitions,
        property_types=snapshot["property_types"],
        missing=max(0, (snapshot["segment_size"] or 0) - snapshot["profiles"]) if snapshot["complete"] else 0,
    )
    if "fingerprint" in snapshot:
        reference["fingerprint"] = snapshot["fingerprint"]
    if mapped_by is not None and people is not None:
        reference |= {"mapping": people.mapping, "mapped_by": dict(mapped_by), "snapshot": snapshot["uri"]}
        people.note(uri, as_of=snapshot["as_of"])
    return reference


def read_snapshot_fields(workspace: Workspace, snapshot: SnapshotRef) -> tuple[list[str], dict[str, list[str]]]:
    """Read what the export of a Braze segment holds.

    :return: the paths that were asked for; path of each other field that was found → kinds of its values.
    """
    document = json.loads(workspace.staging.read_bytes(fields_document(snapshot["uri"])))
    return document["sources"], {path: found["kinds"] for path, found in document["remaining"].items()}

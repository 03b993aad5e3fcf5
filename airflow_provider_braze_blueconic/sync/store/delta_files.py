"""Where the files of a delta are: its rows, and the target's answers from the upload."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.store.paths import delta_file, receipts_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["all_receipts_uri", "delta_uri", "has_its_files", "receipts_uri"]


def delta_uri(delta: DeltaRef, partition: int) -> str:
    """Name a partition's file of a delta."""
    return delta_file(delta["uri"], partition)


def all_receipts_uri(delta: DeltaRef) -> str:
    """Name the folder of all part receipts of a delta."""
    return receipts_folder(delta["uri"])


def receipts_uri(delta: DeltaRef, partition: int) -> str:
    """Name the folder of a partition's part receipts."""
    return receipts_folder(delta["uri"], partition)


def has_its_files(staging: Staging, delta: DeltaRef) -> bool:
    """Tell whether all files of a delta are still there; work files expire."""
    there = {item.uri for item in staging.list_objects(f"{delta['uri']}/")}
    return all(delta_uri(delta, partition) in there for partition in delta["partitions"])

"""Whether the files of a delta are still there."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.store.paths import delta_file
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["has_its_files"]


def has_its_files(staging: Staging, delta: DeltaRef) -> bool:
    """Tell whether all files of a delta are still there; work files expire."""
    there = {item.uri for item in staging.list_objects(f"{delta['uri']}/")}
    return all(delta_file(delta["uri"], partition) in there for partition in delta["partitions"])

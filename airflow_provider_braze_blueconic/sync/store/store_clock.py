"""The store's clock: machines with different clocks agree on how old an object is."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["seconds_since_written"]


def seconds_since_written(staging: Staging, folder: GoalFolder) -> Mapping[str, float]:
    """Ask the store for how many seconds the objects below ``<goal>/lock/`` have been as they are.

    :return: URI → seconds; nothing at all where the store doesn't list yet what was just written.
    """
    clock = folder.lock_clock
    staging.write_bytes(clock, b"")
    written = {staged.uri: staged.modified for staged in staging.list_objects(folder.lock)}
    if clock not in written:
        return {}
    return {uri: (written[clock] - moment).total_seconds() for uri, moment in written.items() if uri != clock}

"""How much a delta holds."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts


def test_counts_of_partitions_are_added() -> None:
    assert DeltaCounts(inserts=1, data_points=5) + DeltaCounts(inserts=2, stale=3, members=4) == DeltaCounts(
        inserts=3, data_points=5, stale=3, members=4
    )

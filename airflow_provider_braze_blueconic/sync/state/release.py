"""What the ledger forgets of people who are released, so that the next run tries them again."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_braze_blueconic.sync.engine.database import literal

__all__ = ["ABSENT", "FORGOTTEN"]

ABSENT = "absent"
"""What ``refused_as`` says of people whom the target acknowledged, and whom a read of everybody did not meet there."""

FORGOTTEN: Mapping[str, str] = {
    "attempts": "0",
    "refused_hash": "NULL",
    "unstuck": "NULL",
    "unstuck_hash": "NULL",
    "refused_as": f"nullif(refused_as, {literal(ABSENT)})",
}
"""Column → SQL for the books of people who are released: why and when they were refused stays, for who asks."""

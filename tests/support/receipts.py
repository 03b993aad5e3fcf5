"""Receipts and parts as an upload leaves them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Receipt
from tests.support.core import person
from tests.support.targets import ReceiptFiles

__all__ = ["MOMENT", "part", "receipt"]

MOMENT = dt.datetime(2026, 11, 3, 4, 5, 6, 789, tzinfo=dt.UTC)


def receipt(who: str, outcome: Any = "accepted", reason: str = "", *, minute: int = 0) -> Receipt:
    return Receipt(person(who), outcome, reason, 201, MOMENT + dt.timedelta(minutes=minute))


def part(folder: Path, name: str, *receipts: Receipt) -> Path:
    """A part as an attempt of an upload leaves it."""
    files = ReceiptFiles(folder / name)
    parts = PartReceipts(folder / name / "local", attempt=name, publish=files.publish)
    parts.add(receipts)
    parts.flush()
    (path,) = files.folder.iterdir()
    return path

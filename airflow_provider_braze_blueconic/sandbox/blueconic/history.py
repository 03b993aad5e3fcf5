"""Who made what a BlueConic tenant has set up, and when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow_provider_braze_blueconic.sandbox.people import REFERENCE

__all__ = ["HISTORY", "SYSTEM", "stamp"]

_OWNER = {"fullName": "Sandbox", "userName": "sandbox@example.com"}
SYSTEM = {"fullName": "BlueConic", "userName": "BlueConic"}


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


HISTORY: dict[str, Any] = {
    "creationDate": stamp(REFERENCE - timedelta(days=2000)),
    "creator": _OWNER,
    "lastModifiedDate": stamp(REFERENCE - timedelta(days=100)),
    "lastModifiedUser": _OWNER,
}

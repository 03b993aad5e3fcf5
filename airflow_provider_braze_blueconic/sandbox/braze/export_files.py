"""The files of a segment export of the sandbox's Braze."""

from __future__ import annotations

import gzip
import io
import json
import random
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.braze.user import User
from airflow_provider_braze_blueconic.sandbox.braze.workspace import Segment

__all__ = ["ENDINGS", "Content", "encode_user", "export_key", "outdated", "pack", "plan_parts"]

Content = Literal["good", "outdated", "cut", "not UTF-8"]

_OUTDATED = {
    "first_name": "Outdated",
    "home_city": "Yesterville",
    "total_revenue": 0.01,
    "email": "outdated@example.com",
}

_OUTDATED_ATTRIBUTES = {"favourite_store": "Closed store", "loyalty_tier": "none"}
ENDINGS: dict[str, str] = {"zip": "zip", "gzip": "gz"}


def export_key(settings: BrazeSettings, segment: Segment, name: str) -> str:
    root = settings.export_root.strip("/")
    return f"{root}/segment-export/{segment.id}/{name}" if root else f"segment-export/{segment.id}/{name}"


def plan_parts(users: Sequence[User], settings: BrazeSettings, draw: random.Random) -> list[list[tuple[Content, User]]]:
    """Decide which line stands in which part, and in which order the parts appear."""
    size = settings.export_users_per_part
    parts: list[list[tuple[Content, User]]] = [
        [("good", user) for user in users[start : start + size]] for start in range(0, len(users), size)
    ]
    chosen = draw.sample(range(len(users)), min(settings.export_duplicates, len(users)))
    for count, place in enumerate(chosen):
        if count % 2 == 0:
            parts[place // size].insert(0, ("outdated", users[place]))
        else:
            parts[(place // size + 1) % len(parts)].append(("good", users[place]))
    for count in range(settings.export_broken_lines if parts else 0):
        part = parts[count % len(parts)]
        part.insert(len(part) // 2, ("not UTF-8" if count % 2 else "cut", users[count % len(users)]))
    if settings.export_shuffled:
        draw.shuffle(parts)
    return parts[: max(len(parts) - settings.export_lost_parts, 0)] or ([[]] if settings.export_empty_part else [])


def outdated(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a user with the values of an earlier day."""
    custom = shown.get("custom_attributes", {})
    return {
        **shown,
        **{name: value for name, value in _OUTDATED.items() if name in shown},
        "custom_attributes": {**custom, **{name: v for name, v in _OUTDATED_ATTRIBUTES.items() if name in custom}},
    }


def encode_user(shown: Any) -> bytes:
    return json.dumps(shown, ensure_ascii=False).encode() + b"\n"


def pack(lines: Iterable[bytes], form: str, *, entries: int) -> bytes:
    held = list(lines)
    if form == "gzip":
        return gzip.compress(b"".join(held), compresslevel=1, mtime=0)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(entries):
            share = held[len(held) * number // entries : len(held) * (number + 1) // entries]
            opened.writestr(f"{uuid.uuid4().hex}.json", b"".join(share))
    return archive.getvalue()

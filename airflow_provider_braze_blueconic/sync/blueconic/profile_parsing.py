"""Profiles as BlueConic documents them, parsed to columns without a dictionary a profile.

Strict: whoever finds anything else here reads the same text with care (:mod:`~.profile_columns`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Profile", "last_modified", "moment", "parse_profiles", "property_values"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds of the beginning of the year 1 and of the end of 9999, between which a time can be told."""


class _Property(msgspec.Struct, gc=False):
    id: str | None = None
    values: list[str] | None = None


class _Segment(msgspec.Struct, gc=False):
    id: str
    name: str | None = None


class _Permissions(msgspec.Struct, gc=False):
    level: str | None = None


class Profile(msgspec.Struct, gc=False, rename="camel"):
    """A profile, without what nobody asks for."""

    id: str
    properties: list[_Property] | None = None
    segments: list[_Segment] | None = None
    permissions: _Permissions | None = None
    consented_objectives: list[str] | None = None


_decode = msgspec.json.Decoder(list[Profile]).decode


def parse_profiles(text: bytes) -> list[Profile]:
    """Parse a list of profiles.

    :raises ValueError: it isn't as documented.
    :raises RecursionError: it is nested too deeply.
    """
    if not text.isascii():
        text.decode()  # the parser doesn't look at the bytes of what it skips
    return _decode(text)


def property_values(profiles: Sequence[Profile], names: Sequence[str]) -> list[Sequence[list[str] | None]]:
    """Turn profiles into columns: the values of each property, ``None`` where a profile doesn't have it."""
    rows = []
    for profile in profiles:
        values_of = {entry.id: entry.values for entry in profile.properties or ()}.get
        rows.append(tuple(map(values_of, names)))
    return list(zip(*rows, strict=True)) if rows else [()] * len(names)


def last_modified(column: Sequence[Sequence[str] | None]) -> pa.Array:
    """Read moments in Unix milliseconds, the first text of each list; null for what is none."""
    import pyarrow as pa

    kind = pa.timestamp("us", tz="UTC")
    try:
        numbers = [int(values[0]) if values else None for values in column]
    except ValueError:
        numbers = []
    known = [number for number in numbers if number is not None]
    if known and _EARLIEST <= min(known) <= max(known) <= _LATEST:
        return pa.array([None if number is None else 1_000 * number for number in numbers], kind)
    return pa.array([moment(values) for values in column], kind)


def moment(values: Any) -> dt.datetime | None:
    """Read a moment in Unix milliseconds; ``None`` for what is none."""
    try:
        return _EPOCH + dt.timedelta(milliseconds=int(values[0])) if values else None
    except (TypeError, ValueError, OverflowError):
        return None

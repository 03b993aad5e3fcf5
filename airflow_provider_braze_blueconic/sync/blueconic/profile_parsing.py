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
_LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest that a time can be told of."""


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


def property_values(profiles: Sequence[Profile], names: Sequence[str]) -> list[list[list[str] | None]]:
    """Turn profiles into columns: the values of each property, ``None`` where a profile doesn't have it."""
    columns: list[list[list[str] | None]] = [[] for _ in names]
    adders = [(column.append, name) for column, name in zip(columns, names, strict=True)]
    for profile in profiles:
        values_of = {entry.id: entry.values for entry in profile.properties or ()}.get
        for add, name in adders:
            add(values_of(name))
    return columns


def last_modified(column: Sequence[Sequence[str] | None]) -> pa.Array:
    """Read moments in Unix milliseconds, the first text of each list; null for what is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        texts = pa.array([values[0] if values else None for values in column], pa.string())
        if pc.all(pc.ascii_is_decimal(texts)).as_py() is not False:  # Arrow would also take hexadecimals
            numbers = texts.cast(pa.int64())
            if (pc.max(numbers).as_py() or 0) <= _LATEST:
                return numbers.cast(pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:  # too large
        pass
    return pa.array([moment(values) for values in column], pa.timestamp("us", tz="UTC"))


def moment(values: Any) -> dt.datetime | None:
    """Read a moment in Unix milliseconds; ``None`` for what is none."""
    try:
        return _EPOCH + dt.timedelta(milliseconds=int(values[0])) if values else None
    except (TypeError, ValueError, OverflowError):
        return None

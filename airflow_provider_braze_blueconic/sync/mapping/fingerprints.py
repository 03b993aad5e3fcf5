"""Fingerprints: of a mapping, of the record that it maps, and of the values that it makes of it.

Mapping is a function of the plan and of the columns that the plan reads. So a record with the same fingerprint, under
a plan with the same fingerprint, has the same identifier, values and warnings as it had before, and need not be mapped.

A fingerprint of values is two hashes of 64 bits of the same columns, in either order. That of a record is one of all
its columns and one of those that tell who it is, so that records of different people never meet. DuckDB's own hash may
change with its version, and so may what the packages say that know countries, languages, time zones and domains: their
versions are part of the mapping's fingerprint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan

__all__ = ["RECORD", "VALUES", "hashed_sql", "mapping_fingerprint", "record_sql", "same_hashes_sql"]

RECORD = ("record_h", "record_g")
"""Columns with the fingerprint of a record, unsigned 64 bits each."""

VALUES = ("values_h", "values_g")
"""Columns with the fingerprint of the values that were made of it."""

_DECIDE = ("duckdb", "babel", "idna", "tzdata")
"""Packages whose version may decide what a value becomes."""


def mapping_fingerprint(plan: MappingPlan) -> str:
    """Return the fingerprint of everything, beside a record, that decides what is made of it: 32 hex digits."""
    what = [__version__, *map(version, _DECIDE), dataclasses.asdict(plan)]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=_name).encode()).hexdigest()[:32]


def _name(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def record_sql(plan: MappingPlan) -> str:
    """SQL for the fingerprint of a record, as the columns :data:`RECORD`."""
    people = sorted({link.column for link in plan.identifiers})
    everything, who = (", ".join(columns) for columns in (_columns(plan), people))
    return f"hash({everything}) AS {RECORD[0]}, hash('who', {who}) AS {RECORD[1]}"


def hashed_sql(columns: Sequence[str], names: tuple[str, str]) -> str:
    """SQL for a fingerprint of some columns.

    :param columns: SQL for them, in an order that never changes.
    :param names: of the two hashes.
    """
    forwards, backwards = ", ".join(["'<'", *columns]), ", ".join(["'>'", *reversed(columns)])
    return f"hash({forwards}) AS {quote(names[0])}, hash({backwards}) AS {quote(names[1])}"


def same_hashes_sql(one: str, other: str, names: tuple[str, str]) -> str:
    """SQL that tells whether two relations agree in a fingerprint."""
    return " AND ".join(f"{one}.{quote(name)} = {other}.{quote(name)}" for name in names)


def _columns(plan: MappingPlan) -> list[str]:
    """Name the columns of a snapshot that a mapping reads, beside those that every snapshot has."""
    read = [link.column for link in plan.identifiers]
    read += [field.column for field in plan.fields if field.column]
    read += [link.column for link in plan.matching.links] if plan.matching else []
    read += ["consented"] if plan.objectives else []
    return sorted(set(read))

"""The partition of a person: a hash of the identifier that no library version may change.

MD5, because DuckDB and Python's standard library compute the same one; DuckDB's own ``hash()`` may differ
between its versions, and a ledger partitioned by it would silently lose its people. Not used for security.
"""

from __future__ import annotations

import hashlib

__all__ = ["partition_of", "partition_sql"]


def partition_of(identifier: str, partitions: int) -> int:
    """Return the partition, ``0 <= p < partitions``, of an identifier's JSON text."""
    digest = hashlib.md5(identifier.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") % partitions


def partition_sql(identifier: str, partitions: int) -> str:
    """Return SQL that computes :func:`partition_of` for an SQL expression."""
    return f"(md5_number_lower({identifier}) % {partitions:d})::INTEGER"

"""The columns of the ledger.

``identifier`` (JSON text, as in a request), ``partition``, ``as_of`` (UTC, version of the acknowledged data),
``in_segment`` (present in the last complete read), ``run_key`` (last run that changed the row), ``rejection``,
``attempts``, ``refused_hash``, ``refused_as`` and ``tried_at`` (of records that the target did not take, or not whole),
``unstuck`` and ``unstuck_hash`` (how often values were put right that the target was seen not to hold any more, and
which), ``unproven`` (accepted only while the target was not to create people, so that it may not have them),
``known_by`` (who the row's person is; see :mod:`.known_by`), and one ``field_…`` column a target field with its JSON
text; NULL means that the target's value is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BOOKS", "ledger_schema", "no_rows"]

BOOKS: Mapping[str, str] = {
    "identifier": "VARCHAR",
    "as_of": "TIMESTAMPTZ",
    "in_segment": "BOOLEAN",
    "run_key": "VARCHAR",
    "rejection": "VARCHAR",
    "attempts": "INTEGER",
    "refused_hash": "VARCHAR",
    "refused_as": "VARCHAR",
    "tried_at": "TIMESTAMPTZ",
    "unstuck": "INTEGER",
    "unstuck_hash": "VARCHAR",
    "unproven": "BOOLEAN",
    "known_by": "VARCHAR",
}
"""Columns beside the fields, and their types."""


def ledger_schema(fields: Sequence[str], *, with_known_by: bool = False) -> pa.Schema:
    """Schema of the table; what only some goals need is not in the tables of the others.

    :param fields: field columns.
    """
    import pyarrow as pa

    known_by = [("known_by", pa.string())] if with_known_by else []
    return pa.schema(
        [
            ("identifier", pa.string()),
            ("partition", pa.int32()),
            ("as_of", pa.timestamp("us", tz="UTC")),
            ("in_segment", pa.bool_()),
            ("run_key", pa.string()),
            ("rejection", pa.string()),
            ("attempts", pa.int32()),
            ("refused_hash", pa.string()),
            ("refused_as", pa.string()),
            ("tried_at", pa.timestamp("us", tz="UTC")),
            ("unstuck", pa.int32()),
            ("unstuck_hash", pa.string()),
            ("unproven", pa.bool_()),
            *known_by,
            *((field, pa.string()) for field in fields),
        ]
    )


def no_rows() -> pa.Table:
    """Return a ledger of nobody."""
    return ledger_schema([]).empty_table()

"""The ledger's column ``known_by``: who the person of a row is.

It is there where a goal needs it. Of an export with several links it is a JSON list of the identifiers by which the
person was known, ``[]`` once the person has moved to another row; of an import it is the ``matching`` by which
BlueConic was asked last. NULL says nothing: the ledger is older than the column.
"""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.state.outcomes import ACCEPTED, REFUSED

__all__ = ["KNOWN_BY_NOBODY", "known_by_sql"]

KNOWN_BY_NOBODY = "[]"
"""What ``known_by`` says of a row whose person moved to another one. What it knew of the target counts there."""


def known_by_sql(*, late: bool) -> str:
    """SQL for who a row's person is known to be after a run, over ``l`` (ledger) and ``c`` (outcome).

    By what BlueConic finds a person counts once it was asked by it, so that somebody whom no request reached is still
    somebody else. An answer of somebody who has moved since shows that the row says something again.

    :param late: another run has moved the ledger since the delta was made.
    """
    asked = f"(({ACCEPTED} OR {REFUSED}) AND c.matching IS NOT NULL)"
    revived = f"({ACCEPTED} AND l.known_by = {literal(KNOWN_BY_NOBODY)})"
    if late:
        # What a newer run knows of a person is newer.
        newest = "coalesce(l.known_by, c.known_by)"
        return (
            f"CASE WHEN {revived} THEN c.known_by WHEN {asked} THEN coalesce(l.known_by, c.matching) ELSE {newest} END"
        )
    learnt = "coalesce(c.known_by, l.known_by)"
    return f"CASE WHEN {asked} THEN c.matching WHEN {revived} THEN c.known_by ELSE {learnt} END"

"""Numbers that are added to: how much a run adds."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.state.doubt import is_certain

__all__ = ["increase_sql"]

_ONE_NUMBER = "DECIMAL(38, 4)"
"""Exact to four decimals, which is what a number of BlueConic holds."""


def increase_sql(mapped: str, known: str, changed: str, *, grows: bool) -> str:
    """SQL for what is added: the value itself, or what it grew by since the last acknowledged one; NULL for nothing.

    Who was never sent counts from zero. A counter that fell adds nothing, and grows from where it fell to. Where the
    field was set before, and it is in doubt what to, nobody can tell what to add: it grows from where it stands now.
    """
    changed = f"({changed}) AND {is_certain(known)}"
    if not grows:
        return f"CASE WHEN {changed} THEN {mapped} END"
    # What the ledger knows may be a text from before the property became a number: there is no number to grow from.
    now, before = (f"TRY_CAST(json_extract_string({text}, '$[0]') AS {_ONE_NUMBER})" for text in (mapped, known))
    grown = f"({now} - coalesce({before}, 0))"
    plain = f"regexp_replace(regexp_replace({grown}::VARCHAR, '0+$', ''), '\\.$', '')"
    return f"CASE WHEN {changed} AND {grown} > 0 THEN concat('[\"', {plain}, '\"]') END"

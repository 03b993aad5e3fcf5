"""Echoes: values of the target that come back to it through the other system."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.engine.columns import echo_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.values.times import written_moment_sql

__all__ = ["LOOKED", "echo_sql", "is_echo_sql"]

LOOKED = "coalesce(s.as_of > coalesce(l.as_of, '-infinity'::TIMESTAMPTZ), FALSE)"
"""SQL that tells whether a look at the target is newer than what it acknowledged."""


def echo_sql(target: str) -> str:
    """SQL that tells whether a mapped value is an echo."""
    return f"({LOOKED} AND coalesce(s.{quote(echo_column(target))}, FALSE))"


_ONE_MOMENT = r'\["[0-9]{4}-[0-9]{2}-[0-9]{2}[^"]*"\]'
"""A property that holds one text which begins as a moment does."""


def is_echo_sql(mapped: str, echo: str) -> str:
    """SQL that tells whether a mapped value is what came back. A moment may come back in another notation."""
    moments = [f"CASE WHEN regexp_full_match({text}, '{_ONE_MOMENT}') THEN {written_moment_sql(f'({text})[3:-3]')} END"
               for text in (mapped, echo)]  # fmt: skip
    return f"coalesce({mapped} = {echo} OR {moments[0]} = {moments[1]}, FALSE)"

"""Phone numbers in E.164, the form in which Braze knows people by them."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.values.space import SPACE_CLASS

__all__ = ["bare_phone_sql", "is_phone_sql"]

_PHONE_PATTERN = r"\+[1-9][0-9]{6,14}"
_PHONE_SEPARATORS = rf"\(0\)|[{SPACE_CLASS}().\-\x{{2010}}-\x{{2015}}\x{{2212}}/]"
"""``+31 (0)6`` is written for people: the zero is not dialled from abroad."""


def bare_phone_sql(value: str) -> str:
    """SQL for a number without what people write between its digits."""
    return f"regexp_replace({value}, '{_PHONE_SEPARATORS}', '', 'g')"


def is_phone_sql(bare: str) -> str:
    """SQL that tells whether a bare number is in E.164."""
    return f"regexp_full_match({bare}, '{_PHONE_PATTERN}')"

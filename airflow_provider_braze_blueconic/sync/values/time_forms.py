"""The forms in which a moment or a day is written, as far as SQL and Python read them alike.

============================================  =======================================================================
``2026-01-15T12:00:00.123+01:00``             ISO 8601 and its relatives: a space for the ``T``, a comma or colon before
                                              the fraction, a space before the offset (Ruby), ``UTC`` or ``GMT`` for it,
                                              none at all for UTC, as Braze reads it
``2026-01-15``, ``20260115``                  a day
``20260115120000``, ``20260115T120000Z``      the same without marks
``01/15/2026``                                month, day, year: the one form with slashes that Braze reads
``1768474800``                                a number since 1970: nine and ten digits are seconds, up to fifteen
                                              milliseconds, up to seventeen microseconds, more are nanoseconds
============================================  =======================================================================

A number that lies outside the years 1 to 9999 is no time: neither end has a form for it.

Standard library only: the goals' checks and the reading of a Braze export use it too.
"""

from __future__ import annotations

__all__ = ["AMERICAN_DAY", "BASIC_MOMENT", "DAY", "DAY_SECONDS", "FRACTION", "MINUTE", "OFFSET"]

DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
OFFSET = "[+-][0-9]{2}(?::?[0-9]{2})?"
BASIC_MOMENT = rf"[0-9]{{8}}T[0-9]{{6}}(?:Z|{OFFSET})?"
AMERICAN_DAY = "[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}"

FRACTION = r"(?:\.[0-9]+)?"
DAY_SECONDS = 86_400
"""Seconds of a day."""
MINUTE = 60_000
"""Milliseconds of a minute."""

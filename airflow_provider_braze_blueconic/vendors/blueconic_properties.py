"""How large a value of a BlueConic profile property can be, by the type of the property.

Support "Profile properties, data types" and "Profile properties overview", read 2026-11.
"""

from __future__ import annotations

__all__ = ["DECIMALS", "LARGEST_NUMBER", "TEXT_BYTES", "TEXT_CHARACTERS"]

LARGEST_NUMBER = 2_147_483_647
"""Of a number; larger ids are to be stored as text."""
DECIMALS = 4
"""Of a decimal or a currency, at most."""
TEXT_CHARACTERS = 65_000
TEXT_BYTES = 64_000
"""Of a text: "default value size 64 KB". KB or KiB is UNVERIFIED, so the smaller."""

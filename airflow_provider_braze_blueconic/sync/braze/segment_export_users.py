"""The users in lines of a segment export, if there is one in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from airflow_provider_braze_blueconic.sync.values.characters import repaired
from airflow_provider_braze_blueconic.sync.values.space import trimmed

__all__ = ["BrokenLine", "read_user", "read_users"]


class BrokenLine(Exception):
    """A line that is no user, with a reason that holds nothing of the line."""


def read_users(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Read lines that are all users, and need no repair.

    :return: what :func:`read_user` gives for each; ``None`` where one is no user or may need repair.
    """
    try:
        users = list(map(_parse_fast, lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if set(map(type, users)) != {dict}:
        return None
    ids = [user.get("braze_id") for user in users]
    return users if set(map(type, ids)) == {str} and all(map(trimmed, ids)) else None


def read_user(line: bytes) -> tuple[dict[str, Any], bool]:
    """Read one line.

    :return: the user, and whether half a character was repaired.
    :raises BrokenLine: it is no user.
    """
    try:
        # It refuses a line with half a character, so what it takes needs no repair.
        return _checked(_parse_fast(line)), False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        user = _checked(_parse_with_care(line))
    whole = repaired(user)
    return whole, whole is not user


def _checked(user: Any) -> dict[str, Any]:
    if type(user) is not dict:
        raise BrokenLine("not an object")
    braze_id = user.get("braze_id")
    if type(braze_id) is not str or not trimmed(braze_id):
        raise BrokenLine("no braze_id")
    return user


def _parse_with_care(line: bytes) -> Any:
    """Parse what the fast parser refused: it may hold half a character, or the place of the mistake is asked for."""
    try:
        return _parse_json(line.decode(errors="surrogatepass"))
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8 at byte {error.start + 1:,}") from None
    except json.JSONDecodeError as error:
        raise BrokenLine(f"not JSON: {error.msg} at character {error.pos + 1:,}") from None
    except ValueError:
        raise BrokenLine("not JSON: a number that no system can hold") from None


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinite: JSON can write a number that no float holds
        raise ValueError
    return number


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and Infinity, which Python would take


_parse_fast = msgspec.json.Decoder().decode
"""Takes three to four times less than ``json``; whatever both take comes out the same."""
_parse_json = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant).decode

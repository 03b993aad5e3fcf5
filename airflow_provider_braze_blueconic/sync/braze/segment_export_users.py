"""The user in a line of a segment export, if there is one."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_braze_blueconic.sync.values.space import trimmed

__all__ = ["BrokenLine", "read_user"]


class BrokenLine(Exception):
    """A line that is no user, with a reason that holds nothing of the line."""


def read_user(line: bytes) -> dict[str, Any]:
    """Read one line.

    :raises BrokenLine: it is no user.
    """
    try:
        user = _parse_json(line.decode(errors="surrogatepass"))
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8 at byte {error.start + 1:,}") from None
    except json.JSONDecodeError as error:
        raise BrokenLine(f"not JSON: {error.msg} at character {error.pos + 1:,}") from None
    except ValueError:
        raise BrokenLine("not JSON: a number that no system can hold") from None
    if type(user) is not dict:
        raise BrokenLine("not an object")
    braze_id = user.get("braze_id")
    if type(braze_id) is not str or not trimmed(braze_id):
        raise BrokenLine("no braze_id")
    return user


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinite: JSON can write a number that no float holds
        raise ValueError
    return number


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and Infinity, which Python would take


_parse_json = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant).decode

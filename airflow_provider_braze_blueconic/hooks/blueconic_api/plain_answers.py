"""Answers of ``PUT /profiles`` that accept entry after entry, as nearly all do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from airflow_provider_braze_blueconic.hooks.blueconic_api.judging import ACCEPTED_STATES

__all__ = ["odd_positions"]


class _Result(msgspec.Struct, gc=False, rename="camel"):
    identifier: str
    state: str
    validation_errors: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(list[_Result]).decode


def odd_positions(answer: bytes | None, keys: Sequence[str]) -> list[int] | None:
    """Find the entries of which an answer tells something other than that they were accepted as a whole.

    :param keys: of the entries, none of which adds to a number.
    :return: their positions; ``None`` if the answer is not one result for each entry in their order, or has another
        form. That results come so is UNVERIFIED, and looked up in each answer.
    """
    if not answer or not keys or len(set(keys)) < len(keys):
        return None
    try:
        if not answer.isascii():
            answer.decode()  # the parser doesn't look at the bytes of what it skips
        results = _decode(answer)
    except (ValueError, RecursionError):
        return None
    if [result.identifier for result in results] != keys:
        return None
    return [
        position
        for position, result in enumerate(results)
        if result.validation_errors or result.state not in ACCEPTED_STATES
    ]

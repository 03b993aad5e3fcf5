"""The JSON of answers, accepted only if complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.http.patience import TryAgainError
from airflow_provider_braze_blueconic.sync.values.characters import may_hold_halves, repaired

if TYPE_CHECKING:
    import requests

    from airflow_provider_braze_blueconic.hooks.http.calls import Call

__all__ = ["MAX_ANSWER_BYTES", "read_json", "read_object"]

MAX_ANSWER_BYTES = 1 << 30
"""An answer above one GiB is not read on: pages and lists are far below, and it would not fit in a worker."""

_CHUNK_BYTES = 1 << 16


def read_json(text: bytes | bytearray | None, *, whole_texts: bool = True) -> Any:
    """Read the JSON of an answer; ``None`` if there is none, or if it is none.

    :param whole_texts: repair halves of characters.
    """
    try:
        value = json.loads(text) if text else None
        return repaired(value) if text and whole_texts and may_hold_halves(text) else value
    except (ValueError, RecursionError):  # also bad UTF-8; the text of the error could quote the body
        return None


def read_object(call: Call, response: requests.Response, *, place: str) -> dict[str, Any]:
    """Read the body to its end and check that it is whole: a broken stream ends in the middle of the document.

    :param place: vendor, host and connection, for sentences.
    """
    text = _read_to_the_end(call, response, place=place)
    body = read_json(text, whole_texts=call.whole_texts)
    if not isinstance(body, dict):
        hint = " It looks like a web page: check the host." if text.lstrip()[:1] == b"<" else ""
        raise TryAgainError(
            UnexpectedAnswer(f"{place} answered {call.title} with something other than complete JSON.{hint}")
        )
    if call.list_of is not None:
        entries = body.get(call.list_of)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TryAgainError(UnexpectedAnswer(f'{place} answered {call.title} without a list of "{call.list_of}".'))
    return body


def _read_to_the_end(call: Call, response: requests.Response, *, place: str) -> bytearray:
    text = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        text += chunk
        if len(text) > MAX_ANSWER_BYTES:
            raise UnexpectedAnswer(
                f"{place} answered {call.title} with more than {MAX_ANSWER_BYTES:,} bytes. Use smaller pages."
            )
    return text

"""The JSON of answers, accepted only if complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.http.patience import TryAgainError
from airflow_provider_braze_blueconic.sync.values.characters import may_hold_halves, repaired

if TYPE_CHECKING:
    import requests

    from airflow_provider_braze_blueconic.hooks.http.calls import Call

__all__ = ["MAX_ANSWER_BYTES", "NoListError", "NotJsonError", "read_json", "read_object"]

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


class NotJsonError(Exception):
    """A body is no complete JSON object.

    :param is_web_page: it looks like one for people.
    """

    def __init__(self, *, is_web_page: bool = False) -> None:
        self.is_web_page = is_web_page
        super().__init__()


class NoListError(Exception):
    """An answer is without the list of objects that it must hold."""


def read_object(call: Call, response: requests.Response, *, place: str) -> dict[str, Any]:
    """Read the body to its end and check that it is whole: a broken stream ends in the middle of the document.

    :param place: vendor, host and connection, for sentences.
    """
    chunks = _chunks(call, response, place=place)
    try:
        return call.read(chunks) if call.read is not None else _read_whole(call, chunks)
    except NotJsonError as broken:
        hint = " It looks like a web page: check the host." if broken.is_web_page else ""
        text = f"{place} answered {call.title} with something other than complete JSON.{hint}"
    except NoListError:
        text = f'{place} answered {call.title} without a list of "{call.list_of}".'
    raise TryAgainError(UnexpectedAnswer(text))


def _read_whole(call: Call, chunks: Iterator[bytes]) -> dict[str, Any]:
    text = bytearray()
    for chunk in chunks:
        text += chunk
    body = read_json(text, whole_texts=call.whole_texts)
    if not isinstance(body, dict):
        raise NotJsonError(is_web_page=text.lstrip()[:1] == b"<")
    if call.list_of is not None:
        entries = body.get(call.list_of)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise NoListError
    return body


def _chunks(call: Call, response: requests.Response, *, place: str) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_content(_CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UnexpectedAnswer(
                f"{place} answered {call.title} with more than {MAX_ANSWER_BYTES:,} bytes. Use smaller pages."
            )
        yield chunk

"""One ordinary call: its request, what its refusals mean, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.exceptions import SyncError

__all__ = ["Answer", "Call"]


@dataclass(frozen=True)
class Call:
    """One request, and what its refusals mean.

    :param method: HTTP method.
    :param path: path below the site, with its leading slash.
    :param right: the permission or scope that this endpoint needs.
    :param shown_path: the path as it is shown, where ``path`` holds an id.
    :param params: query; a list repeats its name.
    :param body: JSON body.
    :param form: form-encoded body.
    :param repeatable: ``False`` for a call that must not be made twice; it is tried once.
    :param list_of: name of the list of objects that an answer must hold to count as whole.
    :param errors: what to raise for a status, where the endpoint's own meaning differs from the table's.
    :param why_again: says what is odd about a whole answer that can't be gone on from, such as "gave the same page
        twice"; ``None`` for a good one. The call is made again then, as often as a busy server is asked.
    :param read: reads the body as it comes, and returns the object; what it has to check is up to it. It raises what
        :mod:`~.bodies` names. ``None`` to hold the whole body.
    :param whole_texts: ``False`` leaves halves of characters as they are, for a caller that repairs them itself and
        counts the people.
    """

    method: str
    path: str
    right: str
    shown_path: str | None = None
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = field(default=None, repr=False)
    repeatable: bool = True
    list_of: str | None = None
    errors: Mapping[int, SyncError] = field(default_factory=dict)
    why_again: Callable[[Answer], str | None] | None = field(default=None, compare=False)
    read: Callable[[Iterator[bytes]], dict[str, Any]] | None = field(default=None, compare=False)
    whole_texts: bool = True

    @property
    def title(self) -> str:
        """Method and path, for a sentence."""
        return f"{self.method} {self.shown_path or self.path}"


@dataclass(frozen=True)
class Answer:
    """A whole JSON object.

    :param body: the object; never shown, it may hold people.
    :param next_link: the address in the ``Link`` header that is marked as next.
    """

    body: dict[str, Any] = field(repr=False)
    next_link: str | None = None

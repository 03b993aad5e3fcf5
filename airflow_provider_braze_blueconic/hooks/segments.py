"""Finding a segment by the id or name in a goal, the same for both vendors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.near_names import nearest

__all__ = ["find_segment"]


class _Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


_Segment = TypeVar("_Segment", bound=_Named)


def find_segment(vendor: str, segments: Sequence[_Segment], id_or_name: str) -> _Segment:
    """Find a segment by its id, else by its exact name.

    :param vendor: for the message.
    :raises GoalError: there is none, or several have that name.
    """
    found = [segment for segment in segments if segment.id == id_or_name]
    found = found or [segment for segment in segments if segment.name == id_or_name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(segment.id for segment in found)
        message = f'{vendor} has {len(found)} segments with the name "{id_or_name}". Use one of their ids: {ids}.'
    else:
        message = f'{vendor} has no segment "{id_or_name}".' + nearest(id_or_name, (s.name for s in segments))
    raise GoalError([Problem("source.segment", message)])

"""What the sandbox's Braze was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.objects import Kind

__all__ = ["Outcome", "Traffic"]


@dataclass
class Traffic:
    """What has been sent to ``/users/track`` and ``/users/track/bulk``, as Braze counts it.

    :param requests: requests that reached the reading of their objects.
    :param objects: objects in them.
    :param accepted: objects that were queued.
    :param refused: objects named in ``errors``, or in a request that was refused whole.
    :param unmatched: accepted objects that changed nobody: update only, and nobody was found.
    :param created: users that came into being.
    :param data_points: what the accepted objects cost.
    """

    requests: int = 0
    objects: int = 0
    accepted: int = 0
    refused: int = 0
    unmatched: int = 0
    created: int = 0
    data_points: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What became of one request's objects."""

    accepted: Mapping[Kind, int]
    errors: Sequence[Mapping[str, Any]]

"""Which members of a segment a refinement lets through."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile, milliseconds
from airflow_provider_braze_blueconic.sandbox.blueconic.refinement import Refinement

__all__ = ["Matches"]

_CACHED_MATCHES = 8


class Matches:
    """The ids of the profiles that match, in order; the latest answers are kept.

    :param profiles: of the tenant, by id.
    """

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._kept: dict[tuple[str, str, int, float], list[str]] = {}

    def of(
        self,
        segment_id: str,
        members: Collection[str],
        refinement: Refinement | None,
        *,
        version: int,
        now: datetime,
        lag_ms: float,
    ) -> list[str]:
        """Return who matches.

        :param version: grows with each change of the tenant: what was kept of an earlier one is stale.
        :param lag_ms: milliseconds for which the index does not know a change.
        """
        key = (segment_id, "" if refinement is None else refinement.text, version, lag_ms)
        moves = refinement is not None and (lag_ms > 0 or refinement.depends_on_now)
        if not moves and key in self._kept:
            return self._kept[key]
        ids = sorted(members)
        if refinement is not None:
            ids = [each for each in ids if _is_refined(self._profiles[each], refinement, now=now, lag_ms=lag_ms)]
        while len(self._kept) >= _CACHED_MATCHES:
            self._kept.pop(next(iter(self._kept)))
        if not moves:
            self._kept[key] = ids
        return ids


def _is_refined(profile: Profile, refinement: Refinement, *, now: datetime, lag_ms: float) -> bool:
    modified = profile.modified
    if lag_ms and now.timestamp() * 1000 - modified < lag_ms:
        modified = profile.modified_before

    def look_up(name: str) -> Sequence[str]:
        if name == "lastmodifieddate":
            return [str(modified)]
        if name == "creationdate":
            return [milliseconds(profile.created)]
        return profile.values.get(name, ())

    return refinement.holds(
        look_up, consented=profile.consented, refused=profile.refused, legislation=profile.legislation, now=now
    )

"""The profiles of a segment, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem, SettingError, SyncError
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import whole_number
from airflow_provider_braze_blueconic.hooks.blueconic_api.page_reading import read_rows
from airflow_provider_braze_blueconic.hooks.blueconic_api.page_walk import Walk
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Answer, Call
from airflow_provider_braze_blueconic.sync.blueconic.page_rows import PageRows
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import RowsPage

__all__ = ["MODIFIED_OVERLAP", "ProfilePage", "SegmentRead", "modified_between"]

MODIFIED_OVERLAP = timedelta(minutes=15)
"""By how much a read of changes has to reach back before the last good one.

A change can take up to 10 minutes to be searchable: BlueConic support, "Troubleshooting the number of profiles in
BlueConic segments", read 2026-11. The other five are for clocks that differ.
"""

PAGE_MAXIMUM = 1_000_000
"""Profiles per page of a segment: REST API v2, release 103, ``GET /segments/{segment}/profiles``, read 2026-11."""

_ALONE = "lastmodifieddate"
"""Asked for where a caller wants no property, since asking for none returns all of them."""

_EXPANSIONS = {"permissions": "profiles.profile.permissions", "segments": "profiles.profile.segments"}


@dataclass(frozen=True)
class ProfilePage:
    """One whole page of a segment's profiles.

    :param profiles: as BlueConic gave them.
    :param total_results: profiles in the whole read, as the server counts; ``None`` where it does not say.
    :param cursor: where this page starts.
    :param next_cursor: where the next one starts; ``None`` on the last page.
    """

    profiles: list[dict[str, Any]] = field(repr=False)
    total_results: int | None
    cursor: str
    next_cursor: str | None


def modified_between(since: datetime, until: datetime) -> dict[str, str]:
    """Build the refinement for profiles that changed in a span of time.

    UNVERIFIED that BlueConic accepts ``lastmodifieddate`` here; the definition of the API does not forbid it.

    :param since: aware; the caller has already reached back by :data:`MODIFIED_OVERLAP`.
    :param until: aware.
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise SettingError("modified_between needs times with a time zone.")
    return {
        "property": "lastmodifieddate",
        "operator": "IN_RANGE",
        "fromDate": _milliseconds(since),
        "toDate": _milliseconds(until),
    }


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SegmentRead:
    """One read of the members of a segment.

    :param segment_id: the segment's id.
    :param properties: ids of the properties to read; no other is returned.
    :param expand: what to read beside the properties.
    :param refinement: only members that fit it, such as :func:`modified_between`.
    :param page_size: profiles per page, at most 1,000,000.
    """

    def __init__(
        self,
        segment_id: str,
        *,
        properties: Sequence[str],
        expand: Sequence[Literal["permissions", "segments"]],
        refinement: Mapping[str, Any] | None,
        page_size: int,
    ) -> None:
        if not 0 < page_size <= PAGE_MAXIMUM:
            raise SettingError(f"page_size must be between 1 and {PAGE_MAXIMUM:,}; it is {page_size:,}.")
        self._segment_id = segment_id
        self._errors = _refusals(segment_id)
        self._params: dict[str, str | int | list[str]] = {
            "count": page_size,
            "profileProperty": list(dict.fromkeys(properties)) or [_ALONE],
        }
        if expand:
            self._params["expand"] = [_EXPANSIONS[name] for name in expand]
        if refinement is not None:
            self._params["refinement"] = json.dumps(refinement, separators=(",", ":"))
            self._errors[400] = _refinement_refused()

    def pages(self, caller: Caller, *, repeated: Callable[[], None]) -> Iterator[ProfilePage]:
        """Read all pages, each whole.

        :param repeated: told of each page that is asked for again, since BlueConic led back to one that was read.
        :raises UnexpectedAnswer: pages stay empty.
        """

        def read(cursor: str, walk: Walk) -> Answer:
            return caller.call(self._call(cursor, why_again=lambda answer: walk.why_again(answer, _ids(answer))))

        for walk, answer in self._walk(read, _ids, repeated):
            yield ProfilePage(answer.body["profiles"], _total(answer), walk.cursor, walk.following)

    def rows(
        self, caller: Caller, columns: ProfileColumns, folder: Path, *, repeated: Callable[[], None]
    ) -> Iterator[RowsPage]:
        """Read all pages as rows, each whole, in as much memory whatever their size.

        The next page is asked for as soon as a page has told its cursor, and thrown away if that page then breaks off.

        :param folder: local folder for the rows of a page that is not whole yet.
        :param repeated: as in :meth:`pages`.
        :raises UnexpectedAnswer: pages stay empty, or a profile has another form than BlueConic's definition says.
        """
        ahead = caller.ahead()

        def read(cursor: str, walk: Walk) -> Answer:
            def ask_next(body: Mapping[str, Any]) -> None:
                following = body.get("nextCursor")
                if isinstance(following, str) and following and not walk.has_read(following):
                    ahead.ask(self._call(following))

            def read_page(chunks: Iterator[bytes]) -> dict[str, Any]:
                return read_rows(chunks, PageRows(columns, folder), on_head=ask_next)

            return caller.call(
                self._call(cursor, why_again=lambda answer: walk.why_again(answer, _signature(answer)), read=read_page),
                ahead,
            )

        try:
            for _walk, answer in self._walk(read, _signature, repeated):
                answer.body["profiles"].check()
                yield RowsPage(answer.body["profiles"], _total(answer))
        finally:
            ahead.drop()

    def _walk(
        self, read: Callable[[str, Walk], Answer], people: Callable[[Answer], object], repeated: Callable[[], None]
    ) -> Iterator[tuple[Walk, Answer]]:
        """Follow the cursors to the end."""
        walk = Walk(repeated)
        while walk.following is not None:
            cursor = walk.begin()
            answer = read(cursor, walk)
            walk.end(answer, people(answer))
            yield walk, answer

    def _call(
        self,
        cursor: str,
        *,
        why_again: Callable[[Answer], str | None] | None = None,
        read: Callable[[Iterator[bytes]], dict[str, Any]] | None = None,
    ) -> Call:
        return Call(
            "GET",
            f"/segments/{quote(self._segment_id, safe='')}/profiles",
            "read:segments",
            shown_path="/segments/{segment}/profiles",
            params={**self._params, "cursor": cursor},
            list_of="profiles",
            errors=self._errors,
            why_again=why_again,
            read=read,
            whole_texts=False,  # write_snapshot repairs them, and counts the people
        )


def _ids(answer: Answer) -> frozenset[str]:
    return frozenset(str(profile.get("id")) for profile in answer.body["profiles"])


def _signature(answer: Answer) -> object:
    rows: PageRows = answer.body["profiles"]
    return rows.signature


def _total(answer: Answer) -> int | None:
    return whole_number(answer.body.get("totalResults"))


def _refusals(segment_id: str) -> dict[int, SyncError]:
    return {
        404: GoalError([Problem("source.segment", f'BlueConic no longer has a segment with the id "{segment_id}".')]),
        414: GoalError([Problem("fields", "BlueConic refuses a request for so many properties. Map fewer.")]),
        431: GoalError([Problem("fields", "BlueConic refuses a request for so many properties. Map fewer.")]),
    }


def _refinement_refused() -> GoalError:
    return GoalError([Problem("source.read", "BlueConic refused to read only changed profiles (400). Set read: full.")])

"""BlueConic's REST API v2: segments with their profiles, the names of what a goal maps, and writing profiles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    GoalError,
    Problem,
    SettingError,
    SyncError,
    TransientError,
    UnexpectedAnswer,
)
from airflow_provider_braze_blueconic.hooks.blueconic_profiles import (
    PROFILES_IN_FLIGHT,
    PROFILES_LIMITS,
    PROFILES_RATE,
    SumWord,
    open_profiles_sender,
)
from airflow_provider_braze_blueconic.hooks.connection_form import with_connection_form
from airflow_provider_braze_blueconic.hooks.http import Answer, Call, Caller, Patience, Site
from airflow_provider_braze_blueconic.hooks.segments import find_segment
from airflow_provider_braze_blueconic.hooks.settings import Settings
from airflow_provider_braze_blueconic.sync.characters import repaired_text
from airflow_provider_braze_blueconic.sync.sending import Sender

__all__ = [
    "MODIFIED_OVERLAP",
    "PROFILES_IN_FLIGHT",
    "PROFILES_LIMITS",
    "PROFILES_RATE",
    "BlueConicHook",
    "Objective",
    "ProfilePage",
    "ProfileProperty",
    "Segment",
    "SumWord",
    "modified_between",
]

API_PATH = "/rest/v2"

MODIFIED_OVERLAP = timedelta(minutes=15)
"""By how much a read of changes has to reach back before the last good one.

A change can take up to 10 minutes to be searchable: BlueConic support, "Troubleshooting the number of profiles in
BlueConic segments", read 2026-11. The other five are for clocks that differ.
"""

LIST_PAGE = 100
"""Entries per page of a list. No maximum is published (UNVERIFIED); a server that gives fewer is followed."""

PAGE_MAXIMUM = 1_000_000
"""Profiles per page of a segment: REST API v2, release 103, ``GET /segments/{segment}/profiles``, read 2026-11."""

TOKEN_LIFE_USED = 0.9
"""Share of a token's life after which it is renewed, as in the vendor's own client, read 2026-11."""

TOKEN_LIFE = 3600.0
"""Seconds that a token lives where the answer does not say; the vendor's example says 3600, read 2026-11."""

SENDER_PATIENCE = Patience(attempts=2, seconds=30.0)
"""For a token while profiles are written: the send loop, which is told of a failure, has a patience of its own."""

EMPTY_PAGES = 100
"""After so many pages in a row without a profile, but with a next cursor, the read is given up."""

_ALONE = "lastmodifieddate"
"""Asked for where a caller wants no property, since asking for none returns all of them."""

_EXPANSIONS = {"permissions": "profiles.profile.permissions", "segments": "profiles.profile.segments"}


@dataclass(frozen=True)
class Segment:
    """A segment.

    :param profile_count: as BlueConic last counted; ``None`` where it does not say.
    """

    id: str
    name: str
    profile_count: int | None


@dataclass(frozen=True)
class ProfileProperty:
    """A profile property.

    :param filter_type: ``SELECT`` (text), ``EMAIL``, ``RANGE`` (number), ``DECIMAL``, ``CURRENCY``, ``DATETIME``.
    :param indexed: whether it is a unique identifier.
    """

    id: str
    name: str
    filter_type: str
    indexed: bool


@dataclass(frozen=True)
class Objective:
    """A purpose that people consent to."""

    id: str
    name: str


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
        raise SettingError("modified_between needs times with a zone.")
    return {
        "property": "lastmodifieddate",
        "operator": "IN_RANGE",
        "fromDate": _milliseconds(since),
        "toDate": _milliseconds(until),
    }


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _ClientCredentials:
    """OAuth 2 client credentials: in the form, without a scope; the application's own scopes hold.

    :param clock: monotonic seconds.
    """

    def __init__(self, caller: Caller, *, client_id: str, client_secret: str, clock: Callable[[], float]) -> None:
        self._caller = caller
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0

    def token(self) -> str:
        if not self._token or self._clock() >= self._renew_at:
            self._fetch()
        return self._token

    def renew(self) -> bool:
        self._fetch()
        return True

    def _fetch(self) -> None:
        site = self._caller.site
        wrong = AccessError(
            f"{site.place} refused the client id and secret. Check both, that the application uses the "
            "client credentials flow, and that its list of allowed addresses holds this worker's."
        )
        asked_at = self._clock()
        body = self._caller.call(
            Call(
                "POST",
                "/oauth/token",
                "client credentials",
                form={
                    "grant_type": "client_credentials",
                    "client_id": self._client_id,
                    "client_secret": self._client_secret,
                },
                errors={400: wrong, 401: wrong, 403: wrong},
            )
        ).body
        token = body.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise UnexpectedAnswer(f"{site.place} gave no token that can be used.")
        mask_secret(token)
        self._token = token
        self._renew_at = asked_at + TOKEN_LIFE_USED * (_whole(body.get("expires_in")) or TOKEN_LIFE)


@with_connection_form
class BlueConicHook(BaseHook):
    """Reads from a BlueConic tenant, and writes profiles and their properties.

    The connection's host is the tenant, its login the client id, its password the client secret.

    :param blueconic_conn_id: id of a connection of the type ``blueconic``.
    :param timeout: seconds of silence before a request counts as lost; ``None`` for the installation's setting.
    :param sleep: waits that many seconds.
    :param clock: returns monotonic seconds.
    """

    conn_name_attr = "blueconic_conn_id"
    default_conn_name = "blueconic_default"
    conn_type = "blueconic"
    hook_name = "BlueConic"

    def __init__(
        self,
        blueconic_conn_id: str = default_conn_name,
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.blueconic_conn_id = blueconic_conn_id
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self.repeated_pages = 0
        """Pages of profiles that were asked for again, since BlueConic led back to one that was read."""

    @cached_property
    def _caller(self) -> Caller:
        settings = Settings.load()
        return self._make_caller(Patience(settings.retry_attempts, settings.retry_seconds))

    def _make_caller(self, patience: Patience) -> Caller:
        site, bearer, timeout = self._enter(patience)
        return Caller(site, bearer=bearer, timeout=timeout, patience=patience, sleep=self._sleep)

    def _enter(self, patience: Patience) -> tuple[Site, _ClientCredentials, float]:
        """Read the connection.

        :param patience: for the call that fetches a token.
        :return: where, what identifies us there, and the seconds of silence after which a request is lost.
        """
        site, connection = Site.load("BlueConic", self.blueconic_conn_id)
        if not site.base_url.endswith(API_PATH):
            site = Site(site.vendor, site.conn_id, site.base_url + API_PATH, site.ca_file)
        client_id = (connection.login or "").strip()
        client_secret = (connection.password or "").strip()
        if not client_id or not client_secret:
            raise AccessError(
                f'Connection "{self.blueconic_conn_id}" needs the client id as its login and the client secret '
                "as its password."
            )
        mask_secret(client_secret)
        timeout = self._timeout if self._timeout is not None else Settings.load().request_timeout
        door = Caller(site, bearer=None, timeout=timeout, patience=patience, sleep=self._sleep)
        bearer = _ClientCredentials(door, client_id=client_id, client_secret=client_secret, clock=self._clock)
        return site, bearer, timeout

    def get_conn(self) -> Caller:
        """Return what makes the calls."""
        return self._caller

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap call and say what it showed."""
        try:
            caller = self._make_caller(Patience(attempts=1))
            body = caller.call(
                Call("GET", "/segments", "read:segments", params={"startIndex": 0, "count": 1}, list_of="segments")
            ).body
        except (SyncError, ValueError) as error:
            return False, str(error)
        count = _whole(body.get("totalResults"))
        return True, f"{caller.site.place} sees {len(body['segments']) if count is None else count:,} segments."

    def list_segments(self) -> list[Segment]:
        """List all segments, in the server's order."""
        return [
            Segment(_id(entry), _name(entry), _whole(entry.get("profileCount")))
            for entry in self._list("/segments", "segments", "read:segments")
        ]

    def resolve_segment(self, id_or_name: str) -> Segment:
        """Find a segment by its id, else by its exact name.

        :raises GoalError: there is none, or several have that name.
        """
        return find_segment("BlueConic", self.list_segments(), id_or_name)

    def list_profile_properties(self) -> list[ProfileProperty]:
        """List all profile properties."""
        return [
            ProfileProperty(_id(entry), _name(entry), str(entry.get("filterType") or ""), entry.get("indexed") is True)
            for entry in self._list("/profileProperties", "profileProperties", "read:profile-properties")
        ]

    def save_property(self, property_id: str, name: str, filter_type: str) -> None:
        """Create a profile property for what comes from Braze, or make the one with this id the same again.

        It holds data that tell who somebody is or may, so it takes the permission level of such data; of two profiles
        that are merged the latest value survives.

        :param property_id: letters, digits, ``-`` and ``_``; fixed for good.
        :param name: as BlueConic's users see it.
        :param filter_type: as in :class:`ProfileProperty`.
        :raises GoalError: BlueConic refuses the id, the type, or a property that belongs to a plug-in.
        :raises AccessError: the application lacks the scope ``write:profile-properties``.
        """
        refused = GoalError(
            [
                Problem(
                    "remaining_fields",
                    f'BlueConic refused to create the property "{property_id}" of the type {filter_type} (400). '
                    "Map its source to another property, or create the property in BlueConic.",
                )
            ]
        )
        self._caller.call(
            Call(
                "PUT",
                f"/profileProperties/{quote(property_id, safe='')}",
                "write:profile-properties",
                body={
                    "id": property_id,
                    "name": name,
                    "filterType": filter_type,
                    "tags": ["braze"],
                    "permissionLevel": "PERSONAL",
                    "mergeStrategy": "LATEST",
                    "showInUI": True,
                },
                errors={400: refused},
            )
        )

    def create_missing_properties(self, wanted: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Create those profile properties that are not there yet; two tasks that do it at once create the same.

        A property that is there stays as it is: it may have another name or type by now, and that for a reason.

        :param wanted: id → ``name`` and ``filter_type``.
        :return: ids of those created.
        """
        there = {entry.id for entry in self.list_profile_properties()} if wanted else set()
        missing = [property_id for property_id in wanted if property_id not in there]
        for property_id in missing:
            self.save_property(property_id, wanted[property_id]["name"], wanted[property_id]["filter_type"])
        return missing

    def profiles_sender(
        self, *, objectives: Sequence[str] = (), max_in_flight: int = PROFILES_IN_FLIGHT, sums: SumWord | None = None
    ) -> AbstractAsyncContextManager[Sender]:
        """Open a sender for ``PUT /profiles``.

        The connection is read now, not when the context is entered: inside an event loop that could block it.

        :param objectives: ids; people who consented to none of them are left alone.
        :param max_in_flight: connections at most.
        :param sums: which word for adding to a number to try first; it learns the right one.
        :raises AccessError: the connection lacks a host, a client id or a secret.
        """
        site, bearer, timeout = self._enter(SENDER_PATIENCE)
        return open_profiles_sender(
            site, bearer, objectives=objectives, seconds=timeout, max_in_flight=max_in_flight, sums=sums
        )

    def list_objectives(self) -> list[Objective]:
        """List all objectives."""
        return [
            Objective(_id(entry), _name(entry)) for entry in self._list("/objectives", "objectives", "read:objectives")
        ]

    def interaction_names(self) -> dict[str, str]:
        """Map the ids of dialogues and of their variants to names; what profiles viewed are such ids (INFERRED)."""
        names: dict[str, str] = {}
        for dialogue in self._list("/dialogues", "dialogues", "read:dialogues"):
            names[_id(dialogue)] = _name(dialogue)
            variants = dialogue.get("variants")
            # The definition shows a single variant where its text speaks of several: both are read.
            for variant in variants if isinstance(variants, list) else [variants]:
                if isinstance(variant, dict) and isinstance(variant.get("id"), str):
                    names.setdefault(variant["id"], _name(variant))
        return names

    def iter_segment_profiles(
        self,
        segment_id: str,
        *,
        properties: Sequence[str],
        expand: Sequence[Literal["permissions", "segments"]] = (),
        refinement: Mapping[str, Any] | None = None,
        page_size: int = 2000,
    ) -> Iterator[ProfilePage]:
        """Read the members of a segment page by page.

        A page is handed out only when its document is whole; one that broke off is read again from its own cursor.

        :param segment_id: the segment's id.
        :param properties: ids of the properties to read; no other is returned.
        :param expand: what to read beside the properties.
        :param refinement: only members that fit it, such as :func:`modified_between`.
        :param page_size: profiles per page, at most 1,000,000.
        :raises GoalError: the segment is gone, too many properties, or BlueConic refuses the refinement.
        :raises TransientError: BlueConic led back to a page that was read, however often it was asked again.
        :raises UnexpectedAnswer: pages stay empty.
        """
        if not 0 < page_size <= PAGE_MAXIMUM:
            raise SettingError(f"page_size has to be between 1 and {PAGE_MAXIMUM:,}, it is {page_size:,}.")
        params: dict[str, str | int | list[str]] = {
            "count": page_size,
            "profileProperty": list(dict.fromkeys(properties)) or [_ALONE],
        }
        if expand:
            params["expand"] = [_EXPANSIONS[name] for name in expand]
        errors = _refusals(segment_id)
        if refinement is not None:
            params["refinement"] = json.dumps(refinement, separators=(",", ":"))
            errors[400] = GoalError(
                [
                    Problem(
                        "source.read",
                        "BlueConic refused to read only changed profiles (400). Set read: full.",
                    )
                ]
            )
        cursor: str | None = "*"
        seen: set[str] = set()
        last: frozenset[str] = frozenset()
        empty = 0

        def why_again(answer: Answer) -> str | None:
            """Find out whether an answer leads back, or is the page before once more. Following it would never end."""
            following = answer.body.get("nextCursor")
            leads_back = isinstance(following, str) and following in seen
            if leads_back or (last and _ids(answer.body["profiles"]) == last):
                self.repeated_pages += 1
                return "led back to a page that was read before"
            return None

        while cursor is not None:
            seen.add(cursor)
            page = _page(
                cursor,
                self._caller.call(
                    Call(
                        "GET",
                        f"/segments/{quote(segment_id, safe='')}/profiles",
                        "read:segments",
                        shown_path="/segments/{segment}/profiles",
                        params={**params, "cursor": cursor},
                        list_of="profiles",
                        errors=errors,
                        why_again=why_again,
                        whole_texts=False,  # write_snapshot repairs them, and counts the people
                    )
                ),
            )
            empty = 0 if page.profiles else empty + 1
            last = _ids(page.profiles)
            if empty >= EMPTY_PAGES:
                raise UnexpectedAnswer(f"BlueConic gave {EMPTY_PAGES} pages in a row without a profile.")
            yield page
            cursor = page.next_cursor

    def _list(self, path: str, name: str, scope: str) -> list[dict[str, Any]]:
        """Read a list that is paged by ``startIndex``, and follow pages that are shorter than asked for."""
        entries: dict[str, dict[str, Any]] = {}
        start = 0

        def why_again(answer: Answer) -> str | None:
            ids = {_id(entry) for entry in answer.body[name]}
            return "gave the same page twice" if ids and ids <= entries.keys() else None

        while True:
            params: dict[str, str | int | list[str]] = {"startIndex": start, "count": LIST_PAGE}
            body = self._caller.call(Call("GET", path, scope, params=params, list_of=name, why_again=why_again)).body
            total = _whole(body.get("totalResults"))
            entries |= {_id(entry): entry for entry in body[name]}
            start += len(body[name])
            if total is not None and start >= total:
                return list(entries.values())
            if not body[name]:
                if total is not None:
                    raise TransientError(f"GET {path} of BlueConic changed while it was read: {start} of {total} came.")
                return list(entries.values())


def _ids(profiles: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(profile.get("id")) for profile in profiles)


def _refusals(segment_id: str) -> dict[int, SyncError]:
    return {
        404: GoalError([Problem("source.segment", f'BlueConic has no segment with the id "{segment_id}" any more.')]),
        414: GoalError([Problem("fields", "BlueConic can't be asked for so many properties at once. Map fewer.")]),
        431: GoalError([Problem("fields", "BlueConic can't be asked for so many properties at once. Map fewer.")]),
    }


def _page(cursor: str, answer: Answer) -> ProfilePage:
    body = answer.body
    following = body.get("nextCursor")
    if following is not None and (not isinstance(following, str) or repaired_text(following) != following):
        raise UnexpectedAnswer("BlueConic gave a cursor that is not a text.")
    return ProfilePage(body["profiles"], _whole(body.get("totalResults")), cursor, following or None)


def _id(entry: Mapping[str, Any]) -> str:
    value = entry.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer("BlueConic listed an entry without an id.")
    return value


def _name(entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    return name if isinstance(name, str) and name else str(entry.get("id", ""))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

"""BlueConic's REST API v2: segments and their profiles, the names that a goal maps, and writing profiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import (
    Objective,
    ProfileProperty,
    Segment,
    entry_id,
    entry_name,
    names_of_interactions,
    whole_number,
)
from airflow_provider_braze_blueconic.hooks.blueconic_api.lists import read_list
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import (
    MODIFIED_OVERLAP,
    ProfilePage,
    SegmentRead,
    modified_between,
)
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import (
    PROFILES_IN_FLIGHT,
    PROFILES_LIMITS,
    PROFILES_RATE,
    open_profiles_sender,
)
from airflow_provider_braze_blueconic.hooks.blueconic_api.properties import save_call
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
from airflow_provider_braze_blueconic.hooks.blueconic_api.tokens import ClientCredentials
from airflow_provider_braze_blueconic.hooks.connection_form import with_connection_form
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Call
from airflow_provider_braze_blueconic.hooks.http.patience import Patience
from airflow_provider_braze_blueconic.hooks.http.sites import Site
from airflow_provider_braze_blueconic.hooks.segments import find_segment
from airflow_provider_braze_blueconic.hooks.settings import Settings
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import RowsPage
from airflow_provider_braze_blueconic.sync.sending.seam import Sender

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

SENDER_PATIENCE = Patience(attempts=2, seconds=30.0)
"""For a token while profiles are written: the send loop, which is told of a failure, has a patience of its own."""


@with_connection_form
class BlueConicHook(BaseHook):
    """Reads from a BlueConic tenant, and writes profiles and their properties.

    The connection's host is the tenant, its login the client id, its password the client secret.

    :param blueconic_conn_id: id of a connection of the type ``blueconic``.
    :param timeout: seconds without data after which a request counts as lost; ``None`` for the installation's setting.
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

    def _enter(self, patience: Patience) -> tuple[Site, ClientCredentials, float]:
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
                f'Connection "{self.blueconic_conn_id}" needs the client id as login and the client secret as password.'
            )
        mask_secret(client_secret)
        timeout = self._timeout if self._timeout is not None else Settings.load().request_timeout
        door = Caller(site, bearer=None, timeout=timeout, patience=patience, sleep=self._sleep)
        bearer = ClientCredentials(door, client_id=client_id, client_secret=client_secret, clock=self._clock)
        return site, bearer, timeout

    def get_conn(self) -> Caller:
        """Return the object that makes the calls."""
        return self._caller

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap call and return whether it worked, with a sentence."""
        try:
            caller = self._make_caller(Patience(attempts=1))
            body = caller.call(
                Call("GET", "/segments", "read:segments", params={"startIndex": 0, "count": 1}, list_of="segments")
            ).body
        except (SyncError, ValueError) as error:
            return False, str(error)
        count = whole_number(body.get("totalResults"))
        return True, f"{caller.site.place} sees {len(body['segments']) if count is None else count:,} segments."

    def list_segments(self) -> list[Segment]:
        """List all segments, in the server's order."""
        return [
            Segment(entry_id(entry), entry_name(entry), whole_number(entry.get("profileCount")))
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
            ProfileProperty(
                entry_id(entry), entry_name(entry), str(entry.get("filterType") or ""), entry.get("indexed") is True
            )
            for entry in self._list("/profileProperties", "profileProperties", "read:profile-properties")
        ]

    def save_property(self, property_id: str, name: str, filter_type: str) -> None:
        """Create a profile property for data from Braze, or reset the one with this id.

        The property can hold personal data, so it gets the permission level of such data. When two profiles are merged,
        the latest value survives.

        :param property_id: letters, digits, ``-`` and ``_``; fixed for good.
        :param name: as BlueConic's users see it.
        :param filter_type: as in :class:`ProfileProperty`.
        :raises GoalError: BlueConic refuses the id, the type, or a property that belongs to a plug-in.
        :raises AccessError: the application lacks the scope ``write:profile-properties``.
        """
        self._caller.call(save_call(property_id, name, filter_type))

    def create_missing_properties(self, wanted: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Create the profile properties that don't exist yet; two tasks can do so at once without harm.

        An existing property stays as it is, even if it has another name or type.

        :param wanted: id → ``name`` and ``filter_type``.
        :return: ids of the created properties.
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

        The hook reads the connection now, not when the context is entered, because that could block an event loop.

        :param objectives: ids; people who didn't consent to any of them are left alone.
        :param max_in_flight: maximum number of connections.
        :param sums: the word for adding to a number to try first; the sender learns the right one.
        :raises AccessError: the connection lacks a host, a client id or a secret.
        """
        site, bearer, timeout = self._enter(SENDER_PATIENCE)
        return open_profiles_sender(
            site, bearer, objectives=objectives, seconds=timeout, max_in_flight=max_in_flight, sums=sums
        )

    def list_objectives(self) -> list[Objective]:
        """List all objectives."""
        return [
            Objective(entry_id(entry), entry_name(entry))
            for entry in self._list("/objectives", "objectives", "read:objectives")
        ]

    def interaction_names(self) -> dict[str, str]:
        """Map the ids of dialogues and their variants to names; profiles hold such ids of viewed ones (INFERRED)."""
        return names_of_interactions(self._list("/dialogues", "dialogues", "read:dialogues"))

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

        The hook yields a page only if its document is complete, and reads a broken one again from its cursor.

        :param segment_id: the segment's id.
        :param properties: ids of the properties to read; no other is returned.
        :param expand: what to read in addition to the properties.
        :param refinement: only members that match it, such as :func:`modified_between`.
        :param page_size: profiles per page, at most 1,000,000.
        :raises GoalError: the segment is gone, there are too many properties, or BlueConic refuses the refinement.
        :raises TransientError: BlueConic returned the cursor of a page that was already read, in every attempt.
        :raises UnexpectedAnswer: too many empty pages follow each other.
        """
        read = SegmentRead(segment_id, properties=properties, expand=expand, refinement=refinement, page_size=page_size)
        yield from read.pages(self._caller, repeated=self._count_repeated_page)

    def iter_segment_rows(
        self,
        segment_id: str,
        columns: ProfileColumns,
        *,
        folder: Path,
        expand: Sequence[Literal["permissions", "segments"]] = (),
        refinement: Mapping[str, Any] | None = None,
        page_size: int = 2000,
    ) -> Iterator[RowsPage]:
        """Read the members of a segment page by page, as rows of a snapshot.

        As :meth:`iter_segment_profiles`, with the next page on its way while a page is worked on, and in as much memory
        whatever the size of a page.

        :param columns: properties to read, and what is told of a profile.
        :param folder: local folder for the rows of a large page, until it is known to be whole.
        :raises UnexpectedAnswer: also if a profile has another form than BlueConic's definition says.
        """
        read = SegmentRead(
            segment_id, properties=columns.properties, expand=expand, refinement=refinement, page_size=page_size
        )
        yield from read.rows(self._caller, columns, folder, repeated=self._count_repeated_page)

    def _count_repeated_page(self) -> None:
        self.repeated_pages += 1

    def _list(self, path: str, name: str, scope: str) -> list[dict[str, Any]]:
        return read_list(self._caller, path, name, scope)

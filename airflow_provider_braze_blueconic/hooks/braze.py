"""A Braze workspace: its lists, its segment exports and its uploads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Any, Literal

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.hooks.braze_api.definitions import (
    BrazeCampaign,
    BrazeSegment,
    CustomAttribute,
    entry_id,
    entry_name,
    whole_number,
)
from airflow_provider_braze_blueconic.hooks.braze_api.lists import (
    LIST_PAGE,
    list_call,
    read_custom_attributes,
    read_list,
)
from airflow_provider_braze_blueconic.hooks.braze_api.segment_exports import (
    EXPORT_RATE,
    ExportRunning,
    export_body,
    start_export,
)
from airflow_provider_braze_blueconic.hooks.braze_api.track import (
    TRACK_BULK_LIMITS,
    TRACK_BULK_RATE,
    TRACK_LIMITS,
    TRACK_RATE,
    open_sender,
)
from airflow_provider_braze_blueconic.hooks.braze_api.track_replies import TRACK_VERDICTS
from airflow_provider_braze_blueconic.hooks.connection_form import with_connection_form
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Call
from airflow_provider_braze_blueconic.hooks.http.identity import FixedKey, usable_key
from airflow_provider_braze_blueconic.hooks.http.patience import Patience
from airflow_provider_braze_blueconic.hooks.http.sites import Site
from airflow_provider_braze_blueconic.hooks.segments import find_segment
from airflow_provider_braze_blueconic.hooks.settings import Settings
from airflow_provider_braze_blueconic.sync.sending.seam import Sender

__all__ = [
    "EXPORT_RATE",
    "TRACK_BULK_LIMITS",
    "TRACK_BULK_RATE",
    "TRACK_LIMITS",
    "TRACK_RATE",
    "TRACK_VERDICTS",
    "BrazeCampaign",
    "BrazeHook",
    "BrazeSegment",
    "CustomAttribute",
    "ExportRunning",
]


@with_connection_form
class BrazeHook(BaseHook):
    """Talks to a Braze workspace.

    The connection's host is the REST endpoint (any address), its password the REST API key.

    :param braze_conn_id: id of a connection of the type ``braze``.
    :param timeout: seconds without data after which a request counts as lost; ``None`` for the installation's setting.
    :param sleep: waits that many seconds.
    """

    conn_name_attr = "braze_conn_id"
    default_conn_name = "braze_default"
    conn_type = "braze"
    hook_name = "Braze"

    def __init__(
        self,
        braze_conn_id: str = default_conn_name,
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.braze_conn_id = braze_conn_id
        self._timeout = timeout
        self._sleep = sleep

    def _site_and_key(self) -> tuple[Site, str]:
        site, connection = Site.load("Braze", self.braze_conn_id)
        key = usable_key(connection.password, name="REST API key", conn_id=self.braze_conn_id)
        mask_secret(key)
        return site, key

    def _seconds(self) -> float:
        return self._timeout if self._timeout is not None else Settings.load().request_timeout

    def _make_caller(self, patience: Patience) -> Caller:
        site, key = self._site_and_key()
        return Caller(site, bearer=FixedKey(key), timeout=self._seconds(), patience=patience, sleep=self._sleep)

    @cached_property
    def _caller(self) -> Caller:
        settings = Settings.load()
        return self._make_caller(Patience(settings.retry_attempts, settings.retry_seconds))

    def get_conn(self) -> Caller:
        """Return the object that makes the calls."""
        return self._caller

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap call and return whether it worked, with a sentence."""
        try:
            caller = self._make_caller(Patience(attempts=1))
            body = caller.call(list_call("/segments/list", "segments", 0)).body
        except (SyncError, ValueError) as error:
            return False, str(error)
        count = len(body["segments"])
        return True, f"{caller.site.place} sees {count}{' or more' if count >= LIST_PAGE else ''} segments."

    def list_segments(self) -> list[BrazeSegment]:
        """List all segments that are not archived, oldest first."""
        return [BrazeSegment(entry_id(entry), entry_name(entry)) for entry in self._list("/segments/list", "segments")]

    def resolve_segment(self, id_or_name: str) -> BrazeSegment:
        """Find a segment by its id, else by its exact name.

        :raises GoalError: there is none, or several have that name.
        """
        return find_segment("Braze", self.list_segments(), id_or_name)

    def segment_details(self, segment_id: str) -> dict[str, Any]:
        """Return the answer of ``/segments/details`` for one segment."""
        return self._caller.call(
            Call("GET", "/segments/details", "segments.details", params={"segment_id": segment_id})
        ).body

    def list_campaigns(self, *, include_archived: bool = False) -> list[BrazeCampaign]:
        """List all campaigns, oldest first."""
        archived = {"include_archived": "true"} if include_archived else {}
        entries = self._list("/campaigns/list", "campaigns", archived)
        return [BrazeCampaign(entry_id(entry), entry_name(entry)) for entry in entries]

    def campaign_details(self, campaign_id: str) -> dict[str, Any]:
        """Return the answer of ``/campaigns/details`` for one campaign."""
        return self._caller.call(
            Call("GET", "/campaigns/details", "campaigns.details", params={"campaign_id": campaign_id})
        ).body

    def list_custom_attributes(self) -> list[CustomAttribute]:
        """List all custom attributes, by name. Limited to 1,000 calls an hour, shared, 50 attributes a call."""
        return [
            CustomAttribute(
                name=entry_name(entry),
                data_type=str(entry.get("data_type") or ""),
                array_length=whole_number(entry.get("array_length")),
                status=str(entry.get("status") or ""),
            )
            for entry in read_custom_attributes(self._caller)
        ]

    def export_segment(
        self,
        segment_id: str,
        *,
        fields: Sequence[str],
        custom_attributes: Sequence[str] = (),
        output_format: Literal["gzip", "zip"] = "gzip",
    ) -> str:
        """Start a segment export, with one call only: repeating it could start a second one.

        :param segment_id: the segment's id.
        :param fields: Braze's names of the fields to export.
        :param custom_attributes: names of custom attributes, at most 500; not together with the field
            ``custom_attributes``, which makes Braze ignore them and export all.
        :param output_format: Braze honors ``gzip`` only if it writes to your own bucket.
        :return: the folder, below any date, in which its files appear.
        :raises AccessError: Braze keeps the segment export itself, since the workspace has no Amazon S3 connected.
        :raises ExportRunning: a segment export of this segment is already running, or a limit is used up; nothing was
            started.
        :raises TransientError: no answer; the segment export may have started.
        """
        body = export_body(segment_id, fields=fields, custom_attributes=custom_attributes, output_format=output_format)
        return start_export(self._caller, body)

    def segment_size(self, segment_id: str) -> int | None:
        """Return how many people Braze estimates in a segment; ``None`` if it gives no estimate.

        Braze itself calls it an estimate: it can cast doubt on a count, but can't prove one.
        """
        answer = self._caller.call(
            Call(
                "GET",
                "/segments/data_series",
                "segments.data_series",
                params={"segment_id": segment_id, "length": 1},
                list_of="data",
            )
        )
        days = [(str(day.get("time") or ""), whole_number(day.get("size"))) for day in answer.body["data"]]
        return max(days, key=lambda day: day[0])[1] if days else None

    def track_sender(self, *, bulk: bool = False, max_in_flight: int = 512) -> AbstractAsyncContextManager[Sender]:
        """Open a sender for ``/users/track`` or ``/users/track/bulk``.

        The hook reads the connection now, not when the context is entered, because that could block an event loop.

        :param bulk: for accounts for which Braze has enabled bulk.
        :param max_in_flight: maximum number of connections.
        :raises AccessError: the connection lacks a host or a key.
        """
        site, key = self._site_and_key()
        path, right = ("/users/track/bulk", "users.track.bulk") if bulk else ("/users/track", "users.track")
        return open_sender(site, key, path, right, seconds=self._seconds(), max_in_flight=max_in_flight)

    def _list(self, path: str, name: str, extra: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        return read_list(self._caller, path, name, extra)

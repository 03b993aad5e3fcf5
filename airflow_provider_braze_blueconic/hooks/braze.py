"""A Braze workspace: what it holds, and the ways in and out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import requests
from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_braze_blueconic.exceptions import (
    GoalError,
    Problem,
    SettingError,
    SyncError,
    TransientError,
    UnexpectedAnswer,
)
from airflow_provider_braze_blueconic.hooks.braze_track import (
    TRACK_BULK_LIMITS,
    TRACK_BULK_RATE,
    TRACK_LIMITS,
    TRACK_RATE,
    TRACK_VERDICTS,
    open_sender,
)
from airflow_provider_braze_blueconic.hooks.connection_form import with_connection_form
from airflow_provider_braze_blueconic.hooks.http import (
    USER_AGENT,
    Action,
    Answer,
    Call,
    Caller,
    Patience,
    Site,
    action_for,
    usable_key,
)
from airflow_provider_braze_blueconic.hooks.segments import find_segment
from airflow_provider_braze_blueconic.hooks.settings import Settings
from airflow_provider_braze_blueconic.sync.export_request import EXPORT_ATTRIBUTES
from airflow_provider_braze_blueconic.sync.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending import Sender

if TYPE_CHECKING:
    from pathlib import Path

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
    "SegmentExport",
    "mask_address",
]

EXPORT_RATE = Rate(250_000, 3_600.0)
"""One bucket for exports, segments and campaigns, reset on the clock hour: docs "API limits", read 2026-11."""

LIST_PAGE = 100
"""Entries per page of ``/segments/list`` and ``/campaigns/list``: docs of both, read 2026-11."""

_LIST_PAGES = 10_000

_NOT_YET = frozenset({403, 404})
"""What the address of an export answers before it is ready, and after four hours: docs "POST /users/export/segment" and
"Export troubleshooting", read 2026-11, name 403; 404 is what S3 says to those who may list."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class BrazeSegment:
    """A segment."""

    id: str
    name: str


@dataclass(frozen=True)
class BrazeCampaign:
    """A campaign."""

    id: str
    name: str


@dataclass(frozen=True)
class CustomAttribute:
    """A custom attribute.

    :param data_type: as Braze names it.
    :param array_length: elements that an array attribute holds at most; ``None`` for other types.
    :param status: such as ``Active`` or ``Blocklisted``.
    """

    name: str
    data_type: str
    array_length: int | None
    status: str


@dataclass(frozen=True)
class SegmentExport:
    """An export that Braze started.

    :param object_prefix: the folder, below any date, in which its files appear.
    :param url: where to fetch it; ``None`` if it goes to the customer's own bucket. It holds a signature: never shown.
    """

    object_prefix: str
    url: str | None = field(repr=False)


class ExportRunning(TransientError):
    """Braze started nothing: it works at an export of this segment already, or a limit is used up."""


class _FixedKey:
    def __init__(self, key: str) -> None:
        self._key = key

    def token(self) -> str:
        return self._key

    def renew(self) -> bool:
        return False


@with_connection_form
class BrazeHook(BaseHook):
    """Talks to a Braze workspace.

    The connection's host is the REST endpoint (any address), its password the REST API key.

    :param braze_conn_id: id of a connection of the type ``braze``.
    :param timeout: seconds of silence before a request counts as lost; ``None`` for the installation's setting.
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
        return Caller(site, bearer=_FixedKey(key), timeout=self._seconds(), patience=patience, sleep=self._sleep)

    @cached_property
    def _caller(self) -> Caller:
        settings = Settings.load()
        return self._make_caller(Patience(settings.retry_attempts, settings.retry_seconds))

    def get_conn(self) -> Caller:
        """Return what makes the calls."""
        return self._caller

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap call and say what it showed."""
        try:
            caller = self._make_caller(Patience(attempts=1))
            body = caller.call(_list_call("/segments/list", "segments", 0)).body
        except (SyncError, ValueError) as error:
            return False, str(error)
        count = len(body["segments"])
        return True, f"{caller.site.place} sees {count}{' or more' if count >= LIST_PAGE else ''} segments."

    def list_segments(self) -> list[BrazeSegment]:
        """List all segments that are not archived, oldest first."""
        return [BrazeSegment(_id(entry), _name(entry)) for entry in self._list("/segments/list", "segments")]

    def resolve_segment(self, id_or_name: str) -> BrazeSegment:
        """Find a segment by its id, else by its exact name.

        :raises GoalError: there is none, or several have that name.
        """
        return find_segment("Braze", self.list_segments(), id_or_name)

    def segment_details(self, segment_id: str) -> dict[str, Any]:
        """Return what ``/segments/details`` says of one segment."""
        return self._caller.call(
            Call("GET", "/segments/details", "segments.details", params={"segment_id": segment_id})
        ).body

    def list_campaigns(self, *, include_archived: bool = False) -> list[BrazeCampaign]:
        """List all campaigns, oldest first."""
        archived = {"include_archived": "true"} if include_archived else {}
        entries = self._list("/campaigns/list", "campaigns", archived)
        return [BrazeCampaign(_id(entry), _name(entry)) for entry in entries]

    def campaign_details(self, campaign_id: str) -> dict[str, Any]:
        """Return what ``/campaigns/details`` says of one campaign."""
        return self._caller.call(
            Call("GET", "/campaigns/details", "campaigns.details", params={"campaign_id": campaign_id})
        ).body

    def list_custom_attributes(self) -> list[CustomAttribute]:
        """List all custom attributes, by name. Limited to 1,000 calls an hour, shared, 50 attributes a call."""
        return [
            CustomAttribute(
                name=_name(entry),
                data_type=str(entry.get("data_type") or ""),
                array_length=_whole(entry.get("array_length")),
                status=str(entry.get("status") or ""),
            )
            for entry in self._custom_attributes()
        ]

    def export_segment(
        self,
        segment_id: str,
        *,
        fields: Sequence[str],
        custom_attributes: Sequence[str] = (),
        output_format: Literal["gzip", "zip"] = "gzip",
    ) -> SegmentExport:
        """Start an export of a segment. It is asked for once: a repeat could start a second export.

        :param segment_id: the segment's id.
        :param fields: Braze's names of what to export.
        :param custom_attributes: names of custom attributes, at most 500; not together with the field
            ``custom_attributes``, which makes Braze ignore them and export all.
        :param output_format: ``gzip`` is honoured only where Braze writes to a bucket of your own.
        :raises ExportRunning: an export of this segment runs already, or a limit is used up; nothing was started.
        :raises TransientError: no answer; it may have been started.
        """
        if not fields:
            raise SettingError("An export needs at least one field.")
        if custom_attributes and "custom_attributes" in fields:
            raise SettingError('Name custom attributes or export all with the field "custom_attributes", not both.')
        if len(custom_attributes) > EXPORT_ATTRIBUTES:
            raise SettingError(f"An export takes {EXPORT_ATTRIBUTES} custom attributes, not {len(custom_attributes)}.")
        body: dict[str, Any] = {
            "segment_id": segment_id,
            "fields_to_export": list(fields),
            "output_format": output_format,
        }
        if custom_attributes:
            body["custom_attributes_to_export"] = list(custom_attributes)
        site = self._caller.site
        running = ExportRunning(
            f"{site.place} answered POST /users/export/segment with 429: an export of this segment is already running, "
            "or the limit is used up. It was not asked for again, since that could start a second export."
        )
        refused = GoalError(
            [Problem("source", f"Braze refused to export the segment {segment_id} (400). Check its id and the fields.")]
        )
        answer = self._caller.call(
            Call(
                "POST",
                "/users/export/segment",
                "users.export.segment",
                body=body,
                repeatable=False,
                errors={400: refused, 429: running},
            )
        ).body
        prefix, url = answer.get("object_prefix"), answer.get("url")
        if not isinstance(prefix, str) or not prefix:
            raise UnexpectedAnswer(f"{site.place} took the export but gave no object_prefix to find its files by.")
        if not isinstance(url, str) or not url:
            return SegmentExport(prefix, None)
        mask_address(url)
        return SegmentExport(prefix, url)

    def segment_size(self, segment_id: str) -> int | None:
        """Return how many people Braze estimates to be in a segment; ``None`` if it does not say.

        An estimate, by Braze's own words: good for doubting a count, not for proving one.
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
        days = [(str(day.get("time") or ""), _whole(day.get("size"))) for day in answer.body["data"]]
        return max(days, key=lambda day: day[0])[1] if days else None

    def export_is_ready(self, url: str) -> bool:
        """Look once whether an export that Braze keeps can be fetched: until it is done, the address answers 403.

        :param url: as :meth:`export_segment` returned it, masked with :func:`mask_address`. No key is sent there: its
            signature is in the address.
        :raises TransientError: busy or unreachable.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        with self._fetch(url) as response:
            if response.status_code in _NOT_YET:
                return False
            self._check_fetched(response)
            return True

    def download_export(self, url: str, local: Path) -> int:
        """Fetch an export that Braze keeps; the file is there only when it is whole.

        :return: bytes.
        :raises TransientError: busy, unreachable, or not there, be it no longer or not yet.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        mask_address(url)
        part = local.with_name(f"{local.name}.part")
        with self._fetch(url) as response, part.open("wb") as file:
            if response.status_code in _NOT_YET:
                raise TransientError(
                    f"The export can't be fetched from the address that Braze gave ({response.status_code}): "
                    "it is not there yet, or no longer. Such an address lives for about four hours."
                )
            self._check_fetched(response)
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
        part.replace(local)
        return local.stat().st_size

    @contextmanager
    def _fetch(self, url: str) -> Iterator[requests.Response]:
        # The library's texts quote the address with its signature, so only the class of an error is named.
        site = self._caller.site
        try:
            with requests.get(
                url,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                auth=lambda request: request,  # or requests would look for a password in a .netrc file
                timeout=self._seconds(),
                verify=site.ca_file or True,
                stream=True,
            ) as response:
                yield response
        except requests.exceptions.RequestException as error:
            raise TransientError(
                f"The address that {site.vendor} gave for the export can't be reached, or the connection broke "
                f"({type(error).__name__})."
            ) from None

    def _check_fetched(self, response: requests.Response) -> None:
        status = response.status_code
        match action_for(status):
            case Action.READ:
                return
            case Action.WAIT | Action.AGAIN:
                raise TransientError(f"The address that Braze gave for the export answered {status}.")
            case _:
                raise UnexpectedAnswer(
                    f"The address that Braze gave for the export answered {status}, which no rule covers."
                )

    def track_sender(self, *, bulk: bool = False, max_in_flight: int = 512) -> AbstractAsyncContextManager[Sender]:
        """Open a sender for ``/users/track``, or for ``/users/track/bulk``.

        The connection is read now, not when the context is entered: inside an event loop that could block it.

        :param bulk: for accounts that Braze has admitted to bulk.
        :param max_in_flight: connections at most.
        :raises AccessError: the connection lacks a host or a key.
        """
        site, key = self._site_and_key()
        path, right = ("/users/track/bulk", "users.track.bulk") if bulk else ("/users/track", "users.track")
        return open_sender(site, key, path, right, seconds=self._seconds(), max_in_flight=max_in_flight)

    def _list(self, path: str, name: str, extra: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Read pages until one has fewer than 100 entries; no count and no next link is documented."""
        seen: set[str] = set()

        def why_again(answer: Answer) -> str | None:
            ids = {_id(entry) for entry in answer.body[name]}
            return "gave the same page twice" if ids and ids <= seen else None

        for page in range(_LIST_PAGES):
            call = replace(_list_call(path, name, page, extra), why_again=why_again)
            entries = self._caller.call(call).body[name]
            yield from (entry for entry in entries if entry["id"] not in seen)
            seen |= {_id(entry) for entry in entries}
            if len(entries) < LIST_PAGE:
                return
        raise UnexpectedAnswer(f"GET {path} of Braze has no end.")

    def _custom_attributes(self) -> Iterator[dict[str, Any]]:
        params: dict[str, str | int | list[str]] = {}
        seen: set[str] = set()

        def why_again(answer: Answer) -> str | None:
            return "linked to a page that was read before" if _next_cursor(answer) in seen else None

        while True:
            answer = self._caller.call(
                Call(
                    "GET",
                    "/custom_attributes",
                    "custom_attributes.get",
                    params=params,
                    list_of="attributes",
                    why_again=why_again,
                )
            )
            yield from answer.body["attributes"]
            if answer.next_link is None:
                return
            cursor = _next_cursor(answer)
            if not cursor:
                raise UnexpectedAnswer("Braze linked to a next page of GET /custom_attributes that can't be followed.")
            seen.add(cursor)
            params = {"cursor": cursor}


def _next_cursor(answer: Answer) -> str:
    # Only the cursor is taken from the link: the key never goes to an address that an answer names.
    return parse_qs(urlsplit(answer.next_link or "").query).get("cursor", [""])[0]


def _list_call(path: str, name: str, page: int, extra: Mapping[str, str] | None = None) -> Call:
    # Oldest first, so that what is made while the list is read comes at its end.
    params: dict[str, str | int | list[str]] = {"page": page, "sort_direction": "asc", **(extra or {})}
    return Call("GET", path, f"{name}.list", params=params, list_of=name)


def mask_address(url: str) -> None:
    """Keep a signed address out of the logs, also where only its path and query are logged."""
    mask_secret(url)
    parts = urlsplit(url)
    mask_secret(parts.query or parts.path)


def _id(entry: Mapping[str, Any]) -> str:
    value = entry.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer("Braze listed an entry without an id.")
    return value


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or "")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

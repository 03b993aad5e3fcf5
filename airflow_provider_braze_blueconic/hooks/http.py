"""Ordinary calls: one request, one JSON object back, tried again where that is safe.

Uploads don't come through here: a sender makes one attempt, and the send loop in ``sync`` decides what follows.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.characters import may_hold_halves, repaired

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

__all__ = [
    "CALL_ACTIONS",
    "USER_AGENT",
    "Action",
    "Answer",
    "Bearer",
    "Call",
    "Caller",
    "Patience",
    "Site",
    "action_for",
    "read_json",
    "requested_wait",
    "usable_key",
]

USER_AGENT = f"airflow-provider-braze-blueconic/{__version__}"

MAX_ANSWER_BYTES = 1 << 30
"""An answer above one GiB is not read on: pages and lists are far below, and it would not fit in a worker."""

_CHUNK_BYTES = 1 << 16
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_EPOCH_FROM = 1_000_000_000
"""Braze's pages disagree whether ``X-RateLimit-Reset`` is an epoch or a duration; above this it is an epoch."""

_log = logging.getLogger(__name__)


class Action(StrEnum):
    """What an HTTP status means for an ordinary call."""

    READ = "read"
    """The body is the answer."""
    WAIT = "wait"
    """The server says that it did not do it: any call may go again."""
    AGAIN = "again"
    """It may or may not have been done: only a call that can be repeated goes again."""
    RENEW = "renew"
    """The key or token is refused: one fresh token if there can be one, else the owner has to act."""
    DENIED = "denied"
    """The key lacks a right."""
    MISSING = "missing"
    """There is nothing at that address."""
    MOVED = "moved"
    """The address sends us elsewhere; a key never follows."""
    ODD = "odd"
    """No rule covers it."""


CALL_ACTIONS: Mapping[int, Action] = {
    200: Action.READ,
    201: Action.READ,
    202: Action.READ,
    301: Action.MOVED,
    302: Action.MOVED,
    303: Action.MOVED,
    307: Action.MOVED,
    308: Action.MOVED,
    401: Action.RENEW,  # Braze also answers so on the wrong instance: docs "API errors", read 2026-11
    403: Action.DENIED,
    404: Action.MISSING,
    408: Action.WAIT,  # BlueConic, reading profiles
    429: Action.WAIT,
    500: Action.AGAIN,
    502: Action.AGAIN,
    503: Action.WAIT,  # both vendors: busy
    504: Action.AGAIN,
}


def action_for(status: int) -> Action:
    """Classify a status; one that the table does not hold is :attr:`Action.ODD`, never a success."""
    return CALL_ACTIONS.get(status, Action.ODD)


@dataclass(frozen=True)
class Patience:
    """How long one call is worth repeating.

    :param attempts: tries, the first included.
    :param seconds: from the first try to the start of the last, waits included.
    """

    attempts: int = 6
    seconds: float = 600.0


@dataclass(frozen=True)
class Site:
    """Where a vendor answers, taken from an Airflow connection.

    :param vendor: the vendor's name as people write it.
    :param conn_id: the connection's id.
    :param base_url: scheme, host, port and path, without a slash at the end.
    :param ca_file: path of a PEM file to trust instead of the usual authorities.
    """

    vendor: str
    conn_id: str
    base_url: str
    ca_file: str | None = None

    @property
    def place(self) -> str:
        """Vendor, host and connection, for a sentence."""
        return f'{self.vendor} at {urlsplit(self.base_url).netloc} (connection "{self.conn_id}")'

    @classmethod
    def load(cls, vendor: str, conn_id: str) -> tuple[Site, Connection]:
        """Read a connection.

        Its host may be a URL or a bare host, with or without port and path; ``https`` where no scheme is given.
        Connections written as a URI are understood as well: there ``schema`` may hold the scheme or the path.

        :raises AccessError: no such connection, no host, or a host that is no ``http(s)`` address.
        """
        try:
            connection = BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            raise AccessError(f'There is no connection "{conn_id}". Add one of the type {vendor}.') from None
        base_url = _base_url(connection.host, connection.schema, connection.port)
        if base_url is None:
            raise AccessError(
                f'The host of connection "{conn_id}" is not an address. '
                f"Set it to {vendor}'s, such as https://host.example."
            )
        ca_file = connection.extra_dejson.get("ca_file")
        return cls(vendor, conn_id, base_url, str(ca_file) if ca_file else None), connection


def _base_url(host: str | None, schema: str | None, port: int | None) -> str | None:
    text = (host or "").strip()
    path = (schema or "").strip("/ ")
    if "://" not in text:
        scheme = path if path in ("http", "https") else "https"
        text = f"{scheme}://{text}"
    if path in ("http", "https"):
        path = ""
    try:
        parts = urlsplit(text)
        port = parts.port or port
    except ValueError:
        return None
    bare = "" if parts.hostname is None else parts.hostname
    # A user and password in the address would be a second home for secrets, and would end up in logs.
    readable = bool(bare) and text.isprintable() and " " not in text and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not readable or parts.query or parts.fragment:
        return None
    bare = f"[{bare}]" if ":" in bare else bare
    place = bare if port is None else f"{bare}:{port}"
    return "/".join(part for part in (f"{parts.scheme}://{place}", parts.path.strip("/"), path) if part)


def read_json(text: bytes | bytearray | None, *, whole_texts: bool = True) -> Any:
    """Read the JSON of an answer; ``None`` if there is none, or if it is none.

    :param whole_texts: repair halves of characters.
    """
    try:
        value = json.loads(text) if text else None
        return repaired(value) if text and whole_texts and may_hold_halves(text) else value
    except (ValueError, RecursionError):  # also bad UTF-8; the text of the error could quote the body
        return None


def usable_key(value: str | None, *, name: str, conn_id: str) -> str:
    """Return a key that fits into a header, without the blanks that copying leaves round it.

    :raises AccessError: there is none, or it holds a character that no header can carry.
    """
    key = (value or "").strip()
    if not key:
        raise AccessError(f'Connection "{conn_id}" has no {name}. Set it in the password field.')
    # Checked here, since the HTTP library would put the whole header into its error.
    if not key.isascii() or not key.isprintable() or " " in key or key[0] in "'\"":
        raise AccessError(f'The {name} of connection "{conn_id}" holds quotes, blanks or line breaks. Paste it again.')
    return key


class Bearer(Protocol):
    """Hands out what goes behind ``Authorization: Bearer``."""

    def token(self) -> str:
        """Return a token that is valid now."""
        ...

    def renew(self) -> bool:
        """Get a fresh token after a 401; ``False`` if there can't be one."""
        ...


class _BearerAuth(AuthBase):
    # An auth object of our own also keeps requests from reading a .netrc file.
    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


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
    why_again: Callable[[Answer], str | None] | None = None
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


class _TryAgainError(Exception):
    """One try failed in a way that another may not.

    :param error: what to raise when no try is left.
    :param wait: seconds that the server asked for.
    """

    def __init__(self, error: SyncError, wait: float | None = None) -> None:
        self.error = error
        self.wait = wait
        super().__init__()


class Caller:
    """Makes ordinary calls to one site.

    :param site: where.
    :param bearer: what identifies us; ``None`` for calls that need no key.
    :param timeout: seconds of silence, while connecting and while reading.
    :param patience: how long a call is worth repeating.
    :param sleep: waits that many seconds.
    :param wall_clock: returns Unix seconds; compared with times that the server names.
    """

    def __init__(
        self,
        site: Site,
        *,
        bearer: Bearer | None,
        timeout: float,
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.site = site
        self._bearer = bearer
        self._timeout = timeout
        self._patience = patience
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def call(self, call: Call) -> Answer:
        """Make a call until it is answered, refused, or our patience ends.

        :raises AccessError: wrong key, host, certificate or right.
        :raises TransientError: busy or unreachable for as long as we waited.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=self._is_over if call.repeatable else _after_one_try,
            wait=_wait,
            sleep=self._sleep,
            before_sleep=lambda state: self._tell(call, state),
            reraise=True,
        )
        try:
            return retrying(self._try, call)
        except _TryAgainError as last:
            raise last.error from None

    def _is_over(self, state: RetryCallState) -> bool:
        if state.attempt_number >= self._patience.attempts:
            return True
        # idle_for counts the waits even where a test's sleep returns at once.
        spent = max(state.seconds_since_start or 0.0, state.idle_for)
        return spent + state.upcoming_sleep > self._patience.seconds

    def _tell(self, call: Call, state: RetryCallState) -> None:
        _log.info(
            "%s to %s was not answered, try %s follows in %.1f s",
            call.title,
            self.site.vendor,
            state.attempt_number + 1,
            state.upcoming_sleep,
        )

    def _try(self, call: Call) -> Answer:
        try:
            with self._send(call) as response:
                return self._read(call, response)
        except requests.exceptions.RequestException as error:
            # The library's text can hold the address with its query, so only the class is named.
            raise self._lost(call, error) from None

    def _send(self, call: Call) -> requests.Response:
        response = self._send_once(call)
        if action_for(response.status_code) is Action.RENEW and self._bearer is not None and self._bearer.renew():
            response.close()
            response = self._send_once(call)
        return response

    def _send_once(self, call: Call) -> requests.Response:
        return self._session.request(
            call.method,
            self.site.base_url + call.path,
            params=dict(call.params),
            json=call.body,
            data=call.form,
            auth=_BearerAuth(self._bearer.token() if self._bearer is not None else None),
            timeout=self._timeout,
            verify=self.site.ca_file or True,
            allow_redirects=False,
            stream=True,
        )

    def _read(self, call: Call, response: requests.Response) -> Answer:
        status = response.status_code
        if status in call.errors:
            raise call.errors[status]
        match action_for(status):
            case Action.READ:
                return self._usable(
                    call, Answer(self._object(call, response), response.links.get("next", {}).get("url"))
                )
            case Action.WAIT:
                error = TransientError(f"{self.site.place} is busy: it answered {call.title} with {status}.")
                raise _TryAgainError(error, requested_wait(response.headers, self._wall_clock()))
            case Action.AGAIN:
                error = TransientError(f"{self.site.place} failed: it answered {call.title} with {status}.")
                raise _TryAgainError(error, requested_wait(response.headers, self._wall_clock()))
            case Action.RENEW:
                raise AccessError(
                    f"{self.site.place} refused the key ({status} to {call.title}). Check the key, that the host "
                    f'is the one the key was made for, and that the key may use "{call.right}".'
                )
            case Action.DENIED:
                raise AccessError(
                    f'{self.site.place} denied {call.title} ({status}): the key lacks "{call.right}", '
                    "or its list of allowed addresses lacks this worker's."
                )
            case Action.MISSING:
                raise AccessError(f"{self.site.place} has no {call.title} ({status}). Check the host.")
            case Action.MOVED:
                raise AccessError(
                    f"{self.site.place} sends {call.title} to another address ({status}). "
                    "Set the host to that of the API."
                )
            case Action.ODD:
                raise UnexpectedAnswer(f"{self.site.place} answered {call.title} with {status}, which no rule covers.")

    def _usable(self, call: Call, answer: Answer) -> Answer:
        why = call.why_again(answer) if call.why_again is not None else None
        if why is not None:
            raise _TryAgainError(
                TransientError(f"{self.site.place} answered {call.title}, but {why}, however often it was asked.")
            )
        return answer

    def _object(self, call: Call, response: requests.Response) -> dict[str, Any]:
        """Read the body to its end and check that it is whole: a broken stream ends in the middle of the document."""
        chunks = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            chunks += chunk
            if len(chunks) > MAX_ANSWER_BYTES:
                raise UnexpectedAnswer(
                    f"{self.site.place} answered {call.title} with more than {MAX_ANSWER_BYTES:,} bytes. "
                    "Use smaller pages."
                )
        body = read_json(chunks, whole_texts=call.whole_texts)
        if not isinstance(body, dict):
            hint = " It looks like a web page: check the host." if chunks.lstrip()[:1] == b"<" else ""
            raise _TryAgainError(
                UnexpectedAnswer(f"{self.site.place} answered {call.title} with something else than whole JSON.{hint}")
            )
        if call.list_of is not None:
            entries = body.get(call.list_of)
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise _TryAgainError(
                    UnexpectedAnswer(f'{self.site.place} answered {call.title} without a list of "{call.list_of}".')
                )
        return body

    def _lost(self, call: Call, error: requests.exceptions.RequestException) -> Exception:
        kind = type(error).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return AccessError(
                f"The certificate of {self.site.place} is not trusted here. "
                "Name your company's authorities in the connection's CA file, or correct the host."
            )
        if isinstance(error, requests.exceptions.InvalidURL):
            return AccessError(f"The host of {self.site.place} is not an address ({kind}).")
        doubt = "" if call.repeatable else " It was not repeated, since it may have been done."
        if isinstance(error, requests.exceptions.Timeout):
            text = f"{self.site.place} did not answer {call.title} within {self._timeout:g} s."
        else:
            text = (
                f"{self.site.place} can't be reached, or the connection broke during {call.title} ({kind}). "
                "If this lasts, check the host and the network."
            )
        return _TryAgainError(TransientError(text + doubt))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk through everything that an exception wraps, in any of the three ways that requests and urllib3 use."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def _after_one_try(_: RetryCallState) -> bool:
    return True


def _wait(state: RetryCallState) -> float:
    """Wait as long as the server asks, else 1 s, doubled with each try up to 60 s."""
    error = state.outcome.exception() if state.outcome is not None else None
    backoff = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
    asked = error.wait if isinstance(error, _TryAgainError) else None
    return backoff if asked is None else max(asked, _FIRST_WAIT)


def requested_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Say how long a server asks to be left alone.

    Reads ``X-Ratelimit-Retry-After`` (seconds, Braze with MAU contracts), ``Retry-After`` (seconds or a date),
    and, if nothing is left of the limit, ``X-RateLimit-Reset`` (an epoch or seconds).

    :param headers: any spelling of names, as requests gives them.
    :param now: Unix seconds.
    :return: seconds, or ``None`` where no header says so.
    """
    for name in ("X-Ratelimit-Retry-After", "Retry-After"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        if text and name == "Retry-After":
            return _seconds_until(text, now)
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if headers.get("X-RateLimit-Remaining", "").strip() == "0" and reset.isascii() and reset.isdigit():
        seconds = float(reset)
        return max(0.0, seconds - now) if seconds > _EPOCH_FROM else seconds
    return None


def _seconds_until(http_date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)

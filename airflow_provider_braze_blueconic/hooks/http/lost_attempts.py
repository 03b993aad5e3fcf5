"""What an exception means for an attempt to send a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict

if TYPE_CHECKING:
    pass

__all__ = ["exception_verdicts", "lost_reply", "verdict_for_exception"]


def exception_verdicts() -> tuple[tuple[type[BaseException], Verdict], ...]:
    """Return what each exception of aiohttp means; the first row that fits holds.

    What tells the rows apart is whether anything of the request can have been sent.
    """
    import aiohttp

    return (
        (aiohttp.ClientConnectorCertificateError, Verdict.STOP),
        (aiohttp.ServerFingerprintMismatch, Verdict.STOP),
        (aiohttp.InvalidURL, Verdict.STOP),
        (aiohttp.NonHttpUrlClientError, Verdict.STOP),
        (aiohttp.ConnectionTimeoutError, Verdict.RETRY),  # while connecting
        (aiohttp.ClientConnectorError, Verdict.RETRY),  # refused, no such name, no TLS, no proxy
        (aiohttp.ClientHttpProxyError, Verdict.RETRY),  # the proxy did not open the way
        # From here on the request may have been sent, in part or whole.
        (aiohttp.ClientPayloadError, Verdict.UNKNOWN),  # the answer broke off
        (aiohttp.ClientResponseError, Verdict.UNKNOWN),  # the answer is not HTTP
        (aiohttp.ServerTimeoutError, Verdict.UNKNOWN),
        (aiohttp.ServerConnectionError, Verdict.UNKNOWN),
        (aiohttp.ClientOSError, Verdict.UNKNOWN),  # reset while writing or reading
        (aiohttp.ClientConnectionError, Verdict.UNKNOWN),
        (aiohttp.RedirectClientError, Verdict.UNKNOWN),  # redirects are not followed
        (aiohttp.ClientError, Verdict.UNKNOWN),
        (TimeoutError, Verdict.UNKNOWN),
        (OSError, Verdict.UNKNOWN),
    )


def verdict_for_exception(error: BaseException) -> Verdict:
    """Classify what was raised instead of an answer; what no row holds is unknown."""
    return next((verdict for kind, verdict in exception_verdicts() if isinstance(error, kind)), Verdict.UNKNOWN)


def lost_reply(error: Exception, *, place: str, title: str, headers: Mapping[str, str], status: int | None) -> Reply:
    """Classify an attempt that ended in an exception.

    :param place: vendor, host and connection, for the sentence.
    :param title: method and path, for the sentence.
    :param status: of an answer whose body did not come whole: it was sent, whatever the exception says of connecting.
    """
    verdict = Verdict.UNKNOWN if status is not None else verdict_for_exception(error)
    kind = type(error).__name__  # its text could hold a proxy's password
    if verdict is Verdict.STOP:
        text = (
            f"{place} can't be used for {title} ({kind}). Check the host and, behind a proxy that intercepts TLS, "
            "the connection's CA file."
        )
    elif verdict is Verdict.RETRY:
        text = f"{place} can't be reached for {title} ({kind}); nothing was sent."
    else:
        text = f"{place} returned no complete answer to {title} ({kind}); the batch may have been applied."
    return Reply(verdict, status, (), headers, text)

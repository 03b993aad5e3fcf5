"""The errors for a call that was refused or lost."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping

import requests

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.http.actions import Action, action_for
from airflow_provider_braze_blueconic.hooks.http.calls import Call

__all__ = ["lost", "refused"]


def refused(call: Call, status: int, *, place: str) -> SyncError:
    """Say what a status other than a success means for a call.

    :param place: vendor, host and connection.
    """
    title = call.title
    by_action: Mapping[Action, SyncError] = {
        Action.WAIT: TransientError(f"{place} is busy: it answered {title} with {status}."),
        Action.AGAIN: TransientError(f"{place} failed: it answered {title} with {status}."),
        Action.RENEW: AccessError(
            f"{place} refused the key ({status} to {title}). Check the key, that the host is the one that the key "
            f'belongs to, and that the key may use "{call.right}".'
        ),
        Action.DENIED: AccessError(
            f'{place} denied {title} ({status}): the key lacks "{call.right}", or its allowed addresses don\'t '
            "include this worker's."
        ),
        Action.MISSING: AccessError(f"{place} has no {title} ({status}). Check the host."),
        Action.MOVED: AccessError(f"{place} redirects {title} ({status}). Set the host to the API's own."),
    }
    odd = UnexpectedAnswer(f"{place} answered {title} with {status}, which no rule covers.")
    return by_action.get(action_for(status), odd)


def lost(
    call: Call, error: requests.exceptions.RequestException, *, place: str, timeout: float
) -> AccessError | TransientError:
    """Say what it means that a call got no answer; only after a :class:`TransientError` it is worth another try.

    :param place: vendor, host and connection.
    :param timeout: seconds of silence.
    """
    kind = type(error).__name__
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return AccessError(
            f"This worker doesn't trust the certificate of {place}. Set the connection's CA file to your company's "
            "certificate authorities, or correct the host."
        )
    if isinstance(error, requests.exceptions.InvalidURL):
        return AccessError(f"The host of {place} isn't a valid address ({kind}).")
    if isinstance(error, requests.exceptions.Timeout):
        text = f"{place} didn't answer {call.title} within {timeout:g} s."
    else:
        text = (
            f"{place} can't be reached, or the connection broke during {call.title} ({kind}). "
            "If this lasts, check the host and the network."
        )
    doubt = "" if call.repeatable else " The call wasn't repeated, since it may have taken effect."
    return TransientError(text + doubt)


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

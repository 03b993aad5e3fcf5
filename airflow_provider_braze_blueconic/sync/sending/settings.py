"""The settings of an upload: how much, how often, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits

__all__ = ["UploadSettings"]


@dataclass(frozen=True)
class UploadSettings:
    """How an upload behaves.

    :param limits: what fits into one request.
    :param before: bytes before the records in a body.
    :param after: bytes after them.
    :param shown_keys: keys of a record under which there is never a value of the person, so that a server's text may be
        shown with what stands there.
    :param max_in_flight: requests without an answer, at most. At a cap of 1,000 requests/s, 512 reach it up to half
        a second of latency.
    :param max_tries: attempts at one batch that end without a verdict on its records.
    :param patience: seconds in which attempts only fail, after which the upload gives up.
    :param rate_limit_patience: seconds that a rate limit may keep everything waiting; an hourly limit resets on the
        clock hour (Braze docs "API limits", read 2026-11).
    :param flush_seconds: receipts become durable at least this often.
    :param flush_patience: seconds for which they may fail to, after which the upload gives up: a kill would lose them.
    :param progress_seconds: time between two progress messages.
    :param rejected_percent: share of the run's records that may be rejected; more stop it. ``None`` for no limit.
    :param rejected_after: records with an outcome before that share means anything.
    """

    limits: BatchLimits
    before: bytes
    after: bytes
    shown_keys: frozenset[str] = frozenset()
    max_in_flight: int = 512
    max_tries: int = 6
    patience: float = 300.0
    rate_limit_patience: float = 3_900.0
    flush_seconds: float = 0.5
    flush_patience: float = 30.0
    progress_seconds: float = 10.0
    rejected_percent: float | None = None
    rejected_after: int = 1_000

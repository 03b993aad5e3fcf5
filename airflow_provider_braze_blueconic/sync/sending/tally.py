"""The tally of an upload: how many records had which outcome, and what it took."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.sending.seam import NotTaken

__all__ = ["Tally"]


@dataclass
class Tally:
    """What an upload did so far.

    :param requests: requests sent, repetitions included.
    :param accepted: records accepted.
    :param rejected: records rejected.
    :param not_found: records for whom nobody is there to write to.
    :param no_consent: records of people who did not consent.
    :param unknown: records whose outcome is unknown.
    :param rate_limited: answers that said to slow down.
    :param repeated: requests that were sent again.
    :param seconds: from the first request to the last answer.
    """

    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    not_found: int = 0
    no_consent: int = 0
    unknown: int = 0
    rate_limited: int = 0
    repeated: int = 0
    seconds: float = 0.0

    @property
    def records(self) -> int:
        """Records with an outcome."""
        return self.accepted + self.rejected + self.not_found + self.no_consent + self.unknown

    def count(self, outcome: NotTaken) -> None:
        """Count one record that was not taken."""
        setattr(self, outcome, getattr(self, outcome) + 1)

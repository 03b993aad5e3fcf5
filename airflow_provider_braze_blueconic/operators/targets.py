"""Where an upload goes, and what that target takes: records in one request, requests in a second."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
    from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits

__all__ = ["BlueConicProfiles", "BrazeUsers", "CsvFile", "Target", "TargetName", "target_of"]

TargetName = Literal["braze", "blueconic", "s3_csv"]


class Target(ABC):
    """What an upload writes to."""

    @abstractmethod
    def limits(self) -> BatchLimits:
        """Return what fits into one request."""

    @abstractmethod
    def rate(self, requests_per_second: float | None) -> Rate:
        """Return the cap of all workers together.

        :param requests_per_second: the goal's own cap, if it has one.
        """


@dataclass(frozen=True)
class BrazeUsers(Target):
    """Braze, by ``/users/track``.

    :param bulk: by ``/users/track/bulk``.
    """

    bulk: bool = False

    def limits(self) -> BatchLimits:
        """Return what fits into one request."""
        from airflow_provider_braze_blueconic.hooks.braze_api.track import TRACK_BULK_LIMITS, TRACK_LIMITS

        return TRACK_BULK_LIMITS if self.bulk else TRACK_LIMITS

    def rate(self, requests_per_second: float | None) -> Rate:
        """Return Braze's own cap, or the goal's or the installation's if that is lower."""
        from airflow_provider_braze_blueconic.hooks.braze_api.track import TRACK_BULK_RATE, TRACK_RATE
        from airflow_provider_braze_blueconic.hooks.settings import Settings

        rate = TRACK_BULK_RATE if self.bulk else TRACK_RATE
        return rate.lower(requests_per_second or Settings.load().requests_per_second)


@dataclass(frozen=True)
class BlueConicProfiles(Target):
    """BlueConic, by ``PUT /profiles``."""

    def limits(self) -> BatchLimits:
        """Return what fits into one request."""
        from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_LIMITS

        return PROFILES_LIMITS

    def rate(self, requests_per_second: float | None) -> Rate:
        """Return the goal's cap, else a careful one, or the installation's if that is lower.

        BlueConic publishes no rate, so a goal may ask for more than the careful one.
        """
        from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_RATE
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.sending.pacing import Rate

        if requests_per_second:
            return Rate(requests_per_second, 1.0, counted=False)
        return PROFILES_RATE.lower(Settings.load().requests_per_second)


@dataclass(frozen=True)
class CsvFile(Target):
    """One CSV file for BlueConic's own Amazon S3 connection: everything fits into it."""

    def limits(self) -> BatchLimits:
        """Return no limit."""
        from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits

        return BatchLimits(sys.maxsize, sys.maxsize)

    def rate(self, requests_per_second: float | None) -> Rate:  # noqa: ARG002  a file is written once
        """Return one file a second."""
        from airflow_provider_braze_blueconic.sync.sending.pacing import Rate

        return Rate(1, 1.0)


def target_of(name: TargetName, *, bulk: bool = False) -> Target:
    """Return the target of that name.

    :param bulk: the upload to Braze uses ``/users/track/bulk``.
    """
    targets: dict[TargetName, Target] = {
        "braze": BrazeUsers(bulk=bulk),
        "blueconic": BlueConicProfiles(),
        "s3_csv": CsvFile(),
    }
    return targets[name]

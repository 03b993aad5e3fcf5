"""The ``[braze_blueconic]`` section of Airflow's configuration."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_braze_blueconic.exceptions import SettingError
from airflow_provider_braze_blueconic.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.observations.observation import System

__all__ = ["SECTION", "Settings", "this_airflow"]

SECTION = "braze_blueconic"

_API = (("api", "base_url"), ("core", "execution_api_server_url"))
"""Where an Airflow's API is, for people and for tasks."""

_OWN_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104  # as people write it in a URL


@dataclass(frozen=True)
class Settings:
    """The settings of the whole installation; the provider's metadata describes each option.

    :param request_timeout: seconds.
    :param retry_attempts: attempts at one ordinary call, the first included.
    :param retry_seconds: seconds, waits included.
    :param page_size: profiles per page.
    :param max_in_flight: requests in flight per upload task.
    :param requests_per_second: cap if the goal sets none.
    :param braze_settle_seconds: seconds until a write shows in a segment export.
    :param blueconic_settle_seconds: seconds until a write shows in a segment.
    :param lock_seconds: seconds without a renewed lock until a run counts as dead.
    :param lock_gap_seconds: seconds that a run of another Airflow may take between two of its tasks.
    :param wait_for_goal_minutes: minutes that a run waits while its goal is busy.
    :param reprocessed_runs_send: send even if Airflow may have lost that the run was meant as a dry run.
    :param work_folder: ``None`` for the system's temporary folder.
    :param memory_limit: as DuckDB writes it.
    """

    request_timeout: float
    retry_attempts: int
    retry_seconds: float
    page_size: int
    max_in_flight: int
    requests_per_second: float
    braze_settle_seconds: float
    blueconic_settle_seconds: float
    lock_seconds: float
    lock_gap_seconds: float
    wait_for_goal_minutes: float
    reprocessed_runs_send: bool
    work_folder: str | None
    memory_limit: str

    def __post_init__(self) -> None:
        for name in (
            "request_timeout",
            "retry_attempts",
            "retry_seconds",
            "page_size",
            "max_in_flight",
            "requests_per_second",
            "lock_seconds",
        ):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                msg = f"[{SECTION}] {name} must be a number above 0; it is {value}."
                raise SettingError(msg)
        for name in ("braze_settle_seconds", "blueconic_settle_seconds", "lock_gap_seconds", "wait_for_goal_minutes"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                msg = f"[{SECTION}] {name} must be a number of 0 or more; it is {value}."
                raise SettingError(msg)

    @property
    def settles_in(self) -> dict[System, timedelta]:
        """How long a write may take to show in a read of either system."""
        return {
            "braze": timedelta(seconds=self.braze_settle_seconds),
            "blueconic": timedelta(seconds=self.blueconic_settle_seconds),
        }

    @classmethod
    def load(cls) -> Settings:
        """Read the section; missing options have the defaults of the provider's metadata.

        :raises SettingError: for an invalid number, such as a negative time.
        """
        # Airflow knows the defaults too, but not where the package runs without being installed.
        options = get_provider_info()["config"][SECTION]["options"]
        default = {name: option["default"] for name, option in options.items()}

        def text(name: str) -> str:
            return str(conf.get(SECTION, name, fallback=default[name]))

        def number(name: str) -> float:
            return float(conf.getfloat(SECTION, name, fallback=float(default[name])))

        def whole(name: str) -> int:
            return int(conf.getint(SECTION, name, fallback=int(default[name])))

        return cls(
            request_timeout=number("request_timeout"),
            retry_attempts=whole("retry_attempts"),
            retry_seconds=number("retry_seconds"),
            page_size=whole("page_size"),
            max_in_flight=whole("max_in_flight"),
            requests_per_second=number("requests_per_second"),
            braze_settle_seconds=number("braze_settle_seconds"),
            blueconic_settle_seconds=number("blueconic_settle_seconds"),
            lock_seconds=number("lock_seconds"),
            lock_gap_seconds=number("lock_gap_seconds"),
            wait_for_goal_minutes=number("wait_for_goal_minutes"),
            reprocessed_runs_send=conf.getboolean(
                SECTION, "reprocessed_runs_send", fallback=default["reprocessed_runs_send"] == "True"
            ),
            work_folder=text("work_folder") or None,
            memory_limit=text("memory_limit"),
        )


def this_airflow() -> str:
    """Identify this Airflow by the address of its API, as configured on its workers.

    An API on localhost differs from machine to machine, so the result includes the machine's name.
    """
    urls = [str(conf.get(*option, fallback="") or "") for option in _API]
    places = {url: urlsplit(url).hostname or "localhost" for url in urls if url}
    # Without user and password, should somebody have put them there.
    public = [url.rpartition("@")[2].rstrip("/") for url, host in places.items() if host not in _OWN_MACHINE]
    if public:
        return " ".join(public)
    return " ".join([*(url.rpartition("@")[2].rstrip("/") for url in places), "on", socket.gethostname()])

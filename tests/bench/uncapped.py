"""Braze's own cap of requests, lifted in this process: what an upload reaches by itself can't be seen under it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["UNCAPPED", "lift_cap"]

UNCAPPED = 1_000_000.0
"""Requests per second: more than anybody sends."""

_PACKAGE = "airflow_provider_braze_blueconic"
_KEEPERS = ("hooks.braze", "hooks.braze_api.track", "hooks.braze_track")
"""Modules that hold or pass on the cap, in one build or another."""


def lift_cap() -> None:
    """Let uploads of this process, and of those that it forks, send as fast as they can.

    :raises LookupError: if no module has the cap, so that nobody takes a capped figure for another.
    """
    lifted = 0
    for name in _KEEPERS:
        try:
            module: Any = import_module(f"{_PACKAGE}.{name}")
        except ModuleNotFoundError:
            continue
        if hasattr(module, "TRACK_RATE"):
            module.TRACK_RATE = type(module.TRACK_RATE)(UNCAPPED, 1.0)
            lifted += 1
    if not lifted:
        raise LookupError(f"{_PACKAGE} keeps Braze's cap somewhere else; add the module to {__name__}")

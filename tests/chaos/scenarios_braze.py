"""Scenarios in which Braze fails: while it is written to (exports), and while its segment is asked for (imports)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from tests.chaos.harness import Scenario, World

__all__ = ["SCENARIOS"]

TRACK = "/users/track"
ASKED = "/users/export/segment"
REFUSAL = "The sandbox refuses this object"


def _track(kind: FaultKind, **more: Any) -> Fault:
    return Fault("braze", kind, path=TRACK, **more)


def _export(fault: str, *faults: Fault, **more: Any) -> Scenario:
    return Scenario(fault, "Braze", "export", faults=faults, **{"ends": "success", **more})


def _import(fault: str, *faults: Fault, **more: Any) -> Scenario:
    return Scenario(fault, "Braze", "import", faults=faults, **{"ends": "success", **more})


def _refused_with_reason(world: World) -> Iterator[str]:
    """Whoever is refused is in the report with Braze's own words, and is accepted by the run after it."""
    first, second = world.nights[-2:]
    refused = {each.person for each in first.sent if each.told == "rejected"}
    if first.report["rejected"] != {REFUSAL: len(refused)}:
        yield f"the report says {first.report['rejected']} of {len(refused)} refused people"
    if {each.person for each in second.sent if each.told == "accepted"} != refused:
        yield "the refused people, and they alone, should have come back"


def _exported_once(world: World) -> Iterator[str]:
    """A run that is tried again takes up the export that it asked for."""
    asked = sum(world.box.counters()["exports"].values())
    if asked != 1:
        yield f"Braze exported {asked} times for one run"


def _poison(world: World) -> None:
    world.box.faults.add(_track("poison", identifiers=(world.people()[5],), text=REFUSAL))


def _statuses(path: str, status: int) -> tuple[Fault, Fault]:
    return (
        Fault("braze", "status", path=path, status=status, times=1),
        Fault("braze", "html", path=path, status=status, times=1),
    )


_LIMITED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("429, reset as an epoch", {"reset_form": "epoch"}),
    ("429, reset in seconds", {"reset_form": "seconds"}),
    ("429, X-Ratelimit-Retry-After alone", {"limited_form": "retry_after"}),
)
_WINDOW = {"track_requests": 1, "track_seconds": 3.0}
"""Stands for an hourly window, which would keep a test waiting for an hour."""

SCENARIOS = (
    _export("latency", _track("latency", delay_s=0.3, jitter_s=0.7)),
    _import("latency", Fault("braze", "latency", delay_s=0.3, jitter_s=0.7)),
    *(_export(name, _track("status", status=429, times=2), braze=form) for name, form in _LIMITED),
    *(_import(name, Fault("braze", "status", status=429, times=3), braze=form) for name, form in _LIMITED),
    *(_export(f"{code}, JSON and HTML", *_statuses(TRACK, code)) for code in (500, 502, 503, 504)),
    *(_import(f"{code}, JSON and HTML", *_statuses("/segments/*", code)) for code in (500, 502, 503, 504)),
    _export("500 although applied", _track("status_after", status=500, times=1)),
    _export("200 with HTML", _track("html", status=200, times=1)),
    _export("201 cut in half", _track("cut_body", times=1)),
    _export("reset before the answer", _track("reset_before", times=1)),
    _export("reset during the batch", _track("reset_during", times=1)),
    _export("reset after the batch", _track("reset_after", times=1)),
    _import("reset before the answer", Fault("braze", "reset_before", path="/segments/*", times=2)),
    _import("reset during the answer", Fault("braze", "broken_stream", path="/segments/*", times=2, at_bytes=60)),
    _import(
        "reset after the export was begun",
        Fault("braze", "reset_after", path=ASKED, times=1),
        same_run=True,
        ends="failed",
        expect=_exported_once,
    ),
    _export("timeout after the batch", _track("timeout_after", times=1, delay_s=15)),
    _export("timeout before the batch", _track("timeout_before", times=1, delay_s=15)),
    _import(
        "timeout after the export was begun",
        Fault("braze", "timeout_after", path=ASKED, times=1, delay_s=15),
        same_run=True,
        ends="failed",
        expect=_exported_once,
    ),
    _export("errors of single records", _track("entry_errors", entry_share=0.1), expect=_refused_with_reason),
    _export("one bad object in a 400", disturb=_poison, expect=_refused_with_reason),
    _export("all objects bad", _track("entry_errors", entry_share=1.0), expect=_refused_with_reason),
    _export("errors without index", _track("entry_errors", entry_share=0.1, indexed=False)),
    _export(
        "all objects bad, without index",
        _track("entry_errors", entry_share=1.0, indexed=False),
    ),
    _export("key revoked midway", _track("key_revoked", skip=1, times=1), ends="failed"),
    _import("key revoked midway", Fault("braze", "key_revoked", path="/segments/*", skip=1, times=1), ends="failed"),
    _export("window that closes", braze=_WINDOW),
)

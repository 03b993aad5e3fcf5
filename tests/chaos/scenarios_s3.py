"""Scenarios in which S3 fails, or another writer is faster there.

What only an S3 can do to us that is not Amazon's is at the end: a listing that misses the newest objects.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from tests.chaos.harness import GOAL_ID, Direction, Scenario

__all__ = ["SCENARIOS", "SHORT"]

_DIRECTIONS: tuple[Direction, ...] = ("export", "import", "sums")

_GOAL = f"/sandbox-sync/tests/{GOAL_ID}"
_LEDGER = f"{_GOAL}/ledger/_delta_log/*.json"
_RECEIPTS = f"{_GOAL}/receipts/_delta_log/*.json"
_RUNS = f"{_GOAL}/runs/_delta_log/*.json"
_PARTS = f"{_GOAL}/work/*/delta-*/receipts/*"


def _s3(kind: FaultKind, **more: Any) -> Fault:
    return Fault("s3", kind, **more)


def _everywhere(fault: str, *faults: Fault, **more: Any) -> tuple[Scenario, ...]:
    return tuple(
        Scenario(fault, "S3", direction, faults=faults, holds=direction == "sums", **more) for direction in _DIRECTIONS
    )


def _once(kind: FaultKind, path: str, **more: Any) -> Fault:
    return _s3(kind, path=path, method="PUT", times=1, **more)


_ANSWERS = (
    *_everywhere("503 SlowDown to every third request", _s3("status", status=503, every=3), ends="success"),
    *_everywhere("500 InternalError to every fourth request", _s3("status", status=500, every=4), ends="success"),
    *_everywhere("503 SlowDown to all after a while", _s3("status", status=503, skip=60, times=120)),
    *_everywhere("latency", _s3("latency", delay_s=0.05), ends="success"),
)
_CONNECTIONS = (
    *_everywhere("connection reset before a request is taken, now and then", _s3("reset_before", every=23)),
    *_everywhere("connection reset instead of an answer, now and then", _s3("reset_after", every=23)),
    *_everywhere("time-out before and after, now and then", _s3("timeout_before", skip=9, every=31, delay_s=0.3),
                 _s3("timeout_after", skip=21, every=31, delay_s=0.3)),
    *(
        scenario
        for name, path in (("ledger", _LEDGER), ("receipts table", _RECEIPTS), ("runs table", _RUNS))
        for kind, what in (
            ("reset_before", "connection reset before"),
            ("reset_after", "connection reset after"),
            ("timeout_after", "time-out after"),
        )
        for scenario in _everywhere(f"{what} the commit of the {name}", _once(kind, path, delay_s=0.3))  # type: ignore[arg-type]
    ),
    *_everywhere("part receipts fail at first", _s3("status", path=_PARTS, method="PUT", status=503, times=12)),
    *_everywhere("part receipts written, answers lost", _s3("timeout_after", path=_PARTS, method="PUT", times=2, delay_s=0.3)),
)  # fmt: skip
_WRITERS = (
    *(
        scenario
        for name, path in (("ledger", _LEDGER), ("receipts table", _RECEIPTS), ("runs table", _RUNS))
        for scenario in (
            *_everywhere(f"commit of the {name} lost to another writer", _s3("lost_put", path=path, times=1)),
            *_everywhere(f"409 to the commit of the {name}", _once("status", path, status=409)),
        )
    ),
    *_everywhere("412 to the commit of the ledger, though nobody wrote", _once("status", _LEDGER, status=412)),
    *_everywhere("lock lost to another writer", _s3("lost_put", path=f"{_GOAL}/lock/*", times=1)),
)
_DELAYED = (
    *_everywhere("listings of work files miss the last 2 s", _s3("list_delay", path=f"{_GOAL}/work/*", delay_s=2.0)),
    *_everywhere("listings of tables miss the last 2 s", _s3("list_delay", path=f"{_GOAL}/*/_delta_log/*", delay_s=2.0)),
)  # fmt: skip

SCENARIOS: tuple[Scenario, ...] = (*_ANSWERS, *_CONNECTIONS, *_WRITERS, *_DELAYED)

SHORT: tuple[Scenario, ...] = (
    Scenario(
        "busy, slow, resetting, and with another writer",
        "S3",
        "import",
        faults=(
            _s3("lost_put", path=_RECEIPTS, times=1),
            _once("reset_after", _LEDGER),
            _s3("status", status=503, every=7),
        ),
    ),
)

"""What tests of the delta have in common: people, plans, and ledgers that a run left."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.core import acknowledged, day, engine, person, run_delta, stored_ledger, write_seen

__all__ = [
    "GROUP",
    "A",
    "B",
    "C",
    "D",
    "committed",
    "drifted",
    "empty_ledger",
    "import_plan",
    "kinds",
    "leaving",
    "plan",
    "refused",
    "seen_plan",
    "sent",
]

A, B, C, D = (person(name) for name in "abcd")
GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"


def plan(*targets: str, **how: Any) -> DeltaPlan:
    """A plan of the third of November in which every target but a subscription costs a data point."""
    written: Mapping[str, str] = how.get("leavers") or {}
    billable = frozenset({*targets, *written} - {GROUP, "email_subscribe"})
    return DeltaPlan(
        targets, **{"billable": billable, "documents": frozenset(), "partitions": 1, "as_of": day(3), **how}
    )


def empty_ledger(folder: Path) -> Ledger:
    return Ledger(str(folder / "ledger"), {})


def sent(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a delta row that are sent."""
    return {name.removeprefix("field_"): text for name, text in row.items() if name.startswith("field_") and text}


def kinds(delta: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, bool, dict[str, Any]]]:
    return {identifier: (row["kind"], row["to_send"], sent(row)) for identifier, row in delta.items()}


def leaving(folder: Path, leavers: Mapping[str, str] | None, **how: Any) -> tuple[DeltaCounts, dict[str, Any]]:
    """``a`` stays; ``b`` left, with a value in x and none in y; ``c`` left a run ago."""
    ledger = stored_ledger(
        folder,
        [
            {"identifier": A, "field_x": "1", "field_y": "1"},
            {"identifier": B, "field_x": "1", "field_y": None},
            {"identifier": C, "field_x": "1", "field_y": "1", "in_segment": False},
        ],
        newest=day(2),
    )
    mapped = [{"identifier": A, "field_x": "1", "field_y": "1"}]
    return run_delta(folder, mapped, ledger, plan("x", "y", leavers=leavers, **{"complete": True, **how}))


def import_plan(**merges: str) -> DeltaPlan:
    """A plan of the third of November; ``sum_increase`` is a sum of what the counter grew by."""
    plain = {target: "sum" if merge == "sum_increase" else merge for target, merge in merges.items()}
    grows = frozenset(target for target, merge in merges.items() if merge == "sum_increase")
    return plan(*merges, billable=frozenset(), merges=plain, increases=grows)


def committed(folder: Path, delta: Mapping[str, Mapping[str, Any]], *receipts: tuple[Any, ...], **how: Any) -> Ledger:
    """Commit a delta and open the ledger as the next run does."""
    rows = {0: [{"identifier": identifier, **row} for identifier, row in delta.items()]}
    ledger = empty_ledger(folder)
    how.setdefault("last_delta", ledger.last_delta)
    ledger.commit(engine(folder), acknowledged(folder, rows, receipts, **how))
    return empty_ledger(folder)


def seen_plan(merge: str = "set", **how: Any) -> DeltaPlan:
    return dataclasses.replace(import_plan(x=merge), **how)


def refused(folder: Path, outcome: str, *, on: int = 2, **how: Any) -> Ledger:
    """The ledger after a run of the second of November in which a person was refused."""
    how = {"x": '["a"]', "policy": "p1", **how}
    delta = {A: {"as_of": day(on), "field_x": how["x"]}}
    fields = ["x"] if outcome == "fields" else None
    receipt = (A, "accepted" if outcome == "fields" else outcome, "no good", fields)
    return committed(folder, delta, receipt, as_of=day(on), policy=how["policy"])


def drifted(folder: Path, *people: str, whole: bool = False, **fields: str) -> Seen:
    """A certain look of the second of November."""
    rows = [{"identifier": name, **{f"field_{target}": text for target, text in fields.items()}} for name in people]
    return write_seen(folder / "look.parquet", rows, as_of=day(2), certain=["x", "y"], whole=whole)

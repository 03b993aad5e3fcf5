"""Scenarios in which BlueConic fails: while a segment is read (exports), and while profiles are written (imports)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from tests.chaos.harness import Direction, Scenario, World

__all__ = ["SCENARIOS"]

PAGES = "/rest/v2/segments/*/profiles"
PROFILES = "/rest/v2/profiles"


def _read(kind: FaultKind, **more: Any) -> Fault:
    return Fault("blueconic", kind, path=PAGES, **more)


def _write(kind: FaultKind, **more: Any) -> Fault:
    return Fault("blueconic", kind, method="PUT", path=PROFILES, **more)


def _export(fault: str, *faults: Fault, **more: Any) -> Scenario:
    return Scenario(fault, "BlueConic", "export", faults=faults, **{"ends": "success", **more})


def _imports(fault: str, *faults: Fault, holds: bool = False, **more: Any) -> Iterator[Scenario]:
    """The same fault in both kinds of imports.

    :param holds: whether an answer is lost: then people to whose number something is added are held.
    """
    directions: tuple[tuple[Direction, bool], ...] = (("import", False), ("sums", holds))
    for direction, is_held in directions:
        yield Scenario(fault, "BlueConic", direction, faults=faults, holds=is_held, **{"ends": "success", **more})


def _states(state: str, **more: Any) -> Iterator[Scenario]:
    fault = _write("entry_state", entry_share=0.2, state=state)
    yield from _imports(f"state {state} for a fifth", fault, calm={"retry_held": True}, **more)


def _reported(world: World) -> Iterator[str]:
    """People who were not taken are in the report with a reason, and come back."""
    first, second = world.nights[-2:]
    refused = {each.person for each in first.sent if each.told == "rejected"}
    if not refused or sum(first.report["rejected"].values()) != len(refused) or "" in first.report["rejected"]:
        yield f"the report says {first.report['rejected']} of {len(refused)} refused people"
    if not refused <= {each.person for each in second.sent if each.told == "accepted"}:
        yield "refused people did not come back"


def _leave_some_unanswered(world: World) -> None:
    faults = world.box.faults
    faults.configure({"blueconic": {"unanswered": world.people()[:12], "shuffle_results": True}})


def _night_then_merge(world: World) -> None:
    """A first night, after which two members of the segment turn out to be one person, and a day passes."""
    world.run()
    gone, heir = world.people()[:2]
    if world.direction != "export":  # the heir is found by both ids; else it keeps its own
        world.box.blueconic.save_property("crm_id", {"mergeStrategy": "BOTH"})
    world.box.blueconic.merge(world.profile(gone), world.profile(heir))
    several = set().union(*world.box.blueconic.sharing("crm_id").values())
    world.box.next_day(changed=10, entered=0, left=0, apart_from=several)
    if world.direction != "export":
        world.box.next_day_in_braze(changed=10, apart_from=world.box.blueconic.sharing("crm_id"))


SCENARIOS = (
    _export("token expired midway", _read("token_expired", skip=1, times=1)),
    _export("token revoked, and each after it", _read("token_expired", skip=1), ends="failed"),
    _export("tokens that live for a second", _read("latency", delay_s=0.6), blueconic={"token_seconds": 1}),
    _export("stream broken in the middle of JSON", _read("broken_stream", skip=1, times=2)),
    _export("stream that ends too early", _read("truncated_stream", skip=1, times=2)),
    _export("page repeated", _read("repeated_page", skip=1, times=1)),
    _export("429", Fault("blueconic", "status", status=429, every=3, times=3)),
    _export("503, JSON and HTML", _read("status", status=503, times=1), _read("html", status=503, times=1)),
    _export("500, 502, 504", *(_read("html", status=code, times=1) for code in (500, 502, 504))),
    _export("reset before and after the answer", _read("reset_before", times=1), _read("reset_after", times=1)),
    _export("timeout", _read("timeout_before", skip=1, times=1, delay_s=15)),
    _export("profile merged away", story=_night_then_merge, ends="success"),
    *_imports("latency", _write("latency", delay_s=0.5, jitter_s=0.5)),
    *_imports("token expired midway", _write("token_expired", skip=1, times=1)),
    *_imports("token revoked, and each after it", _write("token_expired", skip=1), ends="failed"),
    *_imports("429 with Retry-After", _write("status", status=429, times=2, headers={"Retry-After": "1"})),
    *_imports("429 that names no time", _write("status", status=429, times=1)),
    *_imports(
        "503, JSON and HTML", _write("status", status=503, times=1), _write("html", status=503, times=1), holds=True
    ),
    *_imports("503 although applied", _write("status_after", status=503, times=1), holds=True),
    *_imports("500, 502, 504", *(_write("html", status=code, times=1) for code in (500, 502, 504)), holds=True),
    *_imports("413, the first entries applied", blueconic={"bulk_entries": 20}, holds=True),
    *_imports("413 without results", _write("status", status=413, times=2), holds=True),
    *_imports("reset before the answer", _write("reset_before", times=1), holds=True),
    *_imports("reset during the batch", _write("reset_during", times=1), holds=True),
    *_imports("reset after the batch", _write("reset_after", times=1), holds=True),
    *_imports("timeout after the batch", _write("timeout_after", times=1, delay_s=15), holds=True),
    *_imports("answer cut in half", _write("cut_body", times=1), holds=True),
    *_imports("answer broken off", _write("broken_stream", times=1, at_bytes=900), holds=True),
    *_states("SKIPPED", expect=_reported),
    *_states("UNAUTHORIZED", expect=_reported),
    *_states("RESTRICTION_MISMATCH", expect=_reported),
    *_states("NOTFOUND"),
    *_states("CONSENT_MISMATCH"),
    *_states("a word of tomorrow", holds=True),
    *_imports("no result for some, the rest in another order", disturb=_leave_some_unanswered, holds=True),
    *(each for each in _imports("profile merged away", story=_night_then_merge) if each.direction == "import"),
)

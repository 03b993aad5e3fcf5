"""The chaos suite in its short form: many faults at once, in both directions. ``make chaos`` plays each on its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from tests.chaos.harness import Scenario, World, play

pytestmark = pytest.mark.airflow

TRACK = "/users/track"
PROFILES = "/rest/v2/profiles"
PAGES = "/rest/v2/segments/*/profiles"


REASONS = {"provided external_id is blacklisted and disallowed": 4, "The sandbox refuses this object": 1}


def _refuse_some(world: World) -> None:
    """People whom Braze refuses one by one, and one who spoils every batch."""
    people = world.people()
    world.box.faults.configure({"braze": {"blocked_external_ids": people[:4]}})
    world.box.faults.add(Fault("braze", "poison", path=TRACK, identifiers=(people[100],)))


def _some_come_back(world: World) -> Iterator[str]:
    """Who was refused comes back, with a reason in the report, and nobody else does."""
    first, second = world.nights
    if first.report["rejected"] != REASONS:
        yield f"the report says {first.report['rejected']}"
    if {each.person for each in second.sent} != {each.person for each in first.sent if each.told == "rejected"}:
        yield "the refused people, and they alone, should have come back"


SCENARIOS = (
    Scenario(
        "passing faults of every kind, and people who are refused",
        "both",
        "export",
        faults=(
            Fault("blueconic", "token_expired", path=PAGES, skip=1, times=1),
            Fault("blueconic", "broken_stream", path=PAGES, skip=2, times=1),
            Fault("blueconic", "html", path=PAGES, status=503, times=1),
            Fault("braze", "latency", path=TRACK, delay_s=0.05, jitter_s=0.1),
            Fault("braze", "status", path=TRACK, status=429, times=1),
            Fault("braze", "html", path=TRACK, status=502, times=1),
            Fault("braze", "reset_during", path=TRACK, times=1),
            Fault("braze", "status_after", path=TRACK, status=504, times=1),
        ),
        braze={"limited_form": "retry_after"},
        disturb=_refuse_some,
        ends="success",
        expect=_some_come_back,
    ),
    Scenario(
        "numbers that are added to, answers that are lost, an export that comes late and twice",
        "both",
        "sums",
        faults=(
            Fault("braze", "status", path="/segments/*", status=500, times=1),
            Fault("blueconic", "token_expired", method="PUT", path=PROFILES, times=1),
            Fault("blueconic", "reset_during", method="PUT", path=PROFILES, skip=1, times=1),
            Fault(
                "blueconic", "status", method="PUT", path=PROFILES, status=429, times=1, headers={"Retry-After": "1"}
            ),
            Fault("blueconic", "status_after", method="PUT", path=PROFILES, status=503, skip=3, times=1),
        ),
        braze={
            "export_users_per_part": 40,
            "export_late_s": 0.5,
            "export_shuffled": True,
            "export_across_midnight": True,
            "export_duplicates": 20,
        },
        holds=True,
        ends="success",
    ),
)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.direction}-{scenario.fault[:12]}")
def test_after_faults_nobody_is_lost_nothing_is_doubled_and_the_report_says_what_was(
    scenario: Scenario, airflow_home: Path
) -> None:
    outcome = play(scenario, airflow_home)

    assert outcome.problems == ()
    assert outcome.people > 150
    assert (outcome.held > 0) == scenario.holds

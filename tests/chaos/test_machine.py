"""The short form of what can happen to the machine and to S3; ``make chaos`` plays each thing alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import scenarios_machine, scenarios_s3
from tests.chaos.harness import Scenario, play

pytestmark = [pytest.mark.airflow, pytest.mark.by_hand]


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize(
    "scenario",
    [*scenarios_machine.SHORT, *scenarios_s3.SHORT],
    ids=lambda scenario: f"{scenario.side}-{scenario.direction}",
)
def test_after_it_nobody_is_lost_nothing_is_doubled_and_the_report_is_right(
    scenario: Scenario, airflow_home: Path
) -> None:
    outcome = play(scenario, airflow_home)

    assert outcome.problems == ()
    assert outcome.people > 150

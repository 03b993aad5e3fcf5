"""The model of a goal's life in its short form: the same nights every time. The long form is ``make chaos``."""

from __future__ import annotations

import pytest

from tests.chaos.model import ExportModel, GoalModel, ImportModel, Steps, play


@pytest.mark.parametrize("machine", [ExportModel, ImportModel], ids=["export", "import"])
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(4)
def test_whatever_happens_to_a_goal_the_promises_hold(machine: type[GoalModel]) -> None:
    before = Steps.runs

    play(machine, examples=6, steps=15)

    assert Steps.runs - before > 10

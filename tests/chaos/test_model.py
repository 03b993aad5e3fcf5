"""The model of a goal's life in its short form: the same nights every time. The long form is ``make chaos``."""

from __future__ import annotations

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from tests.chaos.model import Steps
from tests.chaos.model_search import MODELS, play


@pytest.mark.parametrize("machine", MODELS, ids=lambda machine: machine.__name__)
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(4)
def test_whatever_happens_to_a_goal_the_promises_hold(machine: type[RuleBasedStateMachine]) -> None:
    before = Steps.runs

    # The first example is the simplest: it may be nothing but a source that changes.
    play(machine, examples=5, steps=15)

    assert Steps.runs - before > 5

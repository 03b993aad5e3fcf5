"""Play every scenario and print what became of everybody, then run the model test for a while: ``make chaos``.

``make chaos ARGS="braze 429"`` plays the scenarios whose names hold these words; ``make chaos ARGS=model`` runs the
model test alone.

Exits with 1 if anybody is lost, anything is doubled, or a report differs from what the server counted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import tests.conftest  # noqa: F401  gives Airflow a home of its own before it is imported
from tests.chaos.harness import Outcome
from tests.chaos.players import SCENARIOS, play_all

_MODEL, _MODEL_SEED, _MODEL_MINUTES = "model", 1, 15.0

_WIDTH = 140
"""Columns where the terminal does not tell, as in a file: names of faults on one line."""


def main(wanted: list[str]) -> int:
    """Play the scenarios whose names hold every wanted word; none wanted is all of them, and the model test."""
    if wanted == [_MODEL]:
        return _run_model()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    chosen = [each for each in SCENARIOS if all(word.lower() in str(each).lower() for word in wanted)]
    if not chosen:
        console.print(f"No scenario's name holds {' and '.join(wanted)}.")
        return 2
    logs = Path(tempfile.mkdtemp(prefix="braze-blueconic-chaos-"))
    outcomes: dict[int, Outcome] = {}
    try:
        for place, outcome in play_all([SCENARIOS.index(each) for each in chosen]):
            outcomes[place] = outcome
            console.print(
                f"{len(outcomes)} of {len(chosen)}: {outcome.scenario}: {_told(outcome)}, {outcome.seconds:.0f} s"
            )
            if outcome.log:
                log = logs / f"{place:03d}.log"
                log.write_text(outcome.log)
                console.print(f"  log: {log}")
    finally:
        # Also of what was played before somebody lost patience.
        console.print(make_table([outcomes[place] for place in sorted(outcomes)]))
    failed = int(any(outcome.problems for outcome in outcomes.values()))
    return failed if wanted else max(failed, _run_model())


def _run_model() -> int:
    from tests.chaos.model import run_long

    return int(not run_long(_MODEL_SEED, _MODEL_MINUTES))


def _told(outcome: Outcome) -> str:
    return "[red]" + "; ".join(outcome.problems).replace("[", r"\[") + "[/]" if outcome.problems else "as promised"


def make_table(outcomes: list[Outcome]) -> Table:
    """A row a fault and direction, under its side."""
    table = Table(title="Chaos: what became of everybody", title_justify="left", box=SIMPLE_HEAD)
    for title in ("where", "fault", "direction", "hits", "runs", "people", "held", "lost", "doubled", "as promised"):
        table.add_column(title, justify="left" if title in {"where", "fault", "direction"} else "right")
    for outcome in outcomes:
        scenario = outcome.scenario
        counts = (outcome.hits, len(outcome.runs), outcome.people, outcome.held, outcome.lost, outcome.doubled)
        table.add_row(
            scenario.side,
            scenario.fault,
            scenario.direction,
            *(f"{count:,}" for count in counts),
            "[red]no[/]" if outcome.problems else "yes",
        )
    counted = [(o.hits, len(o.runs), o.people, o.held, o.lost, o.doubled) for o in outcomes]
    totals = [sum(values) for values in zip(*counted, strict=True)]
    table.add_section()
    table.add_row("", f"{len(outcomes)} scenarios", "", *(f"{count:,}" for count in totals), "")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

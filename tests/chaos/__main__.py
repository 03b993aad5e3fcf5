"""Play every scenario and print what became of everybody, then run the model test for a while: ``make chaos``.

``make chaos ARGS="braze 429"`` plays the scenarios whose names hold these words; ``make chaos ARGS=model`` runs the
model test alone. How strong that is tells ``python -m tests.chaos.defects``.

Exits with 1 if anybody is lost, anything is doubled, or a report differs from what the server counted.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
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
        played = [outcomes[place] for place in sorted(outcomes)]
        console.print(make_table(played))
        console.print(make_summary(played))
    failed = int(any(outcome.problems for outcome in outcomes.values()))
    return failed if wanted else max(failed, _run_model())


def _run_model() -> int:
    from tests.chaos.model_search import run_long

    return int(not run_long(_MODEL_SEED, _MODEL_MINUTES))


def _told(outcome: Outcome) -> str:
    return "[red]" + "; ".join(outcome.problems).replace("[", r"\[") + "[/]" if outcome.problems else "as promised"


def make_table(outcomes: Sequence[Outcome]) -> Table:
    """A row a fault and direction, under its side."""
    table = _empty_table("what became of everybody", "where", "fault", "direction", *_COUNTED, "as promised")
    for outcome in outcomes:
        scenario = outcome.scenario
        verdict = "[red]no[/]" if outcome.problems else "yes"
        table.add_row(scenario.side, scenario.fault, scenario.direction, *_total([outcome]), verdict)
    table.add_section()
    table.add_row("", f"{len(outcomes)} scenarios", "", *_total(outcomes), "")
    return table


def make_summary(outcomes: Sequence[Outcome]) -> Table:
    """A row a side and direction: the table of ``docs/promises.md``."""
    table = _empty_table("in sum", "where", "direction", "scenarios", *_COUNTED, "as promised")
    grouped: defaultdict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        grouped[outcome.scenario.side, outcome.scenario.direction].append(outcome)

    def add(side: str, direction: str, some: Sequence[Outcome]) -> None:
        kept = sum(not outcome.problems for outcome in some)
        table.add_row(side, direction, f"{len(some):,}", *_total(some), f"{kept:,}")

    for (side, direction), some in grouped.items():
        add(side, direction, some)
    table.add_section()
    add("all", "", outcomes)
    return table


_COUNTED = ("hits", "runs", "people", "held", "lost", "doubled")


def _empty_table(title: str, *columns: str) -> Table:
    table = Table(title=f"Chaos: {title}", title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in {"where", "fault", "direction"} else "right")
    return table


def _total(outcomes: Sequence[Outcome]) -> list[str]:
    counted = [(o.hits, len(o.runs), o.people, o.held, o.lost, o.doubled) for o in outcomes]
    return [f"{sum(values):,}" for values in zip(*counted, strict=True)] or ["0"] * len(_COUNTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Searches the models for a sequence of nights that breaks a promise.

``python -m tests.chaos.model_search <seed> <minutes> [<model>]`` ends at the first one and prints what it took, as JSON.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as with_seed
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.chaos.model import Steps, fast_and_alone
from tests.chaos.model_exports import ExportModel, LinkedExportModel, ModifiedExportModel
from tests.chaos.model_imports import ImportModel, LinkedImportModel, SumsModel
from tests.chaos.model_pairs import DeliveryModel, TwoWayModel

__all__ = ["MODELS", "Played", "play", "run_long", "search"]

MODELS: Sequence[type[RuleBasedStateMachine]] = (
    ExportModel,
    ImportModel,
    LinkedExportModel,
    SumsModel,
    ModifiedExportModel,
    LinkedImportModel,
    TwoWayModel,
    DeliveryModel,
)


def play(
    machine: type[RuleBasedStateMachine], *, examples: int, steps: int, seed: int | None = None, shrink: bool = True
) -> None:
    """Try examples of a model.

    :param seed: of the examples; ``None`` takes the same ones every time.
    :param shrink: look for the shortest sequence that breaks the promise, which takes longer than finding one.
    :raises AssertionError: a promise was not kept; the sequence that was found is in its notes.
    """
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=seed is None,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    # A class of its own, since a seed stays with the class that it was given to.
    one = type(machine.__name__, (machine,), {})
    with fast_and_alone():
        run_state_machine_as_test(one if seed is None else with_seed(seed)(one), settings=chosen)


def run_long(seed: int, minutes: float) -> bool:
    """Try examples on every core until the time is over, and say how many they were.

    :param seed: of the first examples; those that follow have the numbers that follow.
    :return: whether every one kept the promises.
    """
    played = search(seed, minutes)
    for each in played:
        print(each.failure, end="")  # noqa: T201
    counts = sum((each.counts for each in played), Counter())
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"model test, seeds {seed} to {max(each.last for each in played)}: {told}")  # noqa: T201
    return not any(each.failure for each in played)


@dataclass(frozen=True)
class Played:
    """What one process tried.

    :param last: the last seed.
    :param failure: the promise that was not kept, with the sequence that led to it; empty if all were.
    :param machine: the model that found it.
    :param why: the promise in one line.
    """

    last: int
    counts: Counter[str]
    failure: str
    machine: str = ""
    why: str = ""


def search(
    seed: int, minutes: float, *, shrink: bool = True, stop: Path | None = None, models: Sequence[str] = ()
) -> list[Played]:
    """Search on every core, each until the time is over or it found something.

    :param stop: a file; once it is there, all searches end.
    :param models: names of models; none are all.
    """
    cores = os.cpu_count() or 1
    # Not forked: a fork takes the threads' locks along.
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        tasks = [pool.submit(play_seeds, seed + core, cores, minutes, shrink, stop, models) for core in range(cores)]
        wait(tasks, return_when=FIRST_COMPLETED)
        return [task.result() for task in tasks]


def play_seeds(
    first: int,
    every: int,
    minutes: float,
    shrink: bool = True,
    stop: Path | None = None,
    models: Sequence[str] = (),
) -> Played:
    """Play every so many seeds until the time is over, or a promise was not kept."""
    machines = [model for model in MODELS if not models or model.__name__ in models]
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    until, seed = time.monotonic() + 60 * minutes, first
    failed: tuple[str, str, str] | None = None
    # Two processes begin with different models.
    turn = first % every * len(machines) // every
    while failed is None and time.monotonic() < until and not (stop and stop.exists()):
        machine = machines[turn % len(machines)]
        try:
            play(machine, examples=3, steps=25, seed=seed, shrink=shrink)
        except Exception as error:  # noqa: BLE001  whatever it is, the sequence that led to it is shown
            trace = "".join(traceback.format_exception(error))
            why = next(iter(str(error).splitlines()), "") or type(error).__name__
            failed = f"model test, {machine.__name__}, seed {seed}:\n{trace}\n", machine.__name__, why
            if stop:
                stop.touch()
        turn += 1
        if turn % len(machines) == 0:
            seed += every
    counts = {name: getattr(Steps, name) for name in ("examples", "steps", "runs", "kills")}
    return Played(seed, Counter(counts), *(failed or ("", "", "")))


def main(seed: int, minutes: float, models: Sequence[str]) -> None:
    """Search until the first promise is broken, without looking for the shortest sequence, and print what it took."""
    began = time.monotonic()
    played = search(seed, minutes, shrink=False, stop=Path.cwd() / "found", models=models)
    counts = sum((each.counts for each in played), Counter())
    first = next((each for each in played if each.failure), None)
    told = {"by": first.machine if first else "", "why": first.why if first else ""}
    print(json.dumps({**told, **counts, "seconds": round(time.monotonic() - began)}))  # noqa: T201


if __name__ == "__main__":
    import tests.conftest  # noqa: F401  gives Airflow a home of its own before it is imported

    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])

"""Every scenario there is, played by as many processes as there are cores.

A module of its own: a process that is made anew imports what it is to call, and it can't import ``__main__``.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  gives Airflow a home of its own before it is imported
from tests.chaos import (
    scenarios_blueconic,
    scenarios_braze,
    scenarios_exports,
    scenarios_machine,
    scenarios_s3,
)
from tests.chaos.harness import Outcome, Scenario, play
from tests.support.airflow import prepare_airflow

__all__ = ["SCENARIOS", "play_all"]

SCENARIOS: tuple[Scenario, ...] = (
    *scenarios_braze.SCENARIOS,
    *scenarios_blueconic.SCENARIOS,
    *scenarios_exports.SCENARIOS,
    *scenarios_s3.SCENARIOS,
    *scenarios_machine.SCENARIOS,
)


def play_all(places: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
    """Play scenarios, named by their places in all of them, in as many processes as there are cores, as they end."""
    # Not forked: each process is to have an Airflow home of its own, and a fork takes the threads' locks along.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_prepare) as pool:
        places_of = {pool.submit(_play, place): place for place in places}
        try:
            for done in as_completed(places_of):
                place = places_of[done]
                try:
                    came_to = done.result()
                except BrokenProcessPool as error:
                    came_to = _unplayed(error)
                yield place, Outcome(SCENARIOS[place], **came_to)
        finally:
            pool.shutdown(cancel_futures=True)


_homes: list[Path] = []
"""Airflow's home, of this process."""


def _prepare() -> None:
    _homes.append(prepare_airflow())


def _play(place: int) -> dict[str, Any]:
    """Play a scenario and return what an outcome holds beside it: it can't travel between processes."""
    try:
        outcome = play(SCENARIOS[place], _homes[0])
    except Exception as error:  # noqa: BLE001  whatever one of them breaks must not cost the results of the others
        return _unplayed(error)
    return {each.name: getattr(outcome, each.name) for each in fields(outcome) if each.name != "scenario"}


def _unplayed(error: Exception) -> dict[str, Any]:
    log = "".join(traceback.format_exception(error))
    return {"runs": (), "problems": (f"could not be played: {error!r:.300}",), "log": log}

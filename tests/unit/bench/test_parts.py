"""What every part of the bench has in common: its command line, and the rows that are wanted of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from tests.bench.figures import read_measured
from tests.bench.rows import MEASUREMENTS, Measurement, Scale
from tests.bench.trees import BENCH

TINY: dict[str, Sequence[str]] = {
    "blueconic": ("--profiles", "100"),
    "csv": ("--rows", "100"),
    "export": ("--people", "100", "--parts", "2"),
    "night": ("--people", "50"),
    "parse": ("--goals", "3", "--runs", "1"),
    "pipeline": ("--people", "150", "--fields", "3"),
    "upload": ("--people", "300"),
    "whole_night": ("--people", "150"),
    "wide_user": ("--users", "150", "--attributes", "30"),
}
"""Sizes that come after those of a measurement, and so replace them."""


@pytest.mark.parametrize("scale", ["small", "full"])
@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda each: each.name)
def test_a_part_understands_what_it_is_measured_with(measurement: Measurement, scale: Scale) -> None:
    part = import_module(f"tests.bench.{measurement.part}")

    given = part.options().parse_args([*measurement.arguments[scale], "--json", "figures.json"])

    assert given.json == Path("figures.json")


def test_every_measurement_is_explained() -> None:
    explained = (BENCH / "docs" / "bench.md").read_text()

    assert [each.name for each in MEASUREMENTS if f"`{each.name}`" not in explained] == []


@pytest.mark.by_hand
@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda each: each.name)
def test_a_part_leaves_each_row_that_is_wanted_of_it(measurement: Measurement, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    sizes = [*measurement.arguments["small"], *TINY[measurement.part]]
    command = [sys.executable, "-m", f"tests.bench.{measurement.part}", *sizes, "--json", str(file)]

    subprocess.run(command, cwd=BENCH, env={**os.environ, "PYTHONPATH": str(BENCH)}, check=True)

    assert measurement.wanted.keys() <= read_measured(file).figures.keys()

"""One partition of many, multiplied."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import read_measured
from tests.bench.trees import BENCH


@pytest.mark.by_hand
def test_one_partition_is_multiplied_and_compared_with_a_quarter(tmp_path: Path) -> None:
    sizes = ["--people", "8000", "--partitions", "10", "--fields", "3"]
    command = [sys.executable, "-m", "tests.bench.one_of_many", *sizes, "--json", str(tmp_path / "figures.json")]

    subprocess.run(command, cwd=BENCH, env={**os.environ, "PYTHONPATH": str(BENCH)}, check=True)

    figures = read_measured(tmp_path / "figures.json").figures
    for row in (f"{step}, {night}" for step in ("map", "delta", "commit") for night in ("first night", "next night")):
        assert figures[f"{row}, CPU of all"].value == pytest.approx(10 * figures[f"{row}, CPU of one"].value)
        assert figures[f"{row}, of the linear rule"].value > 0
    kept = {name for name in figures if name.endswith("in S3, first night")}
    assert len(kept) == 6
    assert all(figures[name].value > 0 for name in kept)

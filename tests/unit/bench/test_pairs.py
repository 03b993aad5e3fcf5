"""Two products measured in turn, and what follows from their figures."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.bench.figures import Figure, Measured
from tests.bench.pairs import Compared, Row, compare, measure, ratio
from tests.bench.rows import Measurement, Wanted
from tests.bench.trees import Tree

THIS, OTHER = Tree(Path("this")), Tree(Path("other"))
TREES = {"this": THIS, "other": OTHER}


class Scripted:
    """Gives figures in the order in which they are asked for; ``None`` is a measurement that fails."""

    def __init__(self, **seconds: Sequence[float | None]) -> None:
        self._left = {side: list(values) for side, values in seconds.items()}
        self.asked: list[str] = []

    def __call__(self, part: str, arguments: Sequence[str], tree: Tree) -> Measured:
        side = str(tree.folder)
        self.asked.append(side)
        value = self._left[side].pop(0)
        if value is None:
            raise ValueError("it ended with code 1")
        return Measured(tree.product, {"map": Figure(value, "s", "lower")})


def compared(by: Scripted, *, pairs: int = 3, trees: Mapping[str, Tree] = TREES, **wanted: Wanted) -> Compared:
    measurement = Measurement("pipeline", "pipeline", {"small": (), "full": ()}, wanted)
    return compare(measurement, ["--people", "7"], trees, pairs, by=by)


@pytest.mark.parametrize(
    ("other", "this", "better", "times"),
    [(6.0, 2.0, "lower", 3.0), (2.0, 6.0, "higher", 3.0), (2.0, 6.0, "lower", 1 / 3), (6.0, 0.0, "lower", None)],
)
def test_a_ratio_says_how_many_times_better_this_product_is(
    other: float, this: float, better: str, times: float | None
) -> None:
    assert ratio(other, this, better) == times  # type: ignore[arg-type]


def test_products_are_measured_in_turn_the_other_one_first() -> None:
    by = Scripted(other=[1, 1, 1], this=[1, 1, 1])

    compared(by)

    assert by.asked == ["other", "this"] * 3


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    # The machine slowed down after the first pair, and again in the middle of the third.
    (row,) = compared(Scripted(other=[4, 8, 10], this=[2, 4, 10])).rows

    assert row.other == (4, 8, 10)
    assert row.this == (2, 4, 10)
    assert row.ratios == [2.0, 2.0, 1.0]
    assert row.ratio == 2.0


def test_a_product_that_fails_is_not_measured_again_and_the_other_one_goes_on() -> None:
    by = Scripted(other=[4, None], this=[2, 3, 5])

    outcome = compared(by)

    assert by.asked == ["other", "this", "other", "this", "this"]
    assert outcome.failures == {"other": "it ended with code 1"}
    (row,) = outcome.rows
    assert row.this == (2, 3, 5)
    assert row.pairs == ((4, 2),)


def test_nothing_is_compared_without_another_product() -> None:
    (row,) = compared(Scripted(this=[2, 3]), pairs=2, trees={"this": THIS}).rows

    assert row.this == (2, 3)
    assert row.other == ()
    assert row.ratio is None


def test_a_measurement_without_a_wanted_row_has_failed() -> None:
    outcome = compared(Scripted(other=[1], this=[1]), pairs=1, delta=Wanted(times=5))

    assert outcome.failures == dict.fromkeys(("other", "this"), "it left no figure for delta")
    assert outcome.rows == ()


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        (Wanted(times=2), True),
        (Wanted(times=2.1), False),
        (Wanted(bound=4), True),
        (Wanted(bound=3.9), False),
        (None, None),
    ],
)
def test_what_is_wanted_is_compared_with_the_ratio_or_with_the_median(wanted: Wanted | None, met: bool | None) -> None:
    row = Row("map", "s", "lower", (8, 8, 8), (2, 4, 9), ((8, 2), (8, 4), (8, 9)), wanted)

    assert row.is_met is met
    assert row.as_json()["met"] is met


def test_times_better_than_nothing_is_neither_reached_nor_missed() -> None:
    assert Row("map", "s", "lower", (), (2,), (), Wanted(times=2)).is_met is None


PART = """
import argparse, json, pathlib, subprocess, sys, time
import airflow_provider_braze_blueconic as product
parser = argparse.ArgumentParser()
parser.add_argument("--do")
parser.add_argument("--json", type=pathlib.Path)
given = parser.parse_args()
print("said", given.do)
if given.do == "fail":
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("server").write_text(str(server.pid))
    sys.exit(3)
if given.do == "sleep":
    time.sleep(600)
figures = {"map": {"value": 2, "unit": "s", "better": "sideways" if given.do == "sideways" else "lower"}}
found = "/elsewhere" if given.do == "elsewhere" else str(pathlib.Path(product.__file__).parent)
if given.do != "nothing":
    given.json.write_text(json.dumps({"product": found, "figures": figures}))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A worktree with an empty product and one part."""
    product = tmp_path / "airflow_provider_braze_blueconic"
    product.mkdir()
    (product / "__init__.py").touch()
    (tmp_path / "tests" / "bench").mkdir(parents=True)
    (tmp_path / "tests" / "bench" / "__init__.py").touch()
    (tmp_path / "tests" / "bench" / "part.py").write_text(PART)
    return Tree(tmp_path)


def test_a_measurement_is_a_process_that_finds_the_product_of_its_tree(tree: Tree) -> None:
    measured = measure("part", ["--do", "well"], tree, seconds=60)

    assert measured == Measured(tree.product, {"map": Figure(2.0, "s", "lower")})


@pytest.mark.parametrize(
    ("does", "seconds", "why"),
    [
        ("fail", 60, r"ended with code 3:\nsaid fail"),
        ("nothing", 60, "left no figures"),
        ("sideways", 60, "neither higher nor lower"),
        ("sleep", 0.5, "took longer than 0.5 s"),
    ],
)
def test_a_measurement_without_figures_has_failed(does: str, seconds: float, why: str, tree: Tree) -> None:
    with pytest.raises(ValueError, match=why):
        measure("part", ["--do", does], tree, seconds=seconds)


def test_what_a_measurement_started_ends_with_it(tree: Tree) -> None:
    with pytest.raises(ValueError, match="ended with code 3"):
        measure("part", ["--do", "fail"], tree, seconds=60)

    server = int((tree.folder / "server").read_text())
    with pytest.raises(ProcessLookupError):
        _wait_for_the_end_of(server)


def _wait_for_the_end_of(process: int) -> None:
    # A killed process is there until somebody has taken note of its end, which for an orphan is not this test.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        os.kill(process, 0)
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError
        time.sleep(0.05)


def test_figures_of_another_product_are_refused(tree: Tree) -> None:
    with pytest.raises(ValueError, match=r"it measured /elsewhere instead of"):
        measure("part", ["--do", "elsewhere"], tree, seconds=60)

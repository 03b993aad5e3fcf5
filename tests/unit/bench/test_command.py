"""``python -m tests.bench``: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.__main__ import main
from tests.bench.figures import Figure, Measured
from tests.bench.rows import MEASUREMENTS, Measurement, Wanted
from tests.bench.trees import BENCH, Tree

PIPELINE = Measurement(
    "pipeline",
    "pipeline",
    {"small": ("--people", "10"), "full": ("--people", "99")},
    {"map": Wanted(times=5), "peak memory": Wanted(bound=100)},
)


class Product:
    """A product that takes so many seconds for each measurement; ``None`` makes the measurement fail."""

    def __init__(self, other: float | None = 6.0, this: float | None = 1.0) -> None:
        self._seconds = {"other": other, "this": this}
        self.arguments: list[list[str]] = []
        self.seconds: list[float] = []

    def __call__(self, part: str, arguments: Sequence[str], tree: Tree, *, seconds: float) -> Measured:
        self.arguments.append(list(arguments))
        self.seconds.append(seconds)
        took = self._seconds["other" if (tree.product / "other.py").exists() else "this"]
        if took is None:
            raise ValueError("it ended with code 1:\nTraceback\n  somewhere\nRuntimeError: out of people")
        return Measured(
            tree.product, {"map": Figure(took, "s", "lower"), "peak memory": Figure(100 * took, "MiB", "lower")}
        )


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another worktree."""
    worktree = tmp_path / "other"
    (worktree / "airflow_provider_braze_blueconic").mkdir(parents=True)
    (worktree / "airflow_provider_braze_blueconic" / "__init__.py").touch()
    (worktree / "airflow_provider_braze_blueconic" / "other.py").touch()
    (worktree / "dags").mkdir()
    return worktree


def run(tmp_path: Path, by: Product, *words: str) -> tuple[int, Any]:
    file = tmp_path / "bench.json"
    code = main(["--json", str(file), *words], measurements=[PIPELINE], by=by)
    return code, json.loads(file.read_text())


def test_the_table_has_both_products_the_ratio_and_what_is_wanted(
    tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, left = run(tmp_path, Product(), "--against", str(other))

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert ["map", "6.000", "s", "1.000", "s", "6.00", "x", "6.00", "6.00", "6.00", "≥", "5", "x", "reached"] in lines
    memory = ["peak", "memory", "600", "MiB", "100", "MiB", "6.00", "x", "6.00", "6.00", "6.00", "≤", "100", "MiB"]
    assert [*memory, "reached"] in lines
    assert left["measurements"]["pipeline"]["rows"]["map"] == {
        "unit": "s",
        "better": "lower",
        "other": [6.0, 6.0, 6.0],
        "this": [1.0, 1.0, 1.0],
        "ratios": [6.0, 6.0, 6.0],
        "ratio": 6.0,
        "wanted": "≥ 5 x",
        "met": True,
    }


def test_the_machine_and_the_builds_are_named(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, left = run(tmp_path, Product(), "--against", str(other))

    said = capsys.readouterr().out
    assert set(left["machine"]) == {"cores", "processor", "memory", "system", "load"}
    assert set(left["versions"]) == {"python", "apache-airflow", "duckdb", "pyarrow", "deltalake"}
    assert set(left["commits"]) == {"this", "other"}
    assert f"duckdb {left['versions']['duckdb']}" in said
    assert f"{left['machine']['memory']}" in said


def test_without_another_worktree_everything_is_measured_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by = Product()

    code, left = run(tmp_path, by)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert len(by.arguments) == 1
    assert ["map", "-", "1.000", "s", "-", "≥", "5", "x"] in lines
    assert left["measurements"]["pipeline"]["rows"]["map"]["met"] is None


@pytest.mark.parametrize("failing", ["other", "this"])
def test_a_failed_measurement_is_told_and_ends_with_code_1(
    failing: str, tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, left = run(tmp_path, Product(**{failing: None}), "--against", str(other))

    said = capsys.readouterr()
    assert code == 1
    assert f"FAILED for {failing}: it ended with code 1:" in said.out
    assert "RuntimeError: out of people" in said.out
    assert "FAILED: pipeline" in said.err
    assert set(left["measurements"]["pipeline"]["failed"]) == {failing}


def test_what_is_missed_is_told_but_is_no_failure(
    tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, left = run(tmp_path, Product(this=3.0), "--against", str(other))

    assert code == 0
    assert capsys.readouterr().out.count("MISSED") == 2
    assert left["measurements"]["pipeline"]["rows"]["map"]["met"] is False


@pytest.mark.parametrize(
    ("words", "handed_on"),
    [
        ((), ["--people", "10"]),
        (("--scale", "full"), ["--people", "99"]),
        (("pipeline", "--", "--people", "7"), ["--people", "10", "--people", "7"]),
    ],
)
def test_the_scale_and_words_after_two_dashes_set_the_size(
    words: Sequence[str], handed_on: list[str], tmp_path: Path
) -> None:
    by = Product()

    run(tmp_path, by, *words)

    assert by.arguments == [handed_on]


@pytest.mark.parametrize(("words", "seconds"), [((), 300.0), (("--seconds", "5"), 5.0), (("--seconds", "999"), 300.0)])
def test_a_measurement_gets_no_more_time_than_it_can_use(words: Sequence[str], seconds: float, tmp_path: Path) -> None:
    by = Product()

    main(["--json", str(tmp_path / "bench.json"), *words], measurements=[replace(PIPELINE, seconds=300.0)], by=by)

    assert by.seconds == [seconds]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("upside",), "no measurement upside; there are pipeline"),
        (("--pairs", "0"), "1 or more"),
        (("--against", "nowhere"), "nowhere has no airflow_provider_braze_blueconic"),
    ],
)
def test_a_wrong_word_ends_with_code_2(
    words: Sequence[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, Product(), *words)

    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_what_was_measured_is_kept_when_the_next_measurement_is_interrupted(tmp_path: Path) -> None:
    class Interrupted(Product):
        def __call__(self, part: str, arguments: Sequence[str], tree: Tree, *, seconds: float) -> Measured:
            if part == "second":
                raise KeyboardInterrupt
            return super().__call__(part, arguments, tree, seconds=seconds)

    second = Measurement("second", "second", {"small": (), "full": ()})
    file = tmp_path / "bench.json"

    with pytest.raises(KeyboardInterrupt):
        main(["--json", str(file)], measurements=[PIPELINE, second], by=Interrupted())

    assert set(json.loads(file.read_text())["measurements"]) == {"pipeline"}


def test_every_measurement_has_a_part_and_a_name_of_its_own() -> None:
    names = [each.name for each in MEASUREMENTS]

    assert len(set(names)) == len(names)
    assert [each.part for each in MEASUREMENTS if not (BENCH / "tests" / "bench" / f"{each.part}.py").exists()] == []

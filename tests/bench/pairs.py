"""Measurements of two products in turn, and what follows from them: medians, and the ratio pair by pair."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from tests.bench.figures import Better, Measured, read_measured
from tests.bench.rows import Measurement, Wanted
from tests.bench.trees import Tree

__all__ = ["Compared", "Measure", "Row", "Timed", "compare", "measure", "ratio"]

_LAST_CHARACTERS = 2_000
_GRACE_SECONDS = 30.0
_OTHER, _THIS = "other", "this"


class Measure(Protocol):
    """Makes one measurement of the product in a tree.

    :raises ValueError: if there are no figures, or they can't be trusted.
    """

    def __call__(self, part: str, arguments: Sequence[str], tree: Tree) -> Measured: ...


class Timed(Protocol):
    """The same within some time."""

    def __call__(self, part: str, arguments: Sequence[str], tree: Tree, *, seconds: float) -> Measured: ...


def measure(part: str, arguments: Sequence[str], tree: Tree, *, seconds: float) -> Measured:
    """Make one measurement in a process of its own.

    :param seconds: after which it counts as failed.
    :raises ValueError: if it fails, takes too long, leaves no figures, or measured another product.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, "-P", "-m", f"tests.bench.{part}", *arguments, "--json", str(file)]
        said = _run(command, tree, seconds)
        try:
            measured = read_measured(file)
        except ValueError as error:
            raise ValueError(f"{error}\n{said[-_LAST_CHARACTERS:]}") from None
    if measured.product != tree.product:
        raise ValueError(f"it measured {measured.product} instead of {tree.product}")
    return measured


def _run(command: Sequence[str], tree: Tree, seconds: float) -> str:
    """Run a measurement and return what it said.

    :raises ValueError: if it fails or takes too long.
    """
    environment = {**os.environ, "PYTHONPATH": str(tree.folder)}
    # Not by a pipe: a server that outlives the measurement would keep it open.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=tree.folder, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ValueError(f"it took longer than {seconds:g} s") from None
        finally:
            _end(process)
        said.seek(0)
        text = said.read()
    if code:
        raise ValueError(f"it ended with code {code}:\n{text[-_LAST_CHARACTERS:]}")
    return text


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a measurement with all that it started: first as Ctrl-C does, so that it can stop its servers."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ratio(other: float, this: float, better: Better) -> float | None:
    """Say how many times better this is than the other; ``None`` where that would divide by nothing."""
    above, below = (other, this) if better == "lower" else (this, other)
    return above / below if below else None


@dataclass(frozen=True)
class Row:
    """One row of the table: the figures of both products, in the order of the pairs.

    :param pairs: figures of the other product and of this one that were measured one after the other.
    """

    name: str
    unit: str
    better: Better
    other: tuple[float, ...]
    this: tuple[float, ...]
    pairs: tuple[tuple[float, float], ...] = ()
    wanted: Wanted | None = None

    @property
    def ratios(self) -> list[float]:
        """How many times better this product is, pair by pair."""
        found = (ratio(other, this, self.better) for other, this in self.pairs)
        return [each for each in found if each is not None]

    @property
    def ratio(self) -> float | None:
        """The median of the pairs' ratios."""
        return median(self.ratios) if self.ratios else None

    @property
    def is_met(self) -> bool | None:
        """Tell whether what is wanted is reached; ``None`` if nothing is wanted, or nothing can be said."""
        if self.wanted is None or not self.this:
            return None
        return self.wanted.is_met(median(self.this), self.ratio, self.better)

    def as_json(self) -> dict[str, Any]:
        """Return it for ``bench.json``."""
        return {
            "unit": self.unit,
            "better": self.better,
            "other": list(self.other),
            "this": list(self.this),
            "ratios": self.ratios,
            "ratio": self.ratio,
            "wanted": self.wanted.told(self.unit, self.better) if self.wanted else None,
            "met": self.is_met,
        }


@dataclass(frozen=True)
class Compared:
    """What came of one measurement.

    :param failures: ``other`` or ``this`` → why there are no more figures of it.
    """

    measurement: Measurement
    arguments: tuple[str, ...]
    rows: tuple[Row, ...]
    failures: Mapping[str, str] = field(default_factory=dict)


def compare(
    measurement: Measurement,
    arguments: Iterable[str],
    trees: Mapping[str, Tree],
    pairs: int,
    *,
    by: Measure,
) -> Compared:
    """Measure in turn: the other product, this one, the other one, this one …

    A product that fails is not measured again, so that the rest of the table comes all the same.

    :param trees: ``this`` and perhaps ``other``.
    """
    given = tuple(arguments)
    failures: dict[str, str] = {}
    rounds: list[dict[str, Measured]] = []
    for _ in range(pairs):
        rounds.append({})
        for side in (_OTHER, _THIS):
            if side not in trees or side in failures:
                continue
            try:
                rounds[-1][side] = _whole(by(measurement.part, given, trees[side]), measurement)
            except ValueError as error:
                failures[side] = str(error)
    return Compared(measurement, given, tuple(_rows(measurement, rounds)), failures)


def _whole(measured: Measured, measurement: Measurement) -> Measured:
    missing = measurement.wanted.keys() - measured.figures.keys()
    if missing:
        raise ValueError(f"it left no figure for {', '.join(sorted(missing))}")
    return measured


def _rows(measurement: Measurement, rounds: Sequence[Mapping[str, Measured]]) -> Iterable[Row]:
    named = {row: figure for each in rounds for measured in each.values() for row, figure in measured.figures.items()}
    for name, figure in named.items():
        values = [
            {side: measured.figures[name].value for side, measured in each.items() if name in measured.figures}
            for each in rounds
        ]
        yield Row(
            name,
            figure.unit,
            figure.better,
            other=tuple(each[_OTHER] for each in values if _OTHER in each),
            this=tuple(each[_THIS] for each in values if _THIS in each),
            pairs=tuple((each[_OTHER], each[_THIS]) for each in values if len(each) == len((_OTHER, _THIS))),
            wanted=measurement.wanted.get(name),
        )

"""The figures of one measurement: what they are called, how they are printed, and the file that the comparison reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Better", "Figure", "Figures", "Measured", "read_measured"]

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Figure:
    """One number.

    :param unit: such as ``s``, ``MiB`` or ``people/s``.
    :param better: which way is faster, smaller or cheaper.
    """

    value: float
    unit: str
    better: Better

    def __str__(self) -> str:
        return f"{self.value:,.{0 if abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 3}f} {self.unit}"


class Figures:
    """Collects the figures of one measurement.

    :param title: what is measured, with its sizes; printed first.
    """

    def __init__(self, title: str) -> None:
        self._figures: dict[str, Figure] = {}
        print(title, flush=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def add(self, row: str, value: float, unit: str, better: Better = "lower") -> None:
        """Take a figure and print it.

        :raises ValueError: if the row has one already.
        """
        if row in self._figures:
            raise ValueError(f"two figures for {row}")
        self._figures[row] = Figure(value, unit, better)
        print(f"  {row:<40} {self._figures[row]}", flush=True)

    def write(self, file: Path | None) -> None:
        """Write the figures for the comparison, if somebody asked for that."""
        if file is None:
            return
        figures = {row: asdict(figure) for row, figure in self._figures.items()}
        file.write_text(json.dumps({"product": str(_product()), "figures": figures}, indent=1))


@dataclass(frozen=True)
class Measured:
    """What one measurement wrote.

    :param product: folder of the package that it measured.
    """

    product: Path
    figures: Mapping[str, Figure]


def read_measured(file: Path) -> Measured:
    """Read what a measurement wrote.

    :raises ValueError: if it is not what the contract says (:mod:`tests.bench`).
    """
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        figures = {row: _figure(row, entry) for row, entry in document["figures"].items()}
        return Measured(Path(document["product"]), figures)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it left no figures ({type(error).__name__}: {error})") from error


def _figure(row: str, entry: Mapping[str, Any]) -> Figure:
    figure = Figure(float(entry["value"]), entry["unit"], entry["better"])
    if figure.better not in ("higher", "lower"):
        raise ValueError(f"{row}: better is {figure.better!r}, neither higher nor lower")
    return figure


def _product() -> Path:
    import airflow_provider_braze_blueconic as product

    return Path(product.__file__).resolve().parent

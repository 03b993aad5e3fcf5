"""The table of ``make bench``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from tests.bench.figures import Figure
from tests.bench.pairs import Compared, Row

__all__ = ["table"]

_LAST_LINES = 3
_HEAD = ("row", "other", "this", "ratio", "pair by pair", "wanted")


def table(compared: Iterable[Compared]) -> str:
    """Draw the rows of all measurements, a block for each, and what failed in place of what is missing.

    A ratio says how many times better this product is, whichever way is better.
    """
    blocks = [list(_block(each)) for each in compared]
    cells = [_HEAD, *(cells for block in blocks for cells in block if len(cells) > 1)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    lines = [_line(_HEAD, widths), "  ".join("-" * width for width in widths)]
    for block in blocks:
        lines += [_line(cells, widths) if len(cells) > 1 else cells[0] for cells in block]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _block(compared: Compared) -> Iterator[tuple[str, ...]]:
    yield (f"{compared.measurement.name}: {compared.measurement.part} {' '.join(compared.arguments)}".rstrip(),)
    for row in compared.rows:
        yield _cells(row)
    for side, why in compared.failures.items():
        yield (f"  FAILED for {side}: {_end(why)}",)


def _end(text: str) -> str:
    """Keep the last lines of a text, which name the error; ``bench.json`` has more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n    ".join([lines[0], *lines[1:][-_LAST_LINES:]])


def _cells(row: Row) -> tuple[str, ...]:
    wanted = row.wanted.told(row.unit, row.better) if row.wanted else ""
    verdict = {True: " reached", False: " MISSED", None: ""}[row.is_met]
    return (
        f"  {row.name}",
        _middle(row, row.other),
        _middle(row, row.this),
        f"{row.ratio:.2f} x" if row.ratio is not None else "-",
        " ".join(f"{each:.2f}" for each in row.ratios),
        wanted + verdict,
    )


def _middle(row: Row, values: Sequence[float]) -> str:
    return str(Figure(median(values), row.unit, row.better)) if values else "-"

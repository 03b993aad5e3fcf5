"""The tables of ``docs/sizing.md``, computed from the constants that the page itself lists.

``python -m tests.support.sizing docs/sizing.md`` computes them anew after a constant has changed.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["constants", "with_sizes"]

_SIZES = {"1 M": 1e6, "10 M": 1e7, "100 M": 1e8, "1 B": 1e9}
_MOST_PARTITIONS = 256
_CONSTANT = re.compile(r"^\| `(\w+)` \| ([\d,.]+) \|", re.MULTILINE)
_PLACE = re.compile(r"(<!-- (\w+): begin -->\n\n).*?(\n<!-- \2: end -->)", re.DOTALL)

Values = Mapping[str, float]
Row = tuple[str, Callable[[float], str]]


def constants(page: str) -> dict[str, float]:
    """Return the constants of a page: name → number."""
    return {name: float(number.replace(",", "")) for name, number in _CONSTANT.findall(page)}


def with_sizes(page: str) -> str:
    """Return a page with its tables computed from its constants.

    :raises KeyError: if it lacks a constant, or names a table that there isn't.
    """
    values = constants(page)
    tables = {"needs": _needs(values), "nights": _nights(values), "vendors": _vendors(values)}
    return _PLACE.sub(lambda found: f"{found[1]}{_table(tables[found[2]])}{found[3]}", page)


def partitions(people: float, each: float) -> int:
    """Return the power of two that keeps a partition below so many people, as far as a goal may have so many."""
    return min(_MOST_PARTITIONS, max(4, 2 ** math.ceil(math.log2(people / each))))


def _needs(of: Values) -> list[Row]:
    def in_partition(people: float) -> float:
        return people / partitions(people, of["people_per_partition"])

    def requests(people: float) -> float:
        return of["s3_requests"] + of["s3_partition_requests"] * partitions(people, of["people_per_partition"])

    kept = sum(of[f"{kind}_bytes"] for kind in ("snapshot", "people", "mapped", "delta", "receipts", "ledger"))
    nightly = of["snapshot_bytes"] + of["people_bytes"]
    return [
        ("`partitions`", lambda people: f"{partitions(people, of['people_per_partition'])}"),
        ("people in a partition", lambda people: f"{in_partition(people):,.0f}"),
        ("local disk of a task", lambda people: _bytes(in_partition(people) * of["disk_bytes"])),
        ("requests to S3, without extract and upload", lambda people: f"{requests(people):,.0f}"),
        ("S3 after the first night", lambda people: _bytes(people * kept)),
        ("S3, more each night, 1 % changed", lambda people: _bytes(people * (nightly + (kept - nightly) / 100))),
    ]


def _nights(of: Values) -> list[Row]:
    def read(people: float) -> float:
        return people * of["extract_cpu"]

    def steps(people: float, night: str) -> float:
        return people * sum(of[f"{step}_{night}_cpu"] for step in ("map", "delta", "commit"))

    def upload(people: float) -> float:
        return max(people * of["upload_cpu"] / 1e6, people / of["braze_people"])

    def whole(people: float, night: str, sent: float) -> str:
        seconds = (read(people) + steps(people, night)) / 1e6 + upload(sent) + of["task_seconds"] * 8
        return _time(seconds)

    return [
        ("extract from CSV files", lambda people: _time(read(people) / 1e6)),
        ("map, delta, commit, first night", lambda people: _time(steps(people, "first") / 1e6)),
        ("map, delta, commit, 1 % changed", lambda people: _time(steps(people, "next") / 1e6)),
        ("upload, first night", lambda people: _time(upload(people))),
        ("upload, 1 % changed", lambda people: _time(upload(people / 100))),
        ("**first night**", lambda people: f"**{whole(people, 'first', people)}**"),
        ("**1 % changed**", lambda people: f"**{whole(people, 'next', people / 100)}**"),
    ]


def _vendors(of: Values) -> list[Row]:
    return [
        ("Braze, requests to send everybody", lambda people: f"{math.ceil(people / of['braze_batch']):,}"),
        ("Braze, time at its cap", lambda people: _time(people / of["braze_people"])),
        ("Braze, time by `/users/track/bulk`", lambda people: _time(people / of["braze_bulk_people"])),
        ("Braze, files of a segment export", lambda people: f"{math.ceil(people / of['braze_file']):,}"),
        ("Braze, time of a segment export, at least", lambda people: _time(people / of["braze_export"] * 3600)),
        ("BlueConic, time to write, default cap", lambda people: _time(people / of["blueconic_people"])),
        ("BlueConic, pages to read", lambda people: f"{math.ceil(people / of['blueconic_page']):,}"),
    ]


def _table(rows: Sequence[Row]) -> str:
    lines = [f"| people | {' | '.join(_SIZES)} |", f"|---|{'---|' * len(_SIZES)}"]
    lines += [f"| {name} | {' | '.join(cell(people) for people in _SIZES.values())} |" for name, cell in rows]
    return "\n".join(lines) + "\n"


def _bytes(number: float) -> str:
    for unit in ("kB", "MB", "GB"):
        number /= 1_000
        if number < 1_000:
            return f"{number:,.2g} {unit}" if number < 10 else f"{number:,.0f} {unit}"
    return f"{number / 1_000:.2g} TB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    given = Path(sys.argv[1])
    given.write_text(with_sizes(given.read_text()))

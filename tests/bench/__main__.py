"""Measure speed and memory, perhaps against another worktree, and print a table.

::

    make bench                                       # this worktree, every measurement once, small
    make bench AGAINST=../before                     # and another one, in turn, three times each
    make bench ARGS="pipeline -- --people 10000000"  # one measurement with arguments of its own
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.machine import described_machine, described_versions
from tests.bench.pairs import Compared, Measure, Timed, compare, measure
from tests.bench.rows import MEASUREMENTS, Measurement
from tests.bench.table import table
from tests.bench.trees import BENCH, PACKAGE, Tree, described_commit, planted

PAIRS = 3
SECONDS = 3_600.0


def main(words: Sequence[str], *, measurements: Sequence[Measurement] = MEASUREMENTS, by: Timed = measure) -> int:
    """Measure, print the table, write the file.

    :param words: of the command line.
    :param measurements: to choose from.
    :param by: makes one measurement.
    :return: 0; 1 if a measurement failed, 2 if the command line is wrong.
    """
    given = _arguments(words, [each.name for each in measurements])
    where = {"machine": described_machine(), "versions": described_versions(), "commits": _commits(given.against)}
    for title, described in where.items():
        print(f"{title:<10}", ", ".join(f"{name} {text}" for name, text in described.items()))
    compared: list[Compared] = []
    failed: list[str] = []
    for done in _measure_all(given, [each for each in measurements if not given.names or each.name in given.names], by):
        compared.append(done)
        # Each time, since the whole may take hours.
        given.json.write_text(json.dumps({**where, "scale": given.scale, **_document(compared)}, indent=1))
        failed += [done.measurement.name] if done.failures else []
    if compared:
        print(f"\n{table(compared)}\n\nAs JSON: {given.json}")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _arguments(words: Sequence[str], names: Sequence[str]) -> argparse.Namespace:
    before, _, after = (list(part) for part in _cut(words))
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog="Words after -- are handed to the chosen measurements.",
    )
    parser.add_argument("names", nargs="*", metavar="MEASUREMENT", help=f"all, or some of {', '.join(names)}")
    parser.add_argument("--against", type=Path, help="another worktree, whose product is measured in turn")
    parser.add_argument("--pairs", type=int, help=f"with --against, {PAIRS} by default")
    parser.add_argument("--scale", choices=("small", "full"), default="small", help="default: small")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one measurement of one product")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="default: bench.json")
    given = parser.parse_args(before)
    unknown = sorted(set(given.names) - set(names))
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(names)}")
    if given.against and not (given.against / PACKAGE).is_dir():
        parser.error(f"{given.against} has no {PACKAGE}; --against names a worktree of this repository")
    if given.pairs is not None and given.pairs < 1:
        parser.error("--pairs must be 1 or more")
    given.pairs = given.pairs or (PAIRS if given.against else 1)
    given.more = after
    return given


def _cut(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    at = list(words).index("--") if "--" in words else len(words)
    return words[:at], words[at : at + 1], words[at + 1 :]


def _commits(against: Path | None) -> dict[str, str]:
    other = {"other": described_commit(against)} if against else {}
    return {"this": described_commit(BENCH), **other}


def _measure_all(given: argparse.Namespace, chosen: Sequence[Measurement], by: Timed) -> Iterator[Compared]:
    with ExitStack() as stack:
        worktrees = {"this": BENCH, **({"other": given.against} if given.against else {})}
        trees = {side: stack.enter_context(planted(worktree)) for side, worktree in worktrees.items()}
        for measurement in chosen:
            told = partial(_told, trees, partial(by, seconds=min(given.seconds, measurement.seconds)))
            arguments = [*measurement.arguments[given.scale], *given.more]
            yield compare(measurement, arguments, trees, given.pairs, by=told)


def _told(trees: Mapping[str, Tree], by: Measure, part: str, arguments: Sequence[str], tree: Tree) -> Any:
    side = next(name for name, each in trees.items() if each is tree)
    began = time.perf_counter()
    print(f"{part} {' '.join(arguments)}, {side} …", end=" ", file=sys.stderr, flush=True)
    try:
        return by(part, arguments, tree)
    finally:
        print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def _document(compared: Sequence[Compared]) -> dict[str, Any]:
    return {
        "measurements": {
            each.measurement.name: {
                "part": each.measurement.part,
                "arguments": list(each.arguments),
                "rows": {row.name: row.as_json() for row in each.rows},
                "failed": dict(each.failures),
            }
            for each in compared
        }
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How fast people are uploaded to Braze: share of the cap, people/s, CPU seconds, memory.

The options choose people, fields, cap, and how far away Braze is and how unsteadily it answers. Braze is a process of
its own that does nothing but count, and its CPU seconds are printed apart from those of the upload.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.apart import apart
from tests.bench.braze_stub import Served, running_braze
from tests.bench.figures import Figures
from tests.bench.product import entry_point, frame, workspace
from tests.bench.spent import resident_mib, spent_by

PEOPLE = 300_000
FIELDS = 5
CAP_REQUESTS, CAP_SECONDS = 3_000, 3.0
_NO_CAP = 100_000_000
_ROW_GROUP = 20_480
"""Rows, as a delta is written."""


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--latency", type=float, nargs="+", default=[50.0], help="ms, half of them on either way")
    parser.add_argument("--cap", default=str(CAP_REQUESTS), help=f"requests in {CAP_SECONDS:.0f} s, or none")
    parser.add_argument("--jitter", type=float, default=0.0, help="ms more, at most, for each request on its way")
    parser.add_argument("--stall", type=float, default=0.0, help="ms for which Braze stops about once a second")
    parser.add_argument("--profile", type=Path, help="file for a profile of the upload's own thread")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    cap = None if given.cap == "none" else int(given.cap)
    figures = Figures(
        f"upload: {given.people:,} people, {given.fields} fields, {given.jitter:g} ms jitter, {given.stall:g} ms stalls, "
        + (f"at most {cap:,} requests in {CAP_SECONDS:.0f} s" if cap else "no cap")
    )
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as folder:
        home = Path(folder)
        apart(_make_delta, home, given.people, given.fields)
        for latency in given.latency:
            distance = {"latency": latency / 1_000, "jitter": given.jitter / 1_000, "stall": given.stall / 1_000}
            with running_braze(**distance) as braze:
                cost = apart(_upload, home, braze.connection(), cap, given.profile)
                _tell(figures, f"{latency:g} ms", given.people, cap, cost, braze.served())
    figures.write(given.json)


def _tell(figures: Figures, far: str, people: int, cap: int | None, cost: dict[str, Any], seen: Served) -> None:
    if (cost["accepted"], seen.objects) != (people, people):
        sys.exit(f"{far}: {cost['accepted']:,} people were accepted, and Braze saw {seen.objects:,}")
    if cap:
        _tell_pace(figures, far, cap, seen.arrivals)
    else:
        figures.add(f"people/s, {far}", people / cost["wall"], "people/s", "higher")
    figures.add(f"upload, {far}", cost["wall"], "s")
    figures.add(f"upload, {far}, CPU", cost["cpu"], "s")
    figures.add(f"memory over idle, {far}", cost["memory"], "MiB")
    print(f"  {1e6 * cost['cpu'] / people:.2f} µs of CPU a person, beside {seen.cpu:.2f} s of the stub")


def _tell_pace(figures: Figures, far: str, cap: int, arrivals: Sequence[float]) -> None:
    for part, begin in (("", arrivals[0]), (" in the last second", arrivals[-1] - 1.0)):
        if part and begin < arrivals[0]:
            continue
        share = per_second(arrivals, begin, arrivals[-1]) / (cap / CAP_SECONDS)
        figures.add(f"share of the cap{part}, {far}", share, "of the cap", "higher")
    figures.add(f"most in any window, {far}", most_in_a_window(arrivals, CAP_SECONDS), "requests")


def most_in_a_window(moments: Sequence[float], seconds: float) -> int:
    """Return the most moments that any window of a length holds; its end is not part of it.

    :param moments: in order.
    """
    return max((bisect_left(moments, moment + seconds) - place for place, moment in enumerate(moments)), default=0)


def per_second(moments: Sequence[float], begin: float, end: float) -> float:
    """Return how many moments a second has between two; the end doesn't count."""
    within = bisect_left(moments, end) - bisect_left(moments, begin)
    return within / (end - begin) if end > begin else 0.0


def _make_delta(home: Path, people: int, fields: int) -> None:
    import duckdb

    columns = ", ".join(f"""'"value {n} of ' || i || '"' AS field_attribute_{n}""" for n in range(fields))
    duckdb.sql(
        f"""
        COPY (
            SELECT '{{"external_id":"person-' || i || '"}}' AS identifier, 'change' AS kind, TRUE AS to_send, {columns}
            FROM range({people}) AS t(i)
        ) TO '{home}/people.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})
        """
    )


def _upload(home: Path, braze: dict[str, str], cap: int | None, profile: Path | None) -> dict[str, float]:
    """Upload everybody, under a goal of its own for each stub."""
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW_CONN_BRAZE_DEFAULT"] = json.dumps(braze)
    for library in ("aiohttp", "duckdb", "pyarrow.parquet"):  # a library is not what an upload needs for its people
        import_module(library)
    goal_id = f"bench-{braze['host'].rpartition(':')[2]}"
    delta = home / "staging" / goal_id / "delta-1"
    delta.mkdir(parents=True)
    (delta / "partition=0.parquet").symlink_to(home / "people.parquet")
    attributes_sql = entry_point("attributes_sql")
    upload = _profiled(entry_point("upload_partition"), profile)
    arguments = {
        "objects_sql": lambda source, columns: attributes_sql(source, columns, allow_creation=False),
        "sender": entry_point("BrazeHook")().track_sender(),
        "rate": entry_point("Rate")(cap or _NO_CAP, CAP_SECONDS),
        "settings": entry_point("UploadSettings")(limits=entry_point("TRACK_LIMITS"), **frame("braze")),
    }
    reference = {"uri": str(delta), "delta_id": "1", "run_key": "run", "as_of": "2026-11-01T00:00:00+00:00"}
    work, idle = workspace(home, goal_id), resident_mib()
    spent = spent_by(lambda: upload(work, reference, 0, **arguments))
    accepted = spent.returned["accepted"]
    return {"accepted": accepted, "wall": spent.wall, "cpu": spent.cpu, "memory": spent.peak - idle}


def _profiled(work: Any, file: Path | None) -> Any:
    if file is None:
        return work
    import cProfile

    def profiling(*arguments: Any, **named: Any) -> Any:
        profile = cProfile.Profile()
        try:
            return profile.runcall(work, *arguments, **named)
        finally:
            profile.dump_stats(file)

    return profiling


if __name__ == "__main__":
    main()

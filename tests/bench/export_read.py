"""The read of a segment export's files into a snapshot on the local disk, as the extract does it."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.product import entry_point, is_there
from tests.bench.spent import Spent, spent_by

__all__ = ["read_export"]


def read_export(
    files: Sequence[Path],
    paths: Sequence[str],
    remaining: bool,
    as_of: dt.datetime,
    work: Path,
    *,
    kept: Path | None = None,
    processes: int = 0,
    on_file: Callable[[int], None] = lambda read: None,
) -> Spent:
    """Read the files of an export.

    :param paths: what to read of each user.
    :param remaining: read everything else, too.
    :param work: folder for the parts of the snapshot on their way.
    :param kept: folder that gets the snapshot; by default it is thrown away, as nothing else does while it is measured.
    :param processes: by default as many as the product would take; a build of one process ignores it.
    :param on_file: gets how many files were asked for so far.
    :return: what it took, and returned are ``profiles``, ``broken_lines``, ``bytes`` and ``processes``.
    """
    import pyarrow.parquet  # noqa: F401  a library is not what a read needs for its people

    several: dict[str, Any] = {}
    if is_there("reading_processes"):
        size = sum(path.stat().st_size for path in files)
        several = {"processes": processes or entry_point("reading_processes")(len(files), size)}
    write_export_snapshot = entry_point("write_export_snapshot")

    def told() -> Iterator[tuple[str, Path]]:
        for number, path in enumerate(files):
            on_file(number)
            yield path.name, path
        on_file(len(files))

    def publish(part: Path) -> int:
        if kept:
            shutil.copy(part, kept)
        return part.stat().st_size

    def read() -> dict[str, int]:
        counts = write_export_snapshot(
            told(),
            paths=list(paths),
            remaining=remaining,
            excluded=(),
            campaign_names=None,
            as_of=as_of,
            folder=work,
            publish=publish,
            label="bench",
            broken_percent=1,
            **several,
        )
        return {
            "profiles": counts.profiles,
            "broken_lines": counts.broken_lines,
            "bytes": counts.bytes,
            "processes": several.get("processes", 1),
        }

    return spent_by(read)

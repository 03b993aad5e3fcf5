"""How many processes read a segment export: what the machine gives this task, and what the files are worth."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["reading_processes"]

_MOST = 4
"""Processes at most: four read 100 MB of packed files in a few seconds, and each takes memory."""
_WORTH_BYTES = 16 << 20
_WORTH_FILES = 4
"""Less than so much is read in the time in which processes start (a third of a second on one core, bench export)."""
_PROCESS_BYTES = 256 << 20
"""Memory for each: 130 MiB were measured (bench export), and long lines take more."""
_MEMORY_SHARE = 4
"""The processes take no more than one in so many bytes of the memory."""

_CGROUP = Path("/sys/fs/cgroup")


def reading_processes(files: int, size: int, *, cgroup: Path = _CGROUP) -> int:
    """Tell how many processes should read an export.

    :param files: in the export.
    :param size: bytes of these, packed.
    :param cgroup: where the limits of a container stand.
    :return: one, which is this process itself, or more.
    """
    if size < _WORTH_BYTES or files < _WORTH_FILES:
        return 1
    room = _memory(cgroup) // _MEMORY_SHARE // _PROCESS_BYTES
    return max(1, min(_MOST, _processors(cgroup), room, files))


def _processors(cgroup: Path) -> int:
    """Count the processors that this process may use. A container's limit is a share of time on all of them."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = (_numbers(cgroup / "cpu.max") or [0, 0])[:2]
    if not quota:
        quota = (_numbers(cgroup / "cpu" / "cpu.cfs_quota_us") or [0])[0]
        period = (_numbers(cgroup / "cpu" / "cpu.cfs_period_us") or [0])[0]
    return min(given, max(1, quota // period)) if quota > 0 and period > 0 else given


def _memory(cgroup: Path) -> int:
    """Tell how many bytes of memory there are for this process."""
    limits = [*_numbers(cgroup / "memory.max"), *_numbers(cgroup / "memory" / "memory.limit_in_bytes")]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def _numbers(path: Path) -> list[int]:
    """Read the numbers of a limit; none if there is no limit ("max") or no such file."""
    try:
        return list(map(int, path.read_text().split()))
    except (OSError, ValueError):
        return []

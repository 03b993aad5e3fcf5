"""What a piece of work took: seconds, CPU seconds, memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Spent", "cpu_seconds", "peak_mib", "resident_mib", "spent_by"]


@dataclass(frozen=True)
class Spent:
    """What work returned and took.

    :param wall: seconds.
    :param cpu: seconds of all threads meanwhile, and of processes that they started and waited for.
    :param peak: MiB that the process held at most so far.
    """

    returned: Any
    wall: float
    cpu: float
    peak: float


def spent_by(work: Callable[..., Any], *arguments: Any) -> Spent:
    """Do a piece of work, and say what it took."""
    cpu, began = cpu_seconds(), time.perf_counter()
    returned = work(*arguments)
    return Spent(returned, time.perf_counter() - began, cpu_seconds() - cpu, peak_mib())


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, and of its children that ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def peak_mib() -> float:
    """Return the most memory that this process held, in MiB."""
    # Not ru_maxrss: that of a process begins with what its parent held when it was started.
    return _told("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MIB


def resident_mib() -> float:
    """Return what this process holds now, in MiB; where the system doesn't tell, the most it ever held."""
    return _told("VmRSS") or peak_mib()


_MAXRSS_PER_MIB = 1024 if sys.platform == "linux" else 1 << 20


def _told(what: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024

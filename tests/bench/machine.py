"""Where something was measured: without that, a figure says little."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["described_machine", "described_versions"]

_PACKAGES = ("apache-airflow", "duckdb", "pyarrow", "deltalake")


def described_machine() -> dict[str, str]:
    """Describe the machine: cores that may be used, processor, memory, system, and what else it is doing."""
    return {
        "cores": str(_cores()),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def described_versions() -> dict[str, str]:
    """Name the versions of Python and of the libraries that do the work."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _cores() -> int:
    # Fewer than there are, where the process is tied to some.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", listed.read_text(), re.MULTILINE) if listed.exists() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"

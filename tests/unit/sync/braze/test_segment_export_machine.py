"""How many processes read an export follows from the files, and from what the machine gives the task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.braze.segment_export_machine import reading_processes

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen processors and 64 GiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4_096, "SC_PHYS_PAGES": 64 * GIB // 4_096}.__getitem__)


def test_a_large_machine_takes_no_more_than_four(tmp_path: Path) -> None:
    assert reading_processes(200, 70 * MIB, cgroup=tmp_path) == 4


@pytest.mark.parametrize(("files", "size"), [(200, 15 * MIB), (3, 500 * MIB), (0, 0)])
def test_a_small_export_does_not_pay_for_processes(tmp_path: Path, files: int, size: int) -> None:
    assert reading_processes(files, size, cgroup=tmp_path) == 1


@pytest.mark.parametrize(
    ("name", "content", "processes"),
    [
        ("cpu.max", "max 100000\n", 4),
        ("cpu.max", "200000 100000\n", 2),
        ("cpu.max", "50000 100000\n", 1),
        ("memory.max", "max\n", 4),
        ("memory.max", f"{3 * GIB}\n", 3),
        ("memory.max", f"{GIB}\n", 1),
        ("memory.max", f"{512 * MIB}\n", 1),
        ("memory/memory.limit_in_bytes", f"{2 * GIB}\n", 2),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 4),
    ],
)
def test_the_limits_of_a_container_count(tmp_path: Path, name: str, content: str, processes: int) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)

    assert reading_processes(200, 70 * MIB, cgroup=tmp_path) == processes


def test_the_older_form_of_a_processor_limit_counts_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert reading_processes(200, 70 * MIB, cgroup=tmp_path) == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert reading_processes(200, 70 * MIB, cgroup=tmp_path) == 4


def test_a_task_on_one_processor_reads_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)

    assert reading_processes(200, 70 * MIB, cgroup=tmp_path) == 1

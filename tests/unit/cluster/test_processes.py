"""What a test starts, it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.processes import Started, kill_each, start, wait_until

_PARENT = """
import subprocess, sys, time
child = [sys.executable, "-c", "import time; time.sleep(600)"]
processes = [subprocess.Popen(child, start_new_session=apart) for apart in (False, True)]
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Started:
    """A process with two children, one of which has left its group."""
    started = start("parent", [sys.executable, "-c", _PARENT], os.environ, tmp_path / "parent.log")
    wait_until(lambda: "ready" in started.log.read_text(), started, seconds=60)
    return started


def test_a_kill_ends_children_that_left_the_group_too(parent: Started) -> None:
    below = parent.children()

    parent.kill()

    gone, alive = psutil.wait_procs(below, timeout=30)
    assert (len(gone), alive) == (2, [])


def test_a_kill_of_the_group_tells_who_lives_on(parent: Started) -> None:
    below = parent.children()

    left = parent.kill_group()
    try:
        alive = psutil.wait_procs(below, timeout=5)[1]
    finally:
        kill_each(left)

    assert alive == left
    assert len(left) == 1


def test_a_stop_ends_children_too(parent: Started) -> None:
    below = parent.children()

    parent.stop()

    assert psutil.wait_procs(below, timeout=30)[1] == []


def test_a_process_that_ends_before_it_is_ready_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    started = start("short", [sys.executable, "-c", "print('no room')"], os.environ, tmp_path / "short.log")

    with pytest.raises(RuntimeError, match=r"(?s)short isn't ready.*no room"):
        wait_until(lambda: False, started, seconds=60)

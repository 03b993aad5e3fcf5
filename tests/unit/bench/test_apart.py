"""Work in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.bench.apart import apart, watched_apart
from tests.bench.spent import Spent, resident_mib, spent_by

_MIB = 1 << 20
_HELD = 64 * _MIB


def hold(size: int, seconds: float) -> int:
    held = bytearray(b"x") * size
    time.sleep(seconds)
    return len(held)


def hold_in_a_child(size: int, seconds: float) -> int:
    script = f"import time; held = b'x' * {size}; time.sleep({seconds})"
    return subprocess.run([sys.executable, "-c", script]).returncode


def fail() -> None:
    raise ValueError("the process says why")


def hold_and_tell(size: int) -> tuple[float, Spent]:
    return resident_mib(), spent_by(hold, size, 0.0)


def test_work_returns_what_it_returns_elsewhere() -> None:
    assert apart(os.getpid) != os.getpid()


def test_work_that_fails_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="fail failed in a process of its own"):
        apart(fail)

    assert "ValueError: the process says why" in capfd.readouterr().err


def test_the_peak_is_of_the_process_and_what_it_started() -> None:
    _, small = watched_apart(hold_in_a_child, 0, 1.0)
    _, large = watched_apart(hold_in_a_child, _HELD, 1.0)

    assert large - small == pytest.approx(_HELD / _MIB, abs=16)


def test_what_work_took_is_its_own_and_not_what_this_process_holds() -> None:
    ballast = b"x" * (4 * _HELD)

    idle, spent = apart(hold_and_tell, _HELD)

    assert spent.returned == _HELD
    assert _HELD / _MIB - 1 <= spent.peak - idle < 2 * _HELD / _MIB
    assert len(ballast) == 4 * _HELD

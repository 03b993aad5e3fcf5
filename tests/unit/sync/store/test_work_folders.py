from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_braze_blueconic.sync.store.work_folders import work_folder

_TASK = """
import sys
from airflow_provider_braze_blueconic.sync.store.work_folders import work_folder
with work_folder(sys.argv[1]) as folder:
    (folder / "people.parquet").write_bytes(b"people")
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def task(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A task of its own process that works until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", _TASK, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.communicate()


def test_what_a_killed_task_left_goes_with_the_next_task_on_the_machine(tmp_path: Path) -> None:
    with task(tmp_path) as (process, left):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (left / "people.parquet").exists()

        with work_folder(str(tmp_path)) as own:
            assert list(tmp_path.iterdir()) == [own]


def test_the_folder_of_a_task_at_work_is_left_alone(tmp_path: Path) -> None:
    with task(tmp_path) as (_, other), work_folder(str(tmp_path)) as own:
        assert (other / "people.parquet").read_bytes() == b"people"
        assert own != other

    assert list(tmp_path.iterdir()) == []


def test_a_task_in_the_same_process_is_at_work_too(tmp_path: Path) -> None:
    with work_folder(str(tmp_path)) as first, work_folder(str(tmp_path)) as second:
        assert first.exists()
        assert second.exists()


def test_a_folder_of_another_machine_or_without_a_name_is_left_alone(tmp_path: Path) -> None:
    for name, machine in (("braze-blueconic-far", "another-machine"), ("braze-blueconic-old", None)):
        (tmp_path / name).mkdir()
        if machine is not None:
            (tmp_path / name / "in-use").write_text(machine)

    with work_folder(str(tmp_path)):
        pass

    assert sorted(path.name for path in tmp_path.iterdir()) == ["braze-blueconic-far", "braze-blueconic-old"]

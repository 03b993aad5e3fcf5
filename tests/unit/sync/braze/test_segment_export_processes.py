"""Several processes read an export as one does, and none of them outlives the one that they work for."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.braze import segment_export_processes, segment_export_worker
from airflow_provider_braze_blueconic.sync.braze.segment_export import ExportCounts, write_export_snapshot
from airflow_provider_braze_blueconic.sync.braze.segment_export_reading import ExportFiles
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings
from airflow_provider_braze_blueconic.sync.braze.segment_export_wire import Answer, FileTask, receive, send
from tests.support.core import day

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc")


def line(number: int, **fields: Any) -> bytes:
    return json.dumps({"braze_id": f"b{number}", **fields}, ensure_ascii=False).encode() + b"\n"


def read(folder: Path, contents: list[bytes], *, processes: int, **how: Any) -> tuple[ExportCounts, dict[str, Any]]:
    """Read files of these contents; return the counts, and what was published under which name."""
    home = folder / f"by-{processes}"
    home.mkdir(parents=True)
    published: dict[str, Any] = {}

    def files() -> Iterator[tuple[str, Path]]:
        for number, content in enumerate(contents):
            path = home / f"file-{number}"
            path.write_bytes(content)
            yield f"part-{number}.gz", path

    def publish(path: Path) -> int:
        is_part = path.suffix == ".parquet"
        published[path.name] = pq.read_table(path).to_pylist() if is_part else path.read_text(encoding="utf-8")
        return 1_000

    how = {"paths": ["email", "custom_attributes.x"], "remaining": True, "broken_percent": 100} | how
    counts = write_export_snapshot(
        files(), excluded=["phone"], campaign_names=None, as_of=day(3), folder=home / "local", publish=publish,
        label="goal", processes=processes, discard=Path.unlink, **how,
    )  # fmt: skip
    assert list(home.glob("file-*")) == []
    return counts, published


_older: set[int] = set()
"""Processes that earlier tests have left, such as the resource tracker of multiprocessing."""


@pytest.fixture(autouse=True)
def _know_older_processes() -> None:
    _older.clear()
    _older.update(children())


def children() -> set[int]:
    """Children of this process that began in this test, also those that ended and were not waited for."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended since
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found - _older


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_several_processes_bring_what_one_brings(tmp_path: Path) -> None:
    contents = [
        gzip.compress(
            b"".join(
                b"broken\n" if number % 61 == 60
                else rb'{"braze_id":"half","email":"\ud83d"}' + b"\n" if number % 53 == 52
                else line(number % 97, email=f"{number}@example.com", phone="1", created_at="2026-10-01T08:00:00Z",
                          custom_attributes={"x": number, f"rare {number % 7}-{file}": [number / 4, "a"]})
                for number in range(200 * (file % 3))
            )
        )
        for file in range(9)
    ]  # fmt: skip
    contents[4] = b""

    alone = read(tmp_path, contents, processes=1, rows_per_part=130)
    together = read(tmp_path, contents, processes=3, rows_per_part=130)

    assert together == alone
    assert alone[0].profiles > 1_500
    assert alone[0].broken_lines > 20
    assert alone[0].repaired > 20
    assert len(json.loads(alone[1]["fields.json"])["remaining"]) > 30
    assert children() == set()


def test_a_file_longer_than_what_may_wait_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_export_processes, "_BATCHES_AHEAD", 1)
    contents = [b"".join(line(number) for number in range(count)) for count in (10, 7_000, 5_000, 10)]

    counts, published = read(tmp_path, contents, processes=2)

    assert counts.profiles == 12_020
    assert [row["row"] for row in published["part-00000.parquet"]] == list(range(12_020))


@pytest.mark.parametrize(
    ("damage", "error", "text"),
    [
        (lambda packed: packed[:-9], TransientError, "^part-1.gz ends too early: "),
        (lambda packed: packed + b"something", UnexpectedAnswer, "^part-1.gz is damaged, or compressed in an unread"),
    ],
    ids=["cut", "damaged"],
)
def test_a_damaged_file_is_the_same_error(
    tmp_path: Path, damage: Callable[[bytes], bytes], error: type[Exception], text: str
) -> None:
    contents = [line(1), damage(gzip.compress(line(2) * 500)), b"broken\n"]

    messages = set()
    for processes in (1, 2):
        with pytest.raises(error, match=text) as caught:
            read(tmp_path, contents, processes=processes, broken_percent=0)
        messages.add(str(caught.value))

    assert len(messages) == 1
    assert children() == set()


def test_too_many_broken_lines_are_the_same_error(tmp_path: Path) -> None:
    contents = [line(1), b"broken\n" + line(2), b"{}\n", b"[]\n"]

    messages = set()
    for processes in (1, 3):
        with pytest.raises(LimitExceeded) as caught:
            read(tmp_path, contents, processes=processes, broken_percent=10)
        messages.add(str(caught.value))

    assert len(messages) == 1
    assert "line 1 of part-1.gz: not JSON" in messages.pop()


@pytest.mark.promise(6)
def test_a_read_that_is_told_to_stop_ends_its_processes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}" for number in range(50)]
    for path in paths:
        path.write_bytes(b"".join(line(number) for number in range(3_000)))
    counts = write_export_snapshot(
        ((path.name, path) for path in paths), paths=["email"], remaining=False, excluded=(), campaign_names=None,
        as_of=day(3), folder=tmp_path / "local", publish=lambda _: 1, label="goal", broken_percent=0, processes=2,
        should_stop=lambda: True,
    )  # fmt: skip

    assert counts.stopped
    assert counts.profiles <= 1_000
    assert children() == set()


def test_a_process_that_is_killed_is_an_error_that_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    os.mkfifo(path)  # it waits there until it is killed
    settings = ReadSettings(["email"])

    source = ExportFiles([("part-0.gz", path)], lambda: False, Path.unlink)
    with segment_export_processes.open_reading(settings, source, processes=2) as reading:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            TransientError, match=r"^part-0\.gz: the process that read it ended with -9\. If the task is"
        ):
            list(reading)

    assert children() == set()


_PARENT = """
import sys, time
from pathlib import Path
from airflow_provider_braze_blueconic.sync.braze.segment_export_processes import open_reading
from airflow_provider_braze_blueconic.sync.braze.segment_export_reading import ExportFiles
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings
files = [(str(number), Path(sys.argv[1])) for number in range(1000)]
with open_reading(ReadSettings([]), ExportFiles(files, lambda: False, lambda _: None), processes=2) as reading:
    for number, _ in enumerate(reading):
        if number == 5:
            print("reading", flush=True)
            if sys.argv[2] == "asleep":
                time.sleep(600)
"""


@pytest.mark.parametrize("state", ["asleep", "at work"])
def test_a_parent_that_is_killed_leaves_no_process(tmp_path: Path, state: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"".join(line(number) for number in range(3_000)))

    with subprocess.Popen([sys.executable, "-c", _PARENT, str(path), state], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        tasks = Path(f"/proc/{parent.pid}/task").iterdir()
        pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        parent.kill()

    assert len(pids) == 2
    wait_until(lambda: not any(map(is_running, pids)))


def test_where_no_process_can_be_started_this_one_reads_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number, executable in enumerate(["", "/nowhere/python", "/bin/false"]):
        monkeypatch.setattr(sys, "executable", executable)
        counts, _ = read(tmp_path / f"{number}", [line(1), line(2)], processes=2)
        assert counts.profiles == 2

    assert caplog.text.count("so this one reads it alone") == 3


def test_a_process_that_does_not_start_in_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_export_processes, "_START", "import time; time.sleep(600)")
    monkeypatch.setattr(segment_export_processes, "_START_SECONDS", 0.01)

    counts, _ = read(tmp_path, [line(1), line(2)], processes=2)

    assert counts.profiles == 2
    assert children() == set()


def test_a_process_that_reads_imports_nothing_of_airflow() -> None:
    code = (
        "import sys, airflow_provider_braze_blueconic.sync.braze.segment_export_worker, pyarrow; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'airflow', 'boto3', 'duckdb', 'deltalake'}))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_an_error_without_a_name_of_ours_tells_nothing_of_the_file(tmp_path: Path) -> None:
    tasks, answers = io.BytesIO(), io.BytesIO()
    send(tasks, ReadSettings(["email"]))
    send(tasks, FileTask("part-0.gz", str(tmp_path / "zoe@example.com")))
    tasks.seek(0)

    segment_export_worker.serve(tasks, answers)

    answers.seek(0)
    decoder = msgspec.msgpack.Decoder(Answer)
    told = [receive(answers, decoder) for _ in range(3)]
    assert [type(each).__name__ for each in told] == ["Ready", "FileFailed", "NoneType"]
    assert "zoe@" not in repr(told)
    assert "part-0.gz can't be read here (FileNotFoundError)" in repr(told)

"""Part receipts are durable, once, whatever fails while an upload runs."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Receipt
from tests.support.core import person
from tests.support.receipts import MOMENT, receipt
from tests.support.targets import ReceiptFiles

WHOLE = {"refused_fields": None}


def test_a_flush_makes_durable_what_came_since_the_last_one(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)

    parts.add([receipt("a"), receipt("b", "rejected", "bad")])
    assert len(parts) == 2
    assert parts.flush() == 2
    assert len(parts) == 0
    parts.add([Receipt(person("c"), "unknown", "lost", None, MOMENT)])
    assert parts.flush() == 1

    assert [path.name for path in sorted(files.folder.iterdir())] == ["first-00000.parquet", "first-00001.parquet"]
    assert files.rows() == [
        {"identifier": person("a"), "outcome": "accepted", "reason": "", "status": 201, "sent_at": MOMENT, **WHOLE},
        {"identifier": person("b"), "outcome": "rejected", "reason": "bad", "status": 201, "sent_at": MOMENT, **WHOLE},
        {"identifier": person("c"), "outcome": "unknown", "reason": "lost", "status": None, "sent_at": MOMENT, **WHOLE},
    ]


def test_an_answer_that_took_everybody_leaves_the_same_receipts_as_one_read_person_by_person(tmp_path: Path) -> None:
    whole, single = ReceiptFiles(tmp_path / "whole"), ReceiptFiles(tmp_path / "single")
    by_answer = PartReceipts(tmp_path / "local", attempt="first", publish=whole.publish)
    by_person = PartReceipts(tmp_path / "local", attempt="first", publish=single.publish)
    answers = [(["a", "b"], 201, MOMENT), (["c"], None, MOMENT + dt.timedelta(seconds=1)), ([], 201, MOMENT)]

    for parts in (by_answer, by_person):
        parts.add([receipt("x", "rejected", "bad")])
        for who, status, moment in answers:
            identifiers = [person(one) for one in who]
            if parts is by_answer:
                # Sliced out of a longer column, as a batch is.
                column = pa.array(["before", *identifiers, "after"])
                parts.add_accepted(column.slice(1, len(identifiers)), status, moment)
            else:
                parts.add(Receipt(identifier, "accepted", "", status, moment) for identifier in identifiers)
        parts.add([receipt("y", "not_found")])
        assert len(parts) == 5
        assert parts.flush() == 5
        assert len(parts) == 0

    assert whole.rows() == single.rows()
    assert [pq.read_schema(path) for path in whole.folder.iterdir()] == [
        pq.read_schema(path) for path in single.folder.iterdir()
    ]


def test_a_flush_of_nothing_writes_nothing(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)

    assert PartReceipts(tmp_path / "local", attempt="first", publish=files.publish).flush() == 0
    assert files.tries == 0


def test_no_local_file_is_left_behind(tmp_path: Path) -> None:
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=ReceiptFiles(tmp_path).publish)
    parts.add([receipt("a")])

    parts.flush()

    assert list((tmp_path / "local").iterdir()) == []


@pytest.mark.promise(2)
def test_a_flush_that_fails_forgets_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path, fail=lambda number: number == 0)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)
    parts.add([receipt("a")])

    with pytest.raises(OSError, match="bucket"):
        parts.flush()
    assert len(parts) == 1
    parts.add([receipt("b")])
    assert parts.flush() == 2

    assert [row["identifier"] for row in files.rows()] == [person("a"), person("b")]


@pytest.mark.promise(2)
def test_a_store_that_took_the_part_and_then_failed_has_each_receipt_once(tmp_path: Path) -> None:
    durable: dict[str, bytes] = {}

    def publish(path: Path) -> None:
        durable[path.name] = path.read_bytes()
        if len(durable) == 1 and not parts_failed:
            parts_failed.append(True)
            raise TimeoutError

    parts_failed: list[bool] = []
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=publish)
    parts.add([receipt("a")])
    with pytest.raises(TimeoutError):
        parts.flush()
    parts.add([receipt("b")])
    parts.flush()

    rows = [row for data in durable.values() for row in pq.read_table(pa.BufferReader(data)).to_pylist()]
    assert [row["identifier"] for row in rows] == [person("a"), person("b")]


@pytest.mark.promise(1)
def test_receipts_that_come_while_a_part_is_written_are_not_lost(tmp_path: Path) -> None:
    files = ReceiptFiles(tmp_path)
    parts = PartReceipts(tmp_path / "local", attempt="first", publish=files.publish)
    done = threading.Event()

    def flush_all_the_time() -> None:
        while not done.is_set():
            parts.flush()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    flusher = threading.Thread(target=flush_all_the_time)
    try:
        flusher.start()
        for batch in range(400):
            parts.add(receipt(f"{batch}-{number}") for number in range(75))
    finally:
        done.set()
        flusher.join()
        sys.setswitchinterval(before)
    parts.flush()

    assert len({row["identifier"] for row in files.rows()}) == 400 * 75
    assert len(files.rows()) == 400 * 75


def test_a_second_flush_waits_for_the_one_under_way(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    published: list[str] = []

    def publish(path: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        published.append(path.name)

    parts = PartReceipts(tmp_path / "local", attempt="first", publish=publish)
    parts.add([receipt("a")])
    first = threading.Thread(target=parts.flush)
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=parts.flush)
    second.start()
    assert second.is_alive()
    assert len(parts) == 1
    go_on.set()
    second.join(10)

    assert published == ["first-00000.parquet"]
    first.join(10)

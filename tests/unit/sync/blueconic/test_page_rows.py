"""The rows of a page are given back in their order, whether they fit in memory or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.blueconic.page_rows import PageRows
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns

COLUMNS = ProfileColumns(["email"])


def block(*ids: str) -> bytes:
    people = [{"id": name, "properties": [{"id": "email", "values": [f"{name}@example.org"]}]} for name in ids]
    return json.dumps(people).encode()


def filled(folder: Path, *blocks: bytes, held_bytes: int = 1 << 20) -> PageRows:
    rows = PageRows(COLUMNS, folder, held_bytes=held_bytes)
    for each in blocks:
        rows.take_text(each)
    return rows


@pytest.mark.parametrize("held_bytes", [1 << 20, 0, 200], ids=["held", "in a file", "both"])
def test_rows_come_back_in_their_order(tmp_path: Path, held_bytes: int) -> None:
    rows = filled(tmp_path, block("a", "b"), block("c"), block("d", "e"), held_bytes=held_bytes)

    found = [row for batch in rows.batches() for row in batch.to_pylist()]

    assert [row["profile_id"] for row in found] == ["a", "b", "c", "d", "e"]
    assert found[3]["property_email"] == ["d@example.org"]
    assert len(rows) == 5


def test_a_large_page_is_not_held_in_memory_and_leaves_no_file(tmp_path: Path) -> None:
    rows = PageRows(COLUMNS, tmp_path, held_bytes=10_000)
    for number in range(200):
        rows.take_text(block(*(f"{number}-{place}" for place in range(20))))

    assert sum(batch.nbytes for batch in rows._batches) <= 10_000
    assert sum(batch.num_rows for batch in rows.batches()) == 4_000
    assert list(tmp_path.iterdir()) == []


def test_the_same_people_have_the_same_signature_and_others_another(tmp_path: Path) -> None:
    page = filled(tmp_path, block("a", "b"), block("c")).signature

    assert filled(tmp_path, block("c", "b"), block("a", "a")).signature == page
    assert filled(tmp_path, block("a", "b")).signature != page
    assert filled(tmp_path, block("a", "b", "d")).signature != page
    assert filled(tmp_path).signature == b""


def test_an_odd_profile_is_told_when_the_page_is_checked(tmp_path: Path) -> None:
    rows = filled(tmp_path, b'[{"mail": "jane@planted.example"}]', block("a"))

    with pytest.raises(UnexpectedAnswer, match="doesn't have the form"):
        rows.check()


def test_what_is_no_json_leaves_nothing_behind(tmp_path: Path) -> None:
    rows = filled(tmp_path, block("a"))

    with pytest.raises(ValueError):  # noqa: PT011  its text is told to nobody
        rows.take_text(block("b")[:-1])

    assert len(rows) == 1
    rows.check()

"""Pages of BlueConic profiles become Parquet parts."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.blueconic import snapshot_writer
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import SnapshotCounts, write_snapshot
from tests.support.core import day


@dataclass(frozen=True)
class Page:
    profiles: Sequence[Mapping[str, Any]]
    total_results: int | None = None


def profile(number: int, **values: Any) -> dict[str, Any]:
    entries = [{"id": name, "values": list_} for name, list_ in values.items()]
    return {"id": f"profile-{number}", "properties": entries}


class Snapshot:
    """A read into ``published``, part by part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[list[dict[str, Any]]] = []

    def read(self, *pages: Page, **how: Any) -> SnapshotCounts:
        return self.read_from(iter(pages), **how)

    def read_from(self, pages: Iterator[Page], **how: Any) -> SnapshotCounts:
        def publish(path: Path) -> int:
            self.parts.append(pq.read_table(path).to_pylist())
            return 1_000

        how = {"properties": ["firstname"], "interaction_names": None, "as_of": day(3), **how}
        return write_snapshot(pages, folder=self.folder / "local", publish=publish, label="goal", **how)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for part in self.parts for row in part]


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return Snapshot(tmp_path)


def test_a_profile_becomes_a_row(snapshot: Snapshot) -> None:
    counts = snapshot.read(
        Page(
            [
                {
                    "id": "profile-0",
                    "properties": [
                        {"id": "firstname", "values": ["Zoë", "Zo"]},
                        {"id": "not asked for", "values": ["x"]},
                        {"id": "lastmodifieddate", "values": ["1793664000123"]},
                        {"id": "interactions_viewed", "values": ["i1", "i2"]},
                    ],
                    "segments": [{"id": "s1", "name": "VIP"}, {"id": "s2"}],
                    "permissions": {"level": "PERSONAL"},
                    "consentedObjectives": ["newsletter"],
                }
            ],
            total_results=1,
        ),
        interaction_names={"i1": "Welcome"},
    )

    assert snapshot.rows == [
        {
            "row": 0,
            "profile_id": "profile-0",
            "as_of": day(3),
            "last_modified": dt.datetime(2026, 11, 3, 0, 0, 0, 123_000, tzinfo=dt.UTC),
            "permission_level": "PERSONAL",
            "segment_ids": ["s1", "s2"],
            "segment_names": ["VIP", "s2"],
            "interaction_names": ["Welcome", "i2"],
            "consented": ["newsletter"],
            "property_firstname": ["Zoë", "Zo"],
        }
    ]
    assert counts == SnapshotCounts(1, 1, 1_000)
    assert counts.complete


def test_what_a_profile_does_not_have_is_null_and_not_empty(snapshot: Snapshot) -> None:
    snapshot.read(Page([{"id": "a"}, profile(1, firstname=[]), {"id": "c", "properties": [{"id": "firstname"}]}]))

    assert [row["property_firstname"] for row in snapshot.rows] == [None, [], None]
    assert snapshot.rows[0]["permission_level"] is None
    assert snapshot.rows[0]["segment_ids"] == []
    assert snapshot.rows[0]["consented"] is None


@pytest.mark.parametrize(
    "values", [["yesterday"], [None], [], ["99999999999999999999"], None], ids=["word", "null", "empty", "far", "none"]
)
def test_a_moment_that_cannot_be_read_is_null(snapshot: Snapshot, values: list[str] | None) -> None:
    snapshot.read(Page([profile(0, lastmodifieddate=values)]))

    assert snapshot.rows[0]["last_modified"] is None


def test_property_names_of_any_form_are_columns(snapshot: Snapshot) -> None:
    snapshot.read(Page([profile(0, **{"Größe in cm": ["180"], "a.b": ["x"]})]), properties=["Größe in cm", "a.b"])

    values = {name: value for name, value in snapshot.rows[0].items() if name.startswith("property_")}
    assert sorted(values.values()) == [["180"], ["x"]]
    assert all(name.isascii() and " " not in name and "." not in name for name in values)


def test_names_of_interactions_are_only_there_when_asked_for(snapshot: Snapshot) -> None:
    snapshot.read(Page([profile(0, interactions_viewed=["i1"])]), interaction_names=None)

    assert snapshot.rows[0]["interaction_names"] is None


def test_pages_are_gathered_into_parts_and_rows_keep_their_number(snapshot: Snapshot) -> None:
    pages = [Page([profile(3 * page + number) for number in range(3)], total_results=15) for page in range(5)]

    counts = snapshot.read(*pages, rows_per_part=6)

    assert [len(part) for part in snapshot.parts] == [6, 6, 3]
    assert [row["row"] for row in snapshot.rows] == list(range(15))
    assert [row["profile_id"] for row in snapshot.rows] == [f"profile-{number}" for number in range(15)]
    assert counts == SnapshotCounts(15, 15, 3_000)


def test_no_local_file_is_left_behind(snapshot: Snapshot) -> None:
    snapshot.read(Page([profile(0)]))

    assert list((snapshot.folder / "local").iterdir()) == []


def test_an_empty_segment_is_a_snapshot_with_columns_and_without_rows(snapshot: Snapshot) -> None:
    counts = snapshot.read(Page([], total_results=0))

    assert snapshot.parts == [[]]
    assert counts.complete


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("read", "announced", "complete"),
    [(100, 100, True), (99, 100, True), (98, 100, False), (101, 100, True), (100, None, False), (0, 1, False)],
    ids=["all", "index-lags", "broken", "more", "not-announced", "nothing"],
)
def test_a_read_is_complete_when_it_brought_what_was_announced(
    snapshot: Snapshot, read: int, announced: int | None, complete: bool
) -> None:
    counts = snapshot.read(Page([profile(number) for number in range(read)], total_results=announced))

    assert counts.complete is complete


@pytest.mark.promise(6)
def test_a_read_that_was_stopped_is_not_complete(snapshot: Snapshot) -> None:
    asked: list[int] = []

    def pages() -> Iterator[Page]:
        for number in range(10):
            asked.append(number)
            yield Page([profile(number)], total_results=1)

    counts = snapshot.read_from(pages(), should_stop=lambda: len(asked) == 2)

    assert asked == [0, 1]
    assert counts.profiles == 2
    assert not counts.complete


def test_a_segment_that_grows_while_it_is_read_is_measured_by_its_last_size(snapshot: Snapshot) -> None:
    counts = snapshot.read(
        Page([profile(0)], total_results=1), Page([profile(1)], total_results=200), Page([profile(2)])
    )

    assert counts.announced == 200
    assert not counts.complete


def test_half_a_character_in_one_profile_stops_nobody_and_is_counted(snapshot: Snapshot) -> None:
    broken = profile(1, firstname=["Ann \ud83d"])
    broken["segments"] = [{"id": "s1", "name": "VIP \ude00"}]

    counts = snapshot.read(Page([profile(0, firstname=["Bea"]), broken, profile(2, firstname=["\ud83d\ude00"])], 3))

    assert [row["property_firstname"] for row in snapshot.rows] == [["Bea"], ["Ann \ufffd"], ["😀"]]
    assert snapshot.rows[1]["segment_names"] == ["VIP \ufffd"]
    assert (counts.profiles, counts.repaired, counts.complete) == (3, 2, True)


SECRET = "jane@planted.example"


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "odd",
    [
        {"id": "p", "properties": [{"id": "firstname", "values": SECRET}]},
        {"id": "p", "properties": [{"id": "firstname", "values": {SECRET: 1}}]},
        {"id": "p", "properties": [{"id": "firstname", "values": [{"mail": SECRET}]}]},
        {"id": "p", "properties": [{"id": "firstname", "values": [[SECRET]]}]},
        {"id": "p", "properties": [SECRET]},
        {"id": "p", "properties": {"firstname": SECRET}},
        {"id": "p", "properties": [{"id": [SECRET], "values": []}]},
        {"id": {"mail": SECRET}},
        {"mail": SECRET},
        {"id": "p", "segments": [SECRET]},
        {"id": "p", "segments": [{"id": "s", "name": [SECRET]}]},
        {"id": "p", "permissions": SECRET},
        {"id": "p", "permissions": {"level": [SECRET]}},
        {"id": "p", "consentedObjectives": SECRET},
        {"id": "p", "properties": [{"id": "interactions_viewed", "values": SECRET}]},
    ],
    ids=str,
)
def test_a_profile_that_is_built_otherwise_is_told_without_its_values(snapshot: Snapshot, odd: Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="BlueConic returned a profile that") as caught:
        snapshot.read(Page([profile(0, firstname=["Bea"]), odd]), interaction_names={"i": "I"})

    assert "planted" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_the_next_pages_are_read_while_a_part_is_uploaded(tmp_path: Path) -> None:
    all_is_read = threading.Event()

    def pages() -> Iterator[Page]:
        yield Page([profile(0)], total_results=2)
        yield Page([], total_results=2)
        all_is_read.set()

    def publish(path: Path) -> int:
        assert all_is_read.wait(30)
        return 1

    counts = write_snapshot(
        pages(), properties=[], interaction_names=None, as_of=day(3), folder=tmp_path, publish=publish, label="goal",
        rows_per_part=1,
    )  # fmt: skip

    assert counts.profiles == 1


class Unreachable(Exception):
    pass


@pytest.mark.promise(1)
@pytest.mark.parametrize("parts", [1, 3], ids=["the last part", "an earlier part"])
def test_a_part_that_can_not_be_uploaded_ends_the_read(tmp_path: Path, parts: int) -> None:
    def publish(path: Path) -> int:
        raise Unreachable

    with pytest.raises(Unreachable):
        write_snapshot(
            [Page([profile(number)], total_results=parts) for number in range(parts)], properties=[],
            interaction_names=None, as_of=day(3), folder=tmp_path, publish=publish, label="goal", rows_per_part=1,
        )  # fmt: skip


def test_long_values_end_a_part_before_it_has_its_rows(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_writer, "_BYTES_PER_PART", 1_000)

    snapshot.read(*[Page([profile(number, firstname=["x" * 600])]) for number in range(4)])

    assert [len(part) for part in snapshot.parts] == [2, 2]
    assert [row["row"] for row in snapshot.rows] == [0, 1, 2, 3]

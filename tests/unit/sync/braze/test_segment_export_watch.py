from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest

from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import (
    Candidate,
    ExportTree,
    ExportWatch,
    still_for_long,
)

TREE = ExportTree("s3://acme-exports/root/", "seg-1")
BASE = "s3://acme-exports/root/segment-export/seg-1"
OURS = "6b1c9d1e-0000-4000-8000-000000000001-1770000000"
ASKED = 1_770_000_000.0
ASKED_AT = dt.datetime.fromtimestamp(ASKED, dt.UTC)


@dataclass(frozen=True)
class File:
    uri: str
    size: int = 100
    modified: dt.datetime = ASKED_AT


def at(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(ASKED + seconds, dt.UTC)


def states(watch: ExportWatch, looks: list[tuple[float, list[File]]]) -> list[str]:
    return [watch.look(files, clock=clock, wall=ASKED + clock).state for clock, files in looks]


def test_files_of_an_export_are_found_under_any_date_and_nothing_else_is() -> None:
    ours = [
        File(f"{BASE}/2026-02-02/{OURS}/b.gz", modified=at(20)),
        File(f"{BASE}/2026-02-03/{OURS}/a.gz", modified=at(30)),
    ]
    foreign = [
        File(f"{BASE}/2026-02-02/users-77.zip"),
        File(f"{BASE}/2026-02-02/0aaa-1770000001/c.gz"),
        File(f"{BASE}/2026-02-02/{OURS}/"),
        File(f"s3://acme-exports/root/segment-export/seg-2/2026-02-02/{OURS}/a.gz"),
    ]

    assert TREE.files([*foreign, *ours], OURS) == ours


def test_prefix_may_also_be_the_beginning_of_a_files_name() -> None:
    file = File(f"{BASE}/2026-02-02/{OURS}-1.gz")

    assert TREE.files([file], OURS) == [file]


def test_files_are_read_in_the_order_in_which_they_came() -> None:
    first = File(f"{BASE}/2026-02-02/{OURS}/z.gz", modified=at(10))
    second = File(f"{BASE}/2026-02-02/{OURS}/a.gz", modified=at(11))
    third = File(f"{BASE}/2026-02-02/{OURS}/b.gz", modified=at(11))

    assert TREE.files([third, second, first], OURS) == [first, second, third]


@pytest.mark.parametrize(("named_at", "is_ours"), [(-61, False), (-60, True), (0, True), (300, True), (301, False)])
def test_only_a_folder_named_around_the_question_can_be_its_answer(named_at: int, is_ours: bool) -> None:
    folder = f"0aaa-{int(ASKED) + named_at}"

    found = TREE.candidates([File(f"{BASE}/2026-02-02/{folder}/a.gz")], [ASKED])

    assert found == ([Candidate(folder, ASKED + min(named_at, 0))] if is_ours else [])


@pytest.mark.parametrize("name", ["users-1770000000.zip", "1770000000/a.gz", "0aaa-17/a.gz", "0aaa-1770000000"])
def test_what_is_no_folder_of_an_export_is_no_answer(name: str) -> None:
    assert TREE.candidates([File(f"{BASE}/2026-02-02/{name}")], [ASKED]) == []


def test_listing_begins_before_every_date_that_the_export_can_have() -> None:
    assert TREE.since(ASKED) == f"{BASE}/2026-01-31"
    assert f"{BASE}/2026-01-31/x" > TREE.since(ASKED)


def test_files_are_quiet_when_nothing_changed_for_long_enough() -> None:
    one, two = File("a"), File("b")
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600)

    seen = states(watch, [(0, []), (10, [one]), (60, [one]), (69, [one, two]), (128, [one, two]), (129, [one, two])])

    assert seen == ["nothing", "growing", "growing", "growing", "growing", "quiet"]


@pytest.mark.parametrize(
    "changed",
    [File("a", size=101), File("a", modified=at(5)), File("b")],
    ids=["grew", "was written again", "vanished and another came"],
)
def test_file_that_changes_is_waited_for_again(changed: File) -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600)

    seen = states(watch, [(0, [File("a")]), (59, [changed]), (61, [changed]), (119, [changed])])

    assert seen == ["growing", "growing", "growing", "quiet"]


def test_no_file_is_never_quiet_while_some_are_expected() -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600)

    assert states(watch, [(0, []), (3_599, []), (3_600, [])]) == ["nothing", "nothing", "timed_out"]


def test_segment_thought_empty_is_empty_after_the_quiet_time() -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600, may_stay_empty=True)

    assert states(watch, [(0, []), (59, []), (60, [])]) == ["nothing", "nothing", "empty"]


def test_wait_ends_while_files_still_come() -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 100)

    assert states(watch, [(50, [File("a")]), (100, [File("a"), File("b")])]) == ["growing", "timed_out"]


def test_what_is_quiet_at_the_deadline_is_quiet() -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 100)

    assert states(watch, [(40, [File("a")]), (100, [File("a")])]) == ["growing", "quiet"]


def test_files_known_to_be_too_few_are_waited_upon_until_more_come() -> None:
    few, more = [File("a")], [File("a"), File("b")]
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600, known=(1, 100))

    assert states(watch, [(0, few), (1_000, few), (1_010, more), (1_070, more)]) == [
        "growing",
        "growing",
        "growing",
        "quiet",
    ]


def test_a_look_counts_what_it_saw() -> None:
    watch = ExportWatch(quiet_seconds=60, deadline=ASKED + 3_600)
    watch.look([File("a"), File("b", size=5)], clock=10, wall=ASKED)

    sight = watch.look([File("b", size=5), File("a")], clock=25, wall=ASKED)

    assert (sight.files, sight.bytes, sight.still) == (2, 105, 15)


@pytest.mark.parametrize(("age", "expected"), [(959, False), (960, True)])
def test_old_files_are_still_at_first_sight_only_beyond_what_clocks_can_differ(age: int, expected: bool) -> None:
    files = [File("a", modified=at(-5_000)), File("b", modified=at(0))]

    assert still_for_long(files, quiet_seconds=60, wall=ASKED + age) is expected


def test_no_files_are_never_still_at_first_sight() -> None:
    assert still_for_long([], quiet_seconds=60, wall=ASKED) is False

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.csv.file_choice import choose_files, run_day
from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile, list_csv_files
from airflow_provider_braze_blueconic.sync.csv.finished_files import finished_files, mark_files_finished
from tests.support.core import day
from tests.support.csv_road import Bucket
from tests.support.staging import LocalStaging

NOVEMBER_5 = dt.datetime(2026, 11, 5, 2, 0, tzinfo=dt.UTC)
DATED = "people_%Y-%m-%d*.csv"


def in_name(*parts: int) -> dt.datetime:
    """A moment as a file's name tells it, without a zone."""
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


def put_days(bucket: Bucket, *days: int) -> None:
    for number in days:
        bucket.put(f"people_2026-11-{number:02d}.csv", f"id,city\np{number},C{number}\n", modified=day(number + 1))


def read_days(bucket: Bucket, logical_date: dt.datetime | None, **how: object) -> list[str]:
    snapshot = bucket.read(DATED, logical_date=logical_date, **how)  # type: ignore[arg-type]
    return [row[0][0] for row in bucket.values(snapshot)]


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant", "dated"),
    [
        ("s3://b/in/*.csv", "s3://b/in/a.csv", True, None),
        ("s3://b/in/*.csv", "s3://b/in/deep/a.csv", False, None),
        ("s3://b/in/*.csv", "s3://b/in/a.csv.done", False, None),
        ("s3://b/in/*", "s3://b/in/a.csv.done", False, None),
        ("s3://b/in/*", "s3://b/in/a.csv.gz", True, None),
        ("s3://b/in/*", "s3://b/in/", False, None),
        ("s3://b/in*", "s3://b/in_$folder$", False, None),
        ("s3://b/%Y-%m-%d*", "s3://b/2026-11-24/", False, None),
        ("s3://b/in/a+b(1).csv", "s3://b/in/a+b(1).csv", True, None),
        ("s3://b/in/100%%_*.csv", "s3://b/in/100%_x.csv", True, None),
        ("s3://b/p_%Y-%m-%d.csv", "s3://b/p_2026-11-24.csv", True, in_name(2026, 11, 24)),
        ("s3://b/p_%Y-%m-%d.csv", "s3://b/p_2026-11-2x.csv", False, None),
        ("s3://b/%Y/%m/p_%Y%m%dT%H%M%S*.csv", "s3://b/2026/11/p_20261124T031500Z.csv", True,
         in_name(2026, 11, 24, 3, 15)),
        ("s3://b/%Y/%m/p_%Y%m%d.csv", "s3://b/2025/11/p_20261124.csv", False, None),
    ],
)  # fmt: skip
def test_a_pattern_means_these_files(pattern: str, name: str, is_meant: bool, dated: dt.datetime | None) -> None:
    assert FilePattern.parse(pattern).match(name) == (is_meant, dated)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("s3://b/p_%y.csv", '"%y" isn\'t a part of a date. Possible: %Y, %m, %d, %H, %M, %S; write "%%" for'),
        ("s3://b/p_%Y-%m.csv", "a date needs %Y, %m and %d; %d is missing."),
        ("s3://b/p_%H.csv", "a date needs %Y, %m and %d; %Y and %m and %d is missing."),
        ("s3://b/100%", '"%" isn\'t a part of a date'),
    ],
)
def test_a_pattern_that_can_not_be_read_says_why(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        FilePattern.parse(pattern)


def test_only_what_all_names_begin_with_is_listed() -> None:
    assert FilePattern.parse("s3://b/in/people_%Y-%m-%d*.csv").prefix == "s3://b/in/people_"
    assert FilePattern.parse("s3://b/in/100%%*").prefix == "s3://b/in/100%"
    assert FilePattern.parse("s3://b/in/one.csv").prefix == "s3://b/in/one.csv"


def test_digits_that_are_no_date_leave_the_file_out_and_are_told(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put("people_2026-02-30.csv", "id,city\n")

    found = list_csv_files(bucket.staging, FilePattern.parse(f"{bucket.home}/in/{DATED}"))

    assert found == []
    assert "people_2026-02-30.csv is ignored: the digits in place of the date aren't a date" in caplog.text


@pytest.mark.parametrize(
    ("dated", "modified", "as_of"),
    [
        (None, NOVEMBER_5, NOVEMBER_5),
        (in_name(2026, 11, 4), NOVEMBER_5, day(4)),
        (in_name(2026, 11, 4, 6), NOVEMBER_5, dt.datetime(2026, 11, 4, 6, tzinfo=dt.UTC)),
        (in_name(2062, 11, 4), NOVEMBER_5, NOVEMBER_5),
    ],
    ids=["undated", "day", "hour", "a-date-to-come"],
)
def test_data_are_as_old_as_the_name_says_and_never_younger_than_the_file(
    dated: dt.datetime | None, modified: dt.datetime, as_of: dt.datetime
) -> None:
    assert CsvFile("s3://b/x.csv", 10, modified, dated).as_of == as_of


@pytest.mark.parametrize(
    ("logical_date", "timezone", "expected"),
    [
        (dt.datetime(2026, 11, 5, 2, tzinfo=dt.UTC), "UTC", dt.date(2026, 11, 5)),
        (dt.datetime(2026, 11, 5, 2, tzinfo=dt.UTC), "America/New_York", dt.date(2026, 11, 4)),
        (dt.datetime(2026, 11, 5, 23, 30, tzinfo=dt.UTC), "Europe/Amsterdam", dt.date(2026, 11, 6)),
        (None, "UTC", None),
    ],
)
def test_the_day_of_a_run_is_that_of_the_goals_time_zone(
    logical_date: dt.datetime | None, timezone: str, expected: dt.date | None
) -> None:
    assert run_day(logical_date, timezone) == expected


def test_a_run_reads_the_file_of_its_date_and_none_of_a_later_date(bucket: Bucket) -> None:
    put_days(bucket, 5, 6)

    assert read_days(bucket, NOVEMBER_5) == ["p5"]


def test_a_late_file_is_read_by_the_next_run_and_before_the_younger_one(bucket: Bucket) -> None:
    put_days(bucket, 3, 5)

    assert read_days(bucket, NOVEMBER_5) == ["p3", "p5"]


def test_a_finished_file_is_not_read_again(bucket: Bucket) -> None:
    put_days(bucket, 3, 4)
    mark_files_finished(bucket.workspace, bucket.read(DATED, logical_date=NOVEMBER_5))
    put_days(bucket, 2, 5)

    assert read_days(bucket, NOVEMBER_5) == ["p2", "p5"]


@pytest.mark.promise(1)
def test_a_file_whose_run_did_not_finish_is_read_again(bucket: Bucket) -> None:
    put_days(bucket, 4)
    read_days(bucket, day(4))

    assert read_days(bucket, NOVEMBER_5) == ["p4"]


@pytest.mark.promise(4)
def test_a_date_can_be_run_again_although_its_file_is_finished(bucket: Bucket) -> None:
    put_days(bucket, 5, 6)
    mark_files_finished(bucket.workspace, bucket.read(DATED, logical_date=NOVEMBER_5))
    mark_files_finished(bucket.workspace, bucket.read(DATED, logical_date=day(6)))

    assert read_days(bucket, NOVEMBER_5) == ["p5"]


def test_a_full_run_reads_finished_files_too_up_to_its_date(bucket: Bucket) -> None:
    put_days(bucket, 3, 4, 5, 6)
    mark_files_finished(bucket.workspace, bucket.read(DATED, logical_date=NOVEMBER_5))

    assert read_days(bucket, NOVEMBER_5, everything=True) == ["p3", "p4", "p5"]


def test_without_a_logical_date_each_file_is_read_once(bucket: Bucket) -> None:
    put_days(bucket, 3, 6)
    mark_files_finished(bucket.workspace, bucket.read(DATED))
    put_days(bucket, 5)

    assert read_days(bucket, None) == ["p5"]


def test_without_a_date_in_the_name_each_file_is_read_once_in_the_order_of_writing(bucket: Bucket) -> None:
    bucket.put("b.csv", "id,city\np1,A\n", modified=day(1))
    bucket.put("a.csv", "id,city\np2,B\n", modified=day(2))
    first = bucket.read(logical_date=NOVEMBER_5)
    mark_files_finished(bucket.workspace, first)
    bucket.put("c.csv", "id,city\np3,C\n")

    second = bucket.read(logical_date=NOVEMBER_5)

    assert bucket.values(first) == [(["p1"], ["A"]), (["p2"], ["B"])]
    assert bucket.values(second) == [(["p3"], ["C"])]


@pytest.mark.promise(1)
def test_another_file_under_a_finished_name_is_read(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city\np1,A\n", modified=day(1))
    mark_files_finished(bucket.workspace, bucket.read())
    bucket.put("a.csv", "id,city\np1,B\n", modified=day(2))

    assert bucket.values(bucket.read()) == [(["p1"], ["B"])]


def test_marking_twice_is_marking_once_and_keeps_who_was_first(bucket: Bucket) -> None:
    put_days(bucket, 5)
    snapshot = bucket.read(DATED, logical_date=NOVEMBER_5)
    mark_files_finished(bucket.workspace, snapshot)
    before = [path.read_text() for path in (bucket.home / "staging/goal/files").iterdir()]

    assert mark_files_finished(bucket.workspace, snapshot) == 1

    assert [path.read_text() for path in (bucket.home / "staging/goal/files").iterdir()] == before
    assert json.loads(before[0])["run_key"] == "run-1"
    assert len(finished_files(bucket.workspace)) == 1


def test_a_snapshot_of_something_else_marks_nothing(bucket: Bucket) -> None:
    assert mark_files_finished(bucket.workspace, {"uri": "nowhere", "read": "full"}) == 0  # type: ignore[typeddict-item]


def test_done_is_added_to_the_name_of_a_finished_file(bucket: Bucket) -> None:
    put_days(bucket, 4, 5)
    snapshot = bucket.read(DATED, logical_date=NOVEMBER_5)

    mark_files_finished(bucket.workspace, snapshot, source=bucket.staging, done=True)
    mark_files_finished(bucket.workspace, snapshot, source=bucket.staging, done=True)

    assert bucket.names() == ["people_2026-11-04.csv.done", "people_2026-11-05.csv.done"]
    assert read_days(bucket, NOVEMBER_5) == []


@dataclass(frozen=True)
class Version:
    """A file as a store lists it that knows its versions."""

    uri: str
    size: int
    modified: dt.datetime
    etag: str


class VersionedStaging(LocalStaging):
    """A store whose listings tell an ETag, and in which a file may be replaced right before it is renamed."""

    def __init__(self) -> None:
        self.before_move: Callable[[], None] = lambda: None

    def _etag(self, uri: str) -> str:
        return hashlib.md5(Path(uri).read_bytes()).hexdigest()

    def list_objects(self, prefix_uri: str) -> Sequence[Version]:  # type: ignore[override]
        listed = super().list_objects(prefix_uri)
        return [Version(file.uri, file.size, file.modified, self._etag(file.uri)) for file in listed]

    def move_object(self, source_uri: str, target_uri: str, *, etag: str) -> bool:
        self.before_move()
        if self._etag(source_uri) != etag:
            return False
        Path(source_uri).rename(target_uri)
        return True


@pytest.mark.promise(1)
def test_a_file_of_the_same_size_and_second_that_took_its_place_is_read(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, VersionedStaging())
    bucket.put("a.csv", "id,city\np1,Old\n", modified=day(1))
    first = bucket.read()
    bucket.put("a.csv", "id,city\np1,New\n", modified=day(1))

    mark_files_finished(bucket.workspace, first, source=bucket.staging, done=True)
    second = bucket.read()
    mark_files_finished(bucket.workspace, second, source=bucket.staging, done=True)

    assert bucket.values(second) == [(["p1"], ["New"])]
    assert bucket.names() == ["a.csv.done"]


@pytest.mark.promise(1)
def test_a_file_that_changes_while_it_is_renamed_keeps_its_name_and_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    staging = VersionedStaging()
    bucket = Bucket(tmp_path, staging)
    bucket.put("a.csv", "id,city\np1,Old\n", modified=day(1))
    snapshot = bucket.read()
    staging.before_move = lambda: bucket.put("a.csv", "id,city\np1,New\n", modified=day(1)) and None

    mark_files_finished(bucket.workspace, snapshot, source=staging, done=True)

    assert "a.csv keeps its name: it was replaced after the read" in caplog.text
    assert bucket.names() == ["a.csv"]
    assert bucket.values(bucket.read()) == [(["p1"], ["New"])]


def test_a_mark_of_an_older_version_still_says_that_a_file_is_finished(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    bucket.put("a.csv", "id,city\np1,A\n", modified=day(1))
    mark_files_finished(bucket.workspace, bucket.read())

    again = Bucket(tmp_path, VersionedStaging())

    assert again.values(again.read()) == []


@pytest.mark.promise(1)
def test_a_file_that_was_replaced_meanwhile_keeps_its_name_and_is_read(bucket: Bucket) -> None:
    put_days(bucket, 5)
    snapshot = bucket.read(DATED, logical_date=NOVEMBER_5)
    bucket.put("people_2026-11-05.csv", "id,city\np9,New\n", modified=day(7))

    mark_files_finished(bucket.workspace, snapshot, source=bucket.staging, done=True)

    assert bucket.names() == ["people_2026-11-05.csv"]
    assert read_days(bucket, day(6)) == ["p9"]


class DyingStaging(LocalStaging):
    """Ends when the original of a renamed file is to be removed."""

    def delete(self, uris: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.promise(1)
def test_a_kill_while_a_file_is_renamed_leaves_it_twice_and_finished(bucket: Bucket) -> None:
    put_days(bucket, 5)
    snapshot = bucket.read(DATED, logical_date=NOVEMBER_5)

    with pytest.raises(KeyboardInterrupt):
        mark_files_finished(bucket.workspace, snapshot, source=DyingStaging(), done=True)

    assert bucket.names() == ["people_2026-11-05.csv", "people_2026-11-05.csv.done"]
    assert read_days(bucket, day(6)) == []
    mark_files_finished(bucket.workspace, snapshot, source=bucket.staging, done=True)
    assert bucket.names() == ["people_2026-11-05.csv.done"]


def test_what_a_run_is_about_is_its_own_file_and_not_a_late_one() -> None:
    late = CsvFile("s3://b/late.csv", 1, NOVEMBER_5, in_name(2026, 11, 3))

    choice = choose_files([late], day=dt.date(2026, 11, 5), finished=())

    assert (choice.files, choice.late, choice.expected) == ((late,), 1, False)

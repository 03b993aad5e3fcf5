"""Both directions by way of CSV files in S3, beside BlueConic's own Amazon S3 connection."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from typing import Any

import pytest

from tests.support.airflow import GoalRunner

pytestmark = pytest.mark.airflow

SOURCE = {"s3_csv": "s3://sandbox-sync/out/profiles_%Y-%m-%d*.csv"}
FIELDS = [
    {"from": "property.firstname", "to": "first_name"},
    {"from": "property.points", "to": "loyalty_points", "type": "integer"},
]


def put(goals: GoalRunner, name: str, text: str | bytes) -> None:
    body = text.encode() if isinstance(text, str) else text
    goals.box.s3_client().put_object(Bucket="sandbox-sync", Key=name, Body=body)


def names(goals: GoalRunner, prefix: str) -> list[str]:
    listed = goals.box.s3_client().list_objects_v2(Bucket="sandbox-sync", Prefix=prefix).get("Contents", [])
    return sorted(item["Key"] for item in listed)


def day(number: int) -> dt.datetime:
    return dt.datetime(2026, 11, number, 2, tzinfo=dt.UTC)


def write_export(goals: GoalRunner, **source: Any) -> None:
    goals.write(source={**SOURCE, **source}, fields=FIELDS)


def sent(goals: GoalRunner) -> dict[str, dict[str, Any]]:
    return {
        each["external_id"]: {
            name: value for name, value in each.items() if name not in ("external_id", "_update_existing_only")
        }
        for each in goals.sent()
    }


@pytest.mark.promise(2)
def test_each_nights_file_sends_what_changed_and_a_date_run_again_sends_nothing(goals: GoalRunner) -> None:
    write_export(goals)
    put(goals, "out/profiles_2026-11-01.csv", 'crm_id,firstname,points\nx-1,"Ann ""A"", jr.",7\nx-2,Bob,8\n')
    put(goals, "out/profiles_2026-11-02.csv", "crm_id,firstname,points\nx-1,Anna,7\n")
    put(goals, "out/other_2026-11-01.csv", "crm_id,firstname,points\nx-9,No,1\n")

    goals.run(date=day(1))
    first = sent(goals)
    goals.run(date=day(2))
    second = sent(goals)
    again = goals.run(date=day(2), params={})

    assert first == {
        "x-1": {"first_name": 'Ann "A", jr.', "loyalty_points": 7},
        "x-2": {"first_name": "Bob", "loyalty_points": 8},
    }
    assert second == {"x-1": {"first_name": "Anna"}}
    assert again.state == "success"
    assert sent(goals) == {}


@pytest.mark.promise(4)
def test_backfill_of_a_past_date_reads_its_file_and_puts_no_older_value_over_a_newer_one(goals: GoalRunner) -> None:
    write_export(goals)
    put(goals, "out/profiles_2026-11-01.csv", "crm_id,firstname,points\nx-1,Old,1\nx-2,Only then,2\n")
    put(goals, "out/profiles_2026-11-03.csv", "crm_id,firstname,points\nx-1,New,3\n")
    # The file of the first was late, so the run of the third reads both.
    goals.run(date=day(3))
    newest = sent(goals)

    backfill = goals.run(date=day(1))

    assert newest == {
        "x-1": {"first_name": "New", "loyalty_points": 3},
        "x-2": {"first_name": "Only then", "loyalty_points": 2},
    }
    assert backfill.report["profiles"] == 2
    assert backfill.report["stale"] == 1
    assert sent(goals) == {}


@pytest.mark.by_hand
@pytest.mark.promise(4)
def test_late_file_does_not_undo_what_a_newer_file_confirmed_without_a_change(goals: GoalRunner) -> None:
    write_export(goals)
    put(goals, "out/profiles_2026-11-01.csv", "crm_id,firstname,points\nx-1,Gold,1\n")
    put(goals, "out/profiles_2026-11-05.csv", "crm_id,firstname,points\nx-1,Gold,1\n")
    goals.run(date=day(1))
    goals.run(date=day(5))
    goals.sent()
    put(goals, "out/profiles_2026-11-03.csv", "crm_id,firstname,points\nx-1,Silver,1\n")

    late = goals.run(date=day(6))

    assert late.report["stale"] == 1
    assert sent(goals) == {}


@pytest.mark.promise(1)
def test_file_that_comes_late_is_read_by_the_next_run(goals: GoalRunner) -> None:
    write_export(goals)
    put(goals, "out/profiles_2026-11-02.csv", "crm_id,firstname,points\nx-1,Ann,1\n")
    goals.run(date=day(2))
    goals.sent()
    put(goals, "out/profiles_2026-11-01_late.csv", "crm_id,firstname,points\nx-2,Late,2\n")
    put(goals, "out/profiles_2026-11-03.csv", "crm_id,firstname,points\nx-1,Ann,9\n")

    goals.run(date=day(3))

    assert sent(goals) == {"x-2": {"first_name": "Late", "loyalty_points": 2}, "x-1": {"loyalty_points": 9}}


@pytest.mark.by_hand
def test_finished_files_get_their_suffix_when_the_goal_asks_for_it(goals: GoalRunner) -> None:
    write_export(goals, done=True)
    put(goals, "out/profiles_2026-11-01.csv", "crm_id,firstname,points\nx-1,Ann,1\n")

    goals.run(date=day(1))

    assert names(goals, "out/") == ["out/profiles_2026-11-01.csv.done"]


def test_wrong_columns_are_told_with_the_nearest_and_nothing_is_sent(goals: GoalRunner) -> None:
    write_export(goals)
    put(goals, "out/profiles_2026-11-01.csv", "crm_id,fristname,points\nx-1,Ann,1\n")

    run = goals.run(date=day(1))

    assert run.state == "failed"
    assert "profiles_2026-11-01.csv" in run.log
    assert "firstname" in run.log
    assert 'Nearest: "fristname"' in run.log.replace('\\"', '"')
    assert goals.sent() == []


def test_import_delivers_one_file_with_every_changed_person_whole_and_nothing_when_nothing_changed(
    goals: GoalRunner,
) -> None:
    goals.write_import(
        deliver={"s3_csv": "s3://sandbox-sync/in"},
        fields=[
            {"from": "custom_attributes.motto", "to": "bio", "merge": "set"},
            {"from": "custom_attributes.tags", "to": "braze_tags", "merge": "set"},
        ],
    )
    one = min(x for x in goals.box.braze.external_ids() if x.startswith("crm-"))
    hostile = ' says "hi",\nthen leaves '
    goals.box.braze.change(one, {"custom_attributes": {"motto": hostile, "tags": ["b", "a"]}})

    first = goals.run("users")
    files = names(goals, "in/")
    goals.box.braze.change(one, {"custom_attributes": {"motto": "changed"}})
    second = goals.run("users")
    third = goals.run("users")

    added = [name for name in names(goals, "in/") if name not in files]
    rows = [read(goals, name) for name in (*files, *added)]
    assert first.state == second.state == third.state == "success"
    assert (len(files), len(added)) == (1, 1)
    assert list(rows[0][0]) == ["crm_id", "bio", "braze_tags"]
    assert next(row for row in rows[0] if row["crm_id"] == one) == {
        "crm_id": one,
        "bio": 'says "hi",\nthen leaves',
        "braze_tags": "a|b",
    }
    assert rows[1] == [{"crm_id": one, "bio": "changed", "braze_tags": "a|b"}]
    assert first.report["accepted"] == len(rows[0]) > 100
    assert third.report["to_send"] == 0


@pytest.mark.by_hand
def test_delivery_can_be_compressed(goals: GoalRunner) -> None:
    goals.write_import(deliver={"s3_csv": "s3://sandbox-sync/zipped", "gzip": True, "delimiter": ";"})

    goals.run("users")

    (name,) = names(goals, "zipped/")
    assert name.endswith(".csv.gz")
    assert len(read(goals, name, delimiter=";")) > 100


def read(goals: GoalRunner, name: str, delimiter: str = ",") -> list[dict[str, str]]:
    body = goals.box.s3_client().get_object(Bucket="sandbox-sync", Key=name)["Body"].read()
    text = (gzip.decompress(body) if name.endswith(".gz") else body).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))

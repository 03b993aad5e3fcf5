"""The goal that runs on the cluster."""

from __future__ import annotations

from pathlib import Path

import duckdb

from airflow_provider_braze_blueconic.goals.loading import load_goal
from tests.cluster.goal import GOAL_ID, Night, write_dags
from tests.cluster.s3 import BUCKET, running_s3, s3_client


def test_it_is_a_goal_with_a_folder_for_each_caller(tmp_path: Path) -> None:
    for name in ("worker-1", "worker-2"):
        write_dags(tmp_path / name, 20_000, partitions=8, workers=2)

    goal = load_goal(tmp_path / "worker-2" / "goals" / f"{GOAL_ID}.yaml").goal

    assert (goal.partitions, goal.upload.workers, goal.limits.requests_per_second) == (8, 2, 13)


def test_everybody_changes_in_one_field_from_night_to_night() -> None:
    nights = [duckdb.sql(Night(number, 100).wanted_sql()).fetchall() for number in (1, 2, 3)]

    assert len({row[0] for row in nights[0]}) == 100
    for before, after in ((nights[0], nights[1]), (nights[1], nights[2])):
        assert all(one[1] != other[1] for one, other in zip(before, after, strict=True))
        assert all((one[0], *one[2:]) == (other[0], *other[2:]) for one, other in zip(before, after, strict=True))


def test_the_files_of_a_night_hold_everybody_once(tmp_path: Path) -> None:
    night = Night(2, 100)
    with running_s3() as s3:
        night.put_files(tmp_path, s3.url)
        client = s3_client(s3.url)
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        for number, key in enumerate(keys):
            client.download_file(BUCKET, key, str(tmp_path / f"{number}.csv"))
    rows = duckdb.sql(f"FROM read_csv('{tmp_path}/*.csv', all_varchar = true)").fetchall()

    assert len(keys) == 4
    assert all(f"{night.logical_date:%Y-%m-%d}" in key for key in keys)
    assert sorted(rows) == sorted(duckdb.sql(night.wanted_sql()).fetchall())

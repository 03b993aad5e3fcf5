"""The measurement of map, delta and commit, with a handful of people; and the S3 that it runs against."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.bucket import BUCKET, running_bucket
from tests.bench.figures import read_measured
from tests.bench.step import Run, run_step
from tests.bench.trees import BENCH


@pytest.mark.by_hand
def test_two_nights_leave_figures_of_every_step(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.bench.pipeline",
        "--people",
        "150",
        "--json",
        str(tmp_path / "figures.json"),
    ]

    subprocess.run(command, cwd=BENCH, env={**os.environ, "PYTHONPATH": str(BENCH)}, check=True)

    figures = read_measured(tmp_path / "figures.json").figures
    for night in ("first night", "next night"):
        assert [figures[f"{step}, {night}"].unit for step in ("map", "delta", "commit")] == ["s"] * 3
        assert figures[f"requests to S3, {night}"].value > 0
    assert figures["peak memory"].value == max(each.value for each in figures.values() if each.unit == "MiB")


@pytest.mark.by_hand
def test_a_step_that_fails_is_no_figure(tmp_path: Path) -> None:
    (tmp_path / "goals").mkdir()

    with pytest.raises(RuntimeError, match=r"map_fields ended with code 1: KeyError: 'braze_blueconic__nobody'"):
        run_step(Run(tmp_path / "goals", "nobody", "run", {"AIRFLOW_HOME": str(tmp_path)}, tmp_path), "map_fields")


def test_the_bucket_counts_requests_and_lets_one_conditional_write_win() -> None:
    with running_bucket() as bucket:
        client, before = bucket.client(), bucket.requests()
        client.put_object(Bucket=BUCKET, Key="lock", Body=b"first", IfNoneMatch="*")

        with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=BUCKET, Key="lock", Body=b"second", IfNoneMatch="*")

        assert client.get_object(Bucket=BUCKET, Key="lock")["Body"].read() == b"first"
        assert bucket.requests() - before == 3
        assert [each.asked for each in bucket.served()[before:]] == [
            f"{m} /{BUCKET}/lock" for m in ("PUT", "PUT", "GET")
        ]
        assert {each.client for each in bucket.served()} == {"boto"}

"""Commands that look at the state of a goal, or mend it: against an S3 that holds what real runs left."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from airflow_provider_braze_blueconic.cli.commands import main
from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore
from airflow_provider_braze_blueconic.sync.store.holder import Holder
from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run

ROOT = Path(__file__).parents[3]
STAGING = "s3://sandbox-sync/commands"
EXPORT = f"""\
goal: export
id: to_braze
staging: {STAGING}
source: {{segment: Everybody}}
identifiers: [{{blueconic: crm_id, braze: external_id}}]
fields: [{{from: property.level, to: tier}}]
max_attempts: 2
"""
IMPORT = f"""\
goal: import
id: to_blueconic
staging: {STAGING}
source: {{segment: Everybody, export: s3://sandbox-braze-exports}}
identifiers: [{{braze: external_id, blueconic: crm_id}}]
fields:
  - {{from: custom_attributes.tier, to: level}}
  - {{from: custom_attributes.spent, to: spent, merge: sum, of: increase}}
"""


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    store.start()
    yield store
    store.stop()


@pytest.fixture(autouse=True)
def connection(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": store.url, "region_name": "us-east-1"}
    given = {"conn_type": "aws", "login": "sandbox", "password": "planted-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(given))
    # Uploads run in a time of their own.
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two goals left behind: Braze rejects two people of one; BlueConic does not know one of the other."""
    home = tmp_path_factory.mktemp("nights")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
        profiles = BlueConic(*({"crm_id": [who], "level": ["gold"]} for who in ("person-1", "person-2", "person-3")))
        users = Braze()
        users.rejected = {"person-1"}
        goal = ExportGoalOf("to_braze", users, profiles, [("level", "tier")])
        Run(home, goal, day(1)).run()
        users.rejected = {"person-1", "person-2"}
        profiles.profiles[1]["level"] = ["silver"]
        Run(home, goal, day(2)).run()
        row = ("custom_attributes.spent", "spent", {"merge": "sum", "of": "increase"})
        fields = [("custom_attributes.tier", "level"), row]
        both = Braze(u1={"tier": "gold", "spent": 10}, u2={"tier": "none", "spent": 1})
        known = BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
        Run(home, ImportGoalOf("to_blueconic", both, known, fields), day(1)).run()
    return home / "staging"


@pytest.fixture
def goals(nights: Path, store: ObjectStore, tmp_path: Path) -> Path:
    """A folder with the two goal files; the state of the goals lies in S3."""
    client = store.client()
    for entry in client.list_objects_v2(Bucket="sandbox-sync").get("Contents", []):
        client.delete_object(Bucket="sandbox-sync", Key=entry["Key"])
    for path in nights.rglob("*"):
        if path.is_file() and "work" not in path.parts:
            client.upload_file(str(path), "sandbox-sync", f"commands/{path.relative_to(nights).as_posix()}")
    (tmp_path / "export.yaml").write_text(EXPORT)
    (tmp_path / "import.yaml").write_text(IMPORT)
    return tmp_path


def call(command: str, goal: Path, *options: str) -> Result:
    return CliRunner().invoke(main, [command, str(goal), *options])


def rejects(goal: Path, *options: str) -> list[dict[str, Any]]:
    result = call("rejects", goal, *options)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def keys(store: ObjectStore, goal_id: str) -> set[str]:
    prefix = f"commands/{goal_id}/"
    listed = store.client().list_objects_v2(Bucket="sandbox-sync", Prefix=prefix)
    return {entry["Key"].removeprefix(prefix) for entry in listed["Contents"]}


def lose_ledger(store: ObjectStore, goal_id: str) -> None:
    for key in keys(store, goal_id):
        if key.startswith("ledger/"):
            store.client().delete_object(Bucket="sandbox-sync", Key=f"commands/{goal_id}/{key}")


# rejects


def test_who_was_rejected_is_shown_with_why_when_how_often_and_what_follows(goals: Path) -> None:
    rows = rejects(goals / "export.yaml", "--show-values")

    assert rows == [
        {
            "identifier": '{"external_id":"person-1"}', "outcome": "rejected", "reason": "is not valid",
            "tried_at": "2026-11-02T00:00:00+00:00", "attempts": 2, "next_run": "quarantined until a value changes",
        },
        {
            "identifier": '{"external_id":"person-2"}', "outcome": "rejected", "reason": "is not valid",
            "tried_at": "2026-11-02T00:00:00+00:00", "attempts": 1, "next_run": "retried",
        },
    ]  # fmt: skip


def test_identifiers_are_masked_unless_asked_for(goals: Path) -> None:
    result = call("rejects", goals / "export.yaml")

    assert "person-" not in result.output
    assert [row["identifier"] for row in json.loads(result.stdout)] == [
        '{"external_id":"p…1 (8)"}',
        '{"external_id":"p…2 (8)"}',
    ]


def test_the_numbers_are_told_beside_the_people_that_are_shown(goals: Path) -> None:
    result = call("rejects", goals / "export.yaml", "--limit", "1")

    assert len(json.loads(result.stdout)) == 1
    assert result.stderr.endswith("rejected, not retried: 1\nrejected, retried: 1\nNot accepted: 2, shown: 1.\n")


def test_who_blueconic_does_not_know_is_tried_again_after_a_week(goals: Path) -> None:
    # The nights were long ago, as this test runs.
    (row,) = rejects(goals / "import.yaml")

    assert (row["outcome"], row["attempts"], row["next_run"]) == ("not_found", 1, "retried")


def test_a_goal_that_never_ran_refused_nobody(goals: Path) -> None:
    goal = goals / "other.yaml"
    goal.write_text(EXPORT.replace("to_braze", "never_ran"))

    result = call("rejects", goal)

    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert result.stderr.endswith("The target accepted everybody.\n")


def test_on_a_terminal_the_people_are_a_table(goals: Path) -> None:
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_braze_blueconic.cli.commands", "rejects", str(goals / "export.yaml")],
        cwd=ROOT, env={**os.environ, "COLUMNS": "160"}, stdout=end, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        _, said = process.communicate(timeout=120)
    os.close(end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)

    assert process.returncode == 0, said
    assert "┏━━" in shown
    assert "quarantined until a value changes" in shown
    assert "person-" not in shown


def test_the_result_alone_is_on_stdout_and_what_was_counted_on_stderr(goals: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "airflow_provider_braze_blueconic.cli.commands",
        "rejects",
        str(goals / "export.yaml"),
    ]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert len(json.loads(ran.stdout)) == 2
    # Older versions of Airflow begin with warnings of their own.
    assert ran.stderr.endswith("rejected, not retried: 1\nrejected, retried: 1\nNot accepted: 2, shown: 2.\n")


# release


@pytest.mark.parametrize("identifier", ["person-1", '{"external_id":"person-1"}'], ids=["value", "JSON text"])
def test_one_person_is_released_and_the_others_are_not(identifier: str, goals: Path) -> None:
    result = call("release", goals / "export.yaml", "--identifier", identifier)

    rows = rejects(goals / "export.yaml", "--show-values")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"released": 1, "not_found": 0})
    assert [(row["attempts"], row["next_run"], row["reason"]) for row in rows] == [
        (0, "retried", "is not valid"),
        (1, "retried", "is not valid"),
    ]


def test_all_are_released_at_once(goals: Path) -> None:
    result = call("release", goals / "export.yaml", "--all")

    assert json.loads(result.stdout) == {"released": 2, "not_found": 0}
    assert result.stderr.endswith("The next run retries: 2.\n")
    assert [row["attempts"] for row in rejects(goals / "export.yaml")] == [0, 0]


def test_a_person_who_was_not_refused_is_counted_and_not_named(goals: Path) -> None:
    result = call("release", goals / "export.yaml", "--identifier", "person-3", "--identifier", "person-1")

    assert (result.exit_code, json.loads(result.stdout)) == (1, {"released": 1, "not_found": 1})
    assert "Not among the refused people: 1 of 2." in result.stderr
    assert "person" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--all", "--identifier", "x")], ids=["nobody", "all and one"])
def test_whom_to_release_has_to_be_said(options: tuple[str, ...], goals: Path) -> None:
    result = call("release", goals / "export.yaml", *options)

    assert result.exit_code == 2
    assert "Give either --all or at least one --identifier TEXT." in result.stderr


def test_nothing_is_released_while_a_run_is_at_work(goals: Path) -> None:
    folder = GoalFolder(STAGING, "to_braze")
    lock = GoalLock(StagingHook(), folder, Holder("r", "", "manual__now", "upload"), seconds=600)
    lock.take()
    lock.leave(900)

    result = call("release", goals / "export.yaml", "--all")

    assert result.exit_code == 1
    assert 'Another run of goal to_braze hasn\'t ended: "manual__now"' in result.stderr
    assert [row["attempts"] for row in rejects(goals / "export.yaml")] == [2, 1]


# recover


def test_a_lost_ledger_is_recovered_and_told_in_numbers(store: ObjectStore, goals: Path) -> None:
    lose_ledger(store, "to_blueconic")

    dry = call("recover", goals / "import.yaml", "--dry-run")
    without = keys(store, "to_blueconic")
    real = call("recover", goals / "import.yaml")

    assert (dry.exit_code, real.exit_code) == (0, 0), real.output
    told = json.loads(real.stdout)
    assert {name: told[name] for name in ("receipts", "deltas", "people", "values", "refused", "sums", "written")} == {
        "receipts": 2, "deltas": 1, "people": 2, "values": 2, "refused": 1, "sums": ["spent"], "written": True,
    }  # fmt: skip
    assert {**json.loads(dry.stdout), "written": True} == told
    assert dry.stderr.endswith("Nothing was changed.\n")
    assert "The levels of spent may be too high" in real.stderr
    assert not any(key.startswith("ledger/") for key in without)
    assert [row["outcome"] for row in rejects(goals / "import.yaml")] == ["not_found"]


def test_a_broken_ledger_is_put_aside(store: ObjectStore, goals: Path) -> None:
    client = store.client()
    (data,) = [key for key in keys(store, "to_blueconic") if key.startswith("ledger/partition=")]
    client.put_object(Bucket="sandbox-sync", Key=f"commands/to_blueconic/{data}", Body=b"broken")

    looked = call("rejects", goals / "import.yaml")
    mended = call("recover", goals / "import.yaml")

    assert looked.exit_code == 1
    assert looked.stderr.splitlines()[-1].startswith(f"Error: {STAGING}/to_blueconic/ledger can't be read: its file ")
    assert mended.exit_code == 0, mended.output
    aside = json.loads(mended.stdout)["put_aside"].removeprefix(f"{STAGING}/to_blueconic/")
    assert f"{aside}/{data.removeprefix('ledger/')}" in keys(store, "to_blueconic")
    assert len(rejects(goals / "import.yaml")) == 1


def test_a_ledger_that_is_well_is_left_alone(goals: Path) -> None:
    result = call("recover", goals / "export.yaml")

    assert result.exit_code == 1
    assert "can be read (3 people), so there is nothing to recover" in result.stderr


# What goes wrong


@pytest.mark.parametrize("command", ["rejects", "recover"])
def test_mistakes_of_a_goal_file_are_told_with_their_line(command: str, tmp_path: Path) -> None:
    goal = tmp_path / "goal.yaml"
    goal.write_text(EXPORT.replace("segment: Everybody", "segmnt: Everybody"))

    result = call(command, goal)

    assert result.exit_code == 1
    assert "goal.yaml:4 source" in result.stderr


def test_a_bucket_that_can_t_be_reached_is_told_in_one_sentence(tmp_path: Path) -> None:
    goal = tmp_path / "goal.yaml"
    goal.write_text(EXPORT.replace("sandbox-sync", "no-such-bucket"))

    result = call("rejects", goal)

    assert result.exit_code == 1
    assert "the bucket doesn't exist. Create it, or correct the address." in result.stderr
    assert "planted-secret" not in result.output

"""A goal that is called otherwise, and one whose ledger is gone, in a real Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from airflow_provider_braze_blueconic.cli.commands import main
from tests.support.airflow import GoalRunner, Run

pytestmark = pytest.mark.airflow


def write(goals: GoalRunner, kind: str, goal_id: str, **changes: Any) -> None:
    if kind == "import":
        row = {"from": "custom_attributes.favourite_store", "to": "braze_favourite_store"}
        goals.write_import(id=goal_id, fields=[row], **changes)
    elif kind == "files":
        fields = [{"from": "property.firstname", "to": "first_name"}]
        goals.write(id=goal_id, source={"s3_csv": "s3://sandbox-sync/in/*.csv"}, fields=fields, **changes)
    else:
        goals.write(id=goal_id, **changes)


def remove(goals: GoalRunner, goal_id: str) -> None:
    (goals.home / "dags" / "goals" / f"{goal_id}.yaml").unlink()


def sent(goals: GoalRunner, kind: str) -> int:
    return len(goals.written() if kind == "import" else goals.sent())


def problem(run: Run, text: str) -> bool:
    return run.state == "failed" and text in run.log


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    "kind", ["import", *(pytest.param(kind, marks=pytest.mark.by_hand) for kind in ("segment", "files"))]
)
def test_a_renamed_goal_goes_on_where_it_was(kind: str, goals: GoalRunner) -> None:
    body = b"crm_id,firstname\nx-1,Ann\nx-2,Bo\n"
    goals.box.s3_client().put_object(Bucket="sandbox-sync", Key="in/people.csv", Body=body)
    write(goals, kind, "old_name")
    goals.run("old_name")
    first = sent(goals, kind)
    remove(goals, "old_name")
    write(goals, kind, "new_name", renamed_from="old_name")

    second = goals.run("new_name")
    again = sent(goals, kind)

    assert first > 1
    assert (second.state, again, second.report["status"]) == ("success", 0, "success")


@pytest.mark.by_hand
def test_the_old_id_of_a_renamed_goal_stops_before_it_reads_anything(goals: GoalRunner) -> None:
    write(goals, "segment", "old_name")
    goals.run("old_name")
    remove(goals, "old_name")
    write(goals, "segment", "new_name", renamed_from="old_name")
    goals.run("new_name")
    remove(goals, "new_name")
    write(goals, "segment", "old_name")
    goals.box.exchanges.clear()

    stopped = goals.run("old_name")

    assert problem(stopped, 'old_name.yaml:2 id: the state of "old_name" went to "new_name" on ')
    assert [exchange.url for exchange in goals.box.exchanges if exchange.service == "blueconic"] == []


def test_an_old_id_that_nothing_lies_under_stops_the_run_with_its_line(goals: GoalRunner) -> None:
    goal = goals.write(renamed_from="poeple")
    written = (goals.home / "dags" / "goals" / f"{goal['id']}.yaml").read_text().splitlines()

    stopped = goals.run()

    line = written.index("renamed_from: poeple") + 1
    said = f'people.yaml:{line} renamed_from: "poeple" left nothing in s3://sandbox-sync/tests/poeple/'
    assert problem(stopped, said)


@pytest.mark.promise(2)
def test_a_run_without_its_ledger_sends_nothing_and_goes_on_after_the_recovery(goals: GoalRunner) -> None:
    goals.write()
    goals.run()
    everybody = len(goals.sent())
    client = goals.box.s3_client()
    listed = client.list_objects_v2(Bucket="sandbox-sync", Prefix="tests/people/ledger/")["Contents"]
    for entry in listed:
        client.delete_object(Bucket="sandbox-sync", Key=entry["Key"])

    refused = goals.run()
    sent_without = goals.sent()
    recovered = CliRunner().invoke(main, ["recover", str(goals.home / "dags" / "goals" / "people.yaml")])
    third = goals.run()

    assert problem(refused, "people: the ledger s3://sandbox-sync/tests/people/ledger/ is gone, but ")
    assert sent_without == []
    assert (recovered.exit_code, json.loads(recovered.stdout)["people"]) == (0, everybody)
    assert (third.state, third.report["to_send"], goals.sent()) == ("success", 0, [])

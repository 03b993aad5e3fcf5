"""From goal files to what Airflow shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.goals.dag import build_dag, load_goals
from airflow_provider_braze_blueconic.goals.models import ExportGoal

GOAL = """\
goal: export
id: {id}
name: People to Braze
description: Keeps Braze current.
labels: [crm]
schedule: "0 2 * * *"
timezone: Europe/Amsterdam
staging: s3://acme-sync/tests
source: {{segment: People}}
identifiers: [{{blueconic: crm_id, braze: external_id}}]
fields:
  - {{from: property.firstname, to: first_name}}
{more}"""


def write(folder: Path, name: str, *, id: str = "people", more: str = "") -> None:  # noqa: A002
    (folder / f"{name}.yaml").write_text(GOAL.format(id=id, more=more))


def test_a_goal_becomes_a_dag_that_never_runs_twice_at_once_and_does_not_catch_up(tmp_path: Path) -> None:
    write(tmp_path, "people", more="upload: {workers: 3}\n")

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert dag.dag_display_name == "People to Braze"
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    assert set(dag.tags) == {"braze-blueconic", "export", "crm"}
    assert set(dag.params) == {"full", "dry_run", "allow_stale"}
    assert "Keeps Braze current." in (dag.doc_md or "")
    assert "Europe/Amsterdam" in repr(dag.timetable.serialize())  # type: ignore[attr-defined]
    assert [task.task_id for task in dag.topological_sort()] == [
        "extract", "map_fields", "compute_delta", "guard", "upload", "commit", "report"
    ]  # fmt: skip
    assert {task_id: dag.get_task(task_id).trigger_rule.value for task_id in ("upload", "commit", "report")} == {
        "upload": "all_success",
        "commit": "all_done",
        "report": "all_done",
    }
    assert dag.get_task("upload").partial_kwargs["max_active_tis_per_dagrun"] == 3  # type: ignore[union-attr]


def test_a_broken_goal_shows_its_mistakes_keeps_its_schedule_and_leaves_the_others_alone(tmp_path: Path) -> None:
    write(tmp_path, "good", id="good")
    write(tmp_path, "broken", id="broken", more="  - {from: property.x, to: First_Name}\nsend: everything\n")

    dags = load_goals(tmp_path)

    assert set(dags) == {"braze_blueconic__good", "braze_blueconic__broken"}
    broken = dags["braze_blueconic__broken"]
    assert broken.dag_display_name == "⚠ broken.yaml: 2 mistakes"
    assert broken.schedule == "0 2 * * *"
    message = broken.get_task("goal_file").message  # type: ignore[union-attr]
    assert "broken.yaml:13 fields[1].to" in message
    assert "first_name" in message
    assert "broken.yaml:14 send" in message
    assert message.split(":\n", 1)[1] in (broken.doc_md or "")
    with pytest.raises(Exception, match="2 mistakes"):
        broken.get_task("goal_file").execute({})  # type: ignore[union-attr, arg-type]


def test_airflow_finds_the_dags_of_a_goals_folder_without_an_import_error(tmp_path: Path) -> None:
    dagbag = pytest.importorskip("airflow.dag_processing.dagbag")
    (tmp_path / "goals").mkdir()
    write(tmp_path / "goals", "good", id="good")
    write(tmp_path / "goals", "broken", id="broken", more="nonsense: 1\n")
    dag_file = Path(__file__).parents[3] / "dags" / "braze_blueconic_goals.py"
    (tmp_path / "dag_file.py").write_text(dag_file.read_text())

    bag = dagbag.DagBag(tmp_path)

    assert bag.import_errors == {}
    assert set(bag.dags) == {"braze_blueconic__good", "braze_blueconic__broken"}


def test_an_import_goal_says_in_the_ui_that_it_is_not_built_yet(tmp_path: Path) -> None:
    (tmp_path / "back.yaml").write_text(
        "goal: import\nid: back\nstaging: s3://acme-sync/x\nsource: {segment: A, export: s3://acme-exports}\n"
        "identifiers: [{braze: external_id, blueconic: crm_id}]\nfields: [{from: email, to: email}]\n"
    )

    dag = load_goals(tmp_path)["braze_blueconic__back"]

    assert "import goals are not built yet" in dag.get_task("goal_file").message  # type: ignore[union-attr]


def test_a_disabled_goal_is_not_scheduled() -> None:
    goal = ExportGoal(
        id="off",
        enabled=False,
        schedule="@daily",
        staging="s3://acme-sync/x",
        source={"segment": "A"},  # type: ignore[arg-type]
        identifiers=[{"blueconic": "crm_id", "braze": "external_id"}],  # type: ignore[arg-type]
        fields=[{"value": 1, "to": "x"}],  # type: ignore[arg-type]
    )

    assert build_dag(goal).schedule is None


def test_parsing_goals_loads_no_heavy_library(tmp_path: Path) -> None:
    write(tmp_path, "people")
    code = (
        "import sys\nfrom airflow.providers.common.compat.sdk import DAG, BaseOperator, Param\n"
        "from airflow.timetables.trigger import CronTriggerTimetable\n"
        "airflow_s_own = set(sys.modules)\n"
        "from airflow_provider_braze_blueconic.goals import load_goals\n"
        f"assert load_goals({str(tmp_path)!r})\n"
        "loaded = set(sys.modules) - airflow_s_own\n"
        "print([m for m in ('duckdb', 'deltalake', 'pyarrow', 'aiohttp', 'boto3', 'fastapi') if m in loaded])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_every_template_field_of_every_task_is_there(tmp_path: Path) -> None:
    write(tmp_path, "people")

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    for task in dag.tasks:
        given = getattr(task, "partial_kwargs", None)
        for name in task.template_fields:
            assert name in {**given, "partition": 0} if given is not None else hasattr(task, name), (task.task_id, name)

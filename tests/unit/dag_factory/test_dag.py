"""From goal files to what Airflow shows."""

from __future__ import annotations

import gc
import importlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, get_parsing_context
from airflow.sdk.definitions.param import process_params
from ruamel.yaml import YAML

from airflow_provider_braze_blueconic.dag_factory import dag_file
from airflow_provider_braze_blueconic.dag_factory.dag import build_dag, build_reconcile_dag
from airflow_provider_braze_blueconic.dag_factory.dag_file import load_goals
from airflow_provider_braze_blueconic.goals import loading
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal

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


RECONCILE = 'reconcile: {segment: X, export: s3://acme-exports, schedule: "0 5 * * 1"}\n'


def write(folder: Path, name: str, *, id: str = "people", more: str = "") -> None:  # noqa: A002
    (folder / f"{name}.yaml").write_text(GOAL.format(id=id, more=more))


def serialised(dag: DAG) -> dict[str, Any]:
    """Serialise a DAG as the DAG processor does."""
    module = importlib.import_module("airflow.serialization.serialized_objects")
    document = getattr(module, "DagSerialization", module.SerializedDAG).to_dict(dag)["dag"]
    assert isinstance(document, dict)
    return document


def timetable_of(dag: DAG) -> tuple[str, str]:
    """Give the cron text and the time zone by which the scheduler runs a DAG."""
    timetable = serialised(dag)["timetable"]
    assert timetable["__type"] == "airflow.timetables.trigger.CronTriggerTimetable"
    return timetable["__var"]["expression"], timetable["__var"]["timezone"]


def test_a_goal_becomes_a_dag_that_never_runs_twice_at_once_and_does_not_catch_up(tmp_path: Path) -> None:
    write(tmp_path, "people", more="upload: {workers: 3}\n")

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert dag.dag_display_name == "People to Braze"
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    assert set(dag.tags) == {"braze-blueconic", "export", "crm"}
    assert set(dag.params) == {"full", "retry_held", "dry_run", "allow_stale"}
    assert "Keeps Braze current." in (dag.doc_md or "")
    assert timetable_of(dag) == ("0 2 * * *", "Europe/Amsterdam")
    assert [task.task_id for task in dag.topological_sort()] == [
        "extract", "map_fields", "compute_delta", "guard", "upload", "commit", "clean_up", "report"
    ]  # fmt: skip
    assert {task_id: dag.get_task(task_id).trigger_rule.value for task_id in ("upload", "commit", "report")} == {
        "upload": "all_success",
        "commit": "all_done",
        "report": "all_done",
    }
    assert dag.get_task("upload").partial_kwargs["max_active_tis_per_dagrun"] == 3  # type: ignore[union-attr]


def test_a_goal_that_reconciles_has_a_second_dag_that_looks_at_braze_first(tmp_path: Path) -> None:
    section = "reconcile: {schedule: weekly, segment: All users, export: s3://acme-exports, aws: aws_braze}\n"
    write(tmp_path, "people", more="  - {from: property.pet, to: pet}\n  - {value: x, to: image_url}\n" + section)

    dags = load_goals(tmp_path)

    dag, own = dags["braze_blueconic__people__reconcile"], dags["braze_blueconic__people"]
    assert [task.task_id for task in dag.topological_sort()][:4] == ["look", "extract", "map_fields", "compute_delta"]
    assert "look" not in own.task_ids
    assert timetable_of(dag) == ("0 0 * * 0", "Europe/Amsterdam")
    assert set(dag.params) == {"retry_held", "dry_run", "allow_stale"}
    look, extract = dag.get_task("look"), dag.get_task("extract")
    assert look.segment == "All users"  # type: ignore[union-attr]
    # Braze exports no image_url, so nothing can be said of it.
    assert list(look.sources) == ["external_id", "first_name", "custom_attributes.pet"]  # type: ignore[union-attr]
    assert (look.export_aws_conn_id, extract.full) == ("aws_braze", True)  # type: ignore[union-attr]
    assert {task.run_prefix for task in dag.tasks if hasattr(task, "run_prefix")} == {"reconcile-"}
    assert {task.run_prefix for task in own.tasks if hasattr(task, "run_prefix")} == {""}


def test_every_task_of_a_run_gets_the_params_of_the_dag_though_it_has_no_copies(tmp_path: Path) -> None:
    write(tmp_path, "people", more=RECONCILE)
    (tmp_path / "back.yaml").write_text(IMPORT)

    dags = load_goals(tmp_path)

    assert len(dags) == 3
    for dag in dags.values():
        defaults = dict.fromkeys(dag.params, False)
        assert dag.params.validate() == defaults  # Airflow itself doesn't check params that come after the tasks
        for task in dag.tasks:
            assert not task.params
            assert process_params(dag, task, None, suppress_exception=False) == defaults
    conf = {"dry_run": True}
    given = process_params(dag, dag.get_task("guard"), conf, suppress_exception=False)
    assert given == {**defaults, **conf}
    with pytest.raises(ValueError, match="dry_run"):
        process_params(dag, dag.get_task("guard"), {"dry_run": "perhaps"}, suppress_exception=False)


def test_params_are_stored_once_for_a_dag_and_not_again_for_each_task(tmp_path: Path) -> None:
    write(tmp_path, "people")

    document = serialised(load_goals(tmp_path)["braze_blueconic__people"])

    assert [name for name, _ in document["params"]] == ["full", "retry_held", "dry_run", "allow_stale"]
    assert len(document["tasks"]) == 8
    assert not [task for task in document["tasks"] if "params" in task["__var"]]


def test_a_run_of_one_goal_leaves_the_params_of_another_alone(tmp_path: Path) -> None:
    write(tmp_path, "a", id="a")
    write(tmp_path, "b", id="b")
    one, other = load_goals(tmp_path).values()

    process_params(one, one.get_task("guard"), {"dry_run": True}, suppress_exception=False)

    assert other.params["dry_run"] is False


def test_a_goal_without_a_section_for_it_has_no_second_dag(tmp_path: Path) -> None:
    write(tmp_path, "people")

    dags = load_goals(tmp_path)

    assert list(dags) == ["braze_blueconic__people"]
    with pytest.raises(ValueError, match="no reconcile section"):
        build_reconcile_dag(ExportGoal.model_validate(_plain(tmp_path / "people.yaml")))


def _plain(file: Path) -> object:
    return YAML(typ="safe").load(file)


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
    try:
        dagbag = importlib.import_module("airflow.dag_processing.dagbag")
    except ModuleNotFoundError:  # up to Airflow 3.1
        dagbag = importlib.import_module("airflow.models.dagbag")
    (tmp_path / "goals").mkdir()
    write(tmp_path / "goals", "good", id="good")
    write(tmp_path / "goals", "broken", id="broken", more="nonsense: 1\n")
    dag_file = Path(__file__).parents[3] / "dags" / "braze_blueconic_goals.py"
    (tmp_path / "dag_file.py").write_text(dag_file.read_text())

    bag = dagbag.DagBag(tmp_path)

    assert bag.import_errors == {}
    assert set(bag.dags) == {"braze_blueconic__good", "braze_blueconic__broken"}


def test_an_import_goal_is_the_same_pipeline_with_other_ends(tmp_path: Path) -> None:
    write(tmp_path, "people")
    (tmp_path / "back.yaml").write_text(f"{IMPORT}upload: {{workers: 3}}\n")

    dags = load_goals(tmp_path)
    back, there = dags["braze_blueconic__back"], dags["braze_blueconic__people"]

    kinds = {task.task_id: task.task_type for task in back.tasks}  # type: ignore[union-attr]
    assert set(back.params) == {"retry_held", "dry_run", "allow_stale"}
    assert (kinds["extract"], kinds["upload"]) == ("BrazeSegmentToS3Operator", "S3ToBlueConicProfilesOperator")
    assert back.get_task("upload").partial_kwargs["max_active_tis_per_dagrun"] == 3  # type: ignore[union-attr]
    assert {name: task for name, task in _shape(back).items() if name not in ("extract", "map_fields", "upload")} == {
        name: task for name, task in _shape(there).items() if name not in ("extract", "map_fields", "upload")
    }
    assert "Syncs the Braze segment **A** to BlueConic." in (back.doc_md or "")


def test_an_import_goal_can_deliver_files_in_one_task(tmp_path: Path) -> None:
    (tmp_path / "back.yaml").write_text(f"{IMPORT}deliver: {{s3_csv: s3://acme-sync/in}}\n")

    dag = load_goals(tmp_path)["braze_blueconic__back"]

    upload = dag.get_task("upload")
    assert upload.task_type == "S3ToS3CsvOperator"  # type: ignore[union-attr]
    assert upload.is_mapped is False
    assert dag.get_task("compute_delta").send == "whole_profile"  # type: ignore[union-attr]
    # Nobody knows when the file will be read, so what BlueConic shows meanwhile proves nothing.
    assert dag.get_task("compute_delta").target_conn_id is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "at_once"),
    [
        pytest.param("", True, id="through the API"),
        pytest.param("deliver: {s3_csv: s3://acme-sync/in}\n", False, id="by a file"),
    ],
)
def test_only_what_is_delivered_in_a_file_is_not_written_at_once(more: str, at_once: bool, tmp_path: Path) -> None:
    (tmp_path / "back.yaml").write_text(f"{IMPORT}{more}")

    dag = load_goals(tmp_path)["braze_blueconic__back"]

    assert dag.get_task("map_fields").writes_at_once is at_once  # type: ignore[union-attr]


def test_the_guard_knows_which_limits_the_goal_set_itself(tmp_path: Path) -> None:
    write(tmp_path, "plain", id="plain")
    write(tmp_path, "own", id="own", more="limits: {clears_percent: 50, data_points: 9}\n")

    dags = load_goals(tmp_path)

    limits = {name: dag.get_task("guard").limits for name, dag in dags.items()}  # type: ignore[union-attr]
    assert limits == {
        "braze_blueconic__plain": {},
        "braze_blueconic__own": {"clears_percent": 50.0, "data_points": 9},
    }


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


IMPORT = """\
goal: import
id: back
schedule: "@daily"
staging: s3://acme-sync/x
source: {segment: A, export: s3://acme-exports}
identifiers: [{braze: external_id, blueconic: crm_id}]
fields: [{from: email, to: email}]
"""


def test_a_goal_that_reads_csv_files_takes_them_for_changes_and_not_for_the_whole(tmp_path: Path) -> None:
    write(tmp_path, "people")
    path = tmp_path / "people.yaml"
    path.write_text(path.read_text().replace("{segment: People}", "{s3_csv: s3://acme-sync/in/*.csv, done: true}"))

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert dag.get_task("extract").task_type == "S3CsvToS3Operator"  # type: ignore[union-attr]
    assert dag.get_task("extract").columns == {"crm_id": "identifiers[0].blueconic", "firstname": "fields[0].from"}  # type: ignore[union-attr]
    assert dag.get_task("compute_delta").confirms is False  # type: ignore[union-attr]
    assert dag.get_task("map_fields").source_conn_id is None  # type: ignore[union-attr]
    assert dag.get_task("report").done_aws_conn_id == "aws_default"  # type: ignore[union-attr]


def test_a_second_goal_of_the_same_id_does_not_take_the_first_ones_dag(tmp_path: Path) -> None:
    write(tmp_path, "first")
    write(tmp_path, "second")

    dags = load_goals(tmp_path)

    assert set(dags) == {"braze_blueconic__people", "braze_blueconic__second__broken"}
    assert dags["braze_blueconic__people"].has_task("extract")


@pytest.mark.parametrize(
    ("when", "told"),
    [("failure", {"on_failure_callback"}), ("every_run", {"on_failure_callback", "on_success_callback"})],
)
def test_whoever_wants_to_know_of_runs_is_written_to(tmp_path: Path, when: str, told: set[str]) -> None:
    write(tmp_path, "people", more=f"notify: {{when: {when}, email: [data@acme.example]}}\n")

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    callbacks = {name: getattr(dag, name) for name in ("on_failure_callback", "on_success_callback")}
    assert {name for name, callback in callbacks.items() if callback} == told
    assert {tuple(callback.to) for callback in callbacks.values() if callback} == {("data@acme.example",)}
    assert callbacks["on_failure_callback"].subject == "People to Braze: failed"


def test_nobody_is_written_to_unless_the_goal_names_somebody(tmp_path: Path) -> None:
    write(tmp_path, "people", more="notify: {when: every_run}\n")

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert (dag.on_failure_callback, dag.on_success_callback) == (None, None)


@pytest.mark.parametrize(
    ("file", "dag_id", "goal"),
    [
        ("braze_blueconic_operators.py", "braze_blueconic_by_hand", "people"),
        ("braze_blueconic_import_operators.py", "braze_blueconic_import_by_hand", "back"),
    ],
)
def test_a_hand_written_dag_is_the_same_pipeline_as_a_goals(tmp_path: Path, file: str, dag_id: str, goal: str) -> None:
    write(tmp_path, "people")
    (tmp_path / "back.yaml").write_text(IMPORT)
    by_goal = load_goals(tmp_path)[f"braze_blueconic__{goal}"]

    found = runpy.run_path(str(Path(__file__).parents[3] / "dags" / file))

    by_hand = found["report"].dag
    assert by_hand.dag_id == dag_id
    assert (by_hand.schedule, by_hand.max_active_runs, by_hand.catchup) == (None, 1, False)
    assert _shape(by_hand) == _shape(by_goal)


def _shape(dag: DAG) -> dict[str, tuple[str, str, set[str]]]:
    return {
        task.task_id: (task.task_type, task.trigger_rule.value, set(task.downstream_task_ids))  # type: ignore[union-attr]
        for task in dag.tasks
    }


def test_parsing_goals_loads_no_heavy_library(tmp_path: Path) -> None:
    write(tmp_path, "people")
    code = (
        "import sys\nfrom airflow.providers.common.compat.sdk import DAG, BaseOperator, Param\n"
        "from airflow.timetables.trigger import CronTriggerTimetable\n"
        "with DAG('own', schedule=CronTriggerTimetable('0 2 * * *', timezone='UTC'), params={'p': Param(False)}) as dag:\n"
        "    BaseOperator(task_id='a').output\n"
        "dag.validate()\n"
        "airflow_s_own = set(sys.modules)\n"
        "from airflow_provider_braze_blueconic.goals import load_goals\n"
        f"assert load_goals({str(tmp_path)!r})\n"
        "loaded = set(sys.modules) - airflow_s_own\n"
        "print([m for m in ('duckdb', 'deltalake', 'pyarrow', 'aiohttp', 'boto3', 'fastapi') if m in loaded])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_a_task_starts_without_the_scheduler_s_modules_and_without_the_careful_parser(tmp_path: Path) -> None:
    sdk = importlib.import_module("airflow.sdk")
    if not hasattr(sdk, "CronTriggerTimetable"):
        pytest.skip("up to here Airflow's schedules were the scheduler's alone")
    write(tmp_path, "people")
    code = (
        "import sys\nfrom airflow_provider_braze_blueconic.goals import load_goals\n"
        f"assert load_goals({str(tmp_path)!r})\n"
        "print([m for m in ('ruamel', 'airflow.serialization.encoders') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_every_template_field_of_every_task_is_there(tmp_path: Path) -> None:
    write(tmp_path, "people")
    (tmp_path / "back.yaml").write_text(IMPORT)
    (tmp_path / "files.yaml").write_text(f"{IMPORT}deliver: {{s3_csv: s3://acme-sync/in}}\n".replace("back", "files"))

    dags = load_goals(tmp_path)

    assert len(dags) == 3
    for task in (task for dag in dags.values() for task in dag.tasks):
        given = getattr(task, "partial_kwargs", None)
        for name in task.template_fields:
            assert name in {**given, "partition": 0} if given is not None else hasattr(task, name), (task.task_id, name)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_rests_while_goals_become_dags_and_is_then_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_on: bool
) -> None:
    write(tmp_path, "people")
    seen: list[bool] = []
    monkeypatch.setattr(dag_file, "load_folder", lambda *_: seen.append(gc.isenabled()) or [])
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        load_goals(tmp_path)
        after = gc.isenabled()
        monkeypatch.setattr(dag_file, "load_folder", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load_goals(tmp_path)
        after_an_error = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()

    assert (seen, after, after_an_error) == ([False], was_on, was_on)


# A broken goal


@pytest.mark.parametrize(
    ("more", "schedule"), [("nonsense: 1\n", "0 2 * * *"), ("nonsense: 1\nenabled: false\n", None)]
)
def test_the_placeholder_of_a_broken_goal_runs_when_the_goal_would_have(
    tmp_path: Path, more: str, schedule: str | None
) -> None:
    write(tmp_path, "people", more=more)

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert dag.has_task("goal_file")
    assert dag.schedule == schedule
    assert dag.catchup is False
    if schedule:
        assert timetable_of(dag) == ("0 2 * * *", "Europe/Amsterdam")


def test_a_placeholder_of_a_goal_whose_time_zone_is_the_mistake_runs_in_utc(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(GOAL.format(id="people", more="").replace("Europe/Amsterdam", "Mars/Base"))

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert dag.has_task("goal_file")
    assert timetable_of(dag) == ("0 2 * * *", "UTC")


def test_the_second_goal_of_an_id_keeps_its_own_switch_and_zone(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", more="enabled: false\n")
    write(tmp_path, "c")

    dags = load_goals(tmp_path)

    assert dags["braze_blueconic__b__broken"].schedule is None
    assert timetable_of(dags["braze_blueconic__c__broken"]) == ("0 2 * * *", "Europe/Amsterdam")


def test_a_message_with_a_code_fence_stays_inside_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "people", more='send: "```` # a heading"\n')

    dag = load_goals(tmp_path)["braze_blueconic__people"]

    assert (dag.doc_md or "").count("`````") == 2


# What a task parses


@contextmanager
def asked_for(dag_id: str, task_id: str | None = None) -> Iterator[None]:
    """Parse as Airflow does in a task of a DAG. Its own context manager leaves its marks in the environment."""
    marks = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": task_id}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in marks.items():
            if value is not None:
                patch.setenv(name, value)
        assert (get_parsing_context().dag_id, get_parsing_context().task_id) == (dag_id, task_id)
        yield


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the goal files that were read further than their bytes, as they are."""
    names: list[str] = []
    real = loading._read_goal

    def spy(path: Path, file: str) -> Any:
        names.append(file)
        return real(path, file)

    monkeypatch.setattr(loading, "_read_goal", spy)
    return names


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    write(tmp_path, "a", id="people")
    write(tmp_path, "b", id="other", more=RECONCILE)
    write(tmp_path, "c", id="broken", more="nonsense: 1\n")
    write(tmp_path, "d", id="other", more="nonsense: 1\n")
    (tmp_path / "e e.yaml").write_text("nonsense")
    (tmp_path / ("f" * 240 + ".yaml")).write_text("nonsense")
    (tmp_path / "g.yaml").write_text(GOAL.format(id='"esc\\x61ped"', more=""))
    return tmp_path


def test_a_task_gets_the_very_dag_that_was_scheduled(crowd: Path) -> None:
    whole = load_goals(crowd)

    assert len(whole) == 8
    for dag_id, dag in whole.items():
        for task_id in [None, *dag.task_ids]:
            with asked_for(dag_id, task_id):
                own = load_goals(crowd)
            assert {name: found.task_ids for name, found in own.items()} == {dag_id: dag.task_ids}
            assert own[dag_id].dag_display_name == dag.dag_display_name


@pytest.mark.parametrize(
    ("dag_id", "task_id", "files"),
    [
        ("braze_blueconic__people", "upload", {"a.yaml", "g.yaml"}),
        ("braze_blueconic__other__reconcile", "look", {"b.yaml", "d.yaml", "g.yaml"}),
        ("braze_blueconic__broken", "goal_file", {"c.yaml", "g.yaml"}),
        ("braze_blueconic__e_e__broken", "goal_file", {"e e.yaml", "g.yaml"}),
        ("by_hand", "upload", set()),
    ],
)
def test_a_task_reads_its_own_goal_s_file_and_tells_of_no_other_s_mistakes(
    crowd: Path, parsed: list[str], caplog: pytest.LogCaptureFixture, dag_id: str, task_id: str, files: set[str]
) -> None:
    with asked_for(dag_id, task_id):
        load_goals(crowd)

    assert set(parsed) == files  # g.yaml has a backslash, with which an id can be written otherwise
    told = {record.getMessage().partition(" has ")[0] for record in caplog.records if record.levelname == "ERROR"}
    assert told == ({next(iter(files - {"g.yaml"}))} if task_id == "goal_file" else set())


def test_a_task_of_a_placeholder_that_only_the_whole_folder_shows_finds_it(crowd: Path, parsed: list[str]) -> None:
    with asked_for("braze_blueconic__d__broken", "goal_file"):
        dags = load_goals(crowd)

    assert dags["braze_blueconic__d__broken"].has_task("goal_file")
    assert len(set(parsed)) == 7


@pytest.mark.parametrize("id_", ["people2", "Xpeople", "people-2", "_people"])
def test_an_id_inside_of_another_word_is_no_reason_to_parse_a_file(tmp_path: Path, parsed: list[str], id_: str) -> None:
    write(tmp_path, "a", id="people")
    write(tmp_path, "b", id=id_, more="objectives: [people_]  # people too\n")

    with asked_for("braze_blueconic__people", "upload"):
        dags = load_goals(tmp_path)

    assert list(dags) == ["braze_blueconic__people"]
    assert parsed == ["a.yaml"]


@pytest.mark.parametrize(
    "written",
    [
        "id: people",
        "'id': 'people'",
        'id: "people"',
        "id: &me people",
        "id:\n  people",
        "id: >-\n  people",
        "id: people # x",
    ],
)
def test_a_task_finds_its_goal_in_whichever_way_its_id_is_written(
    tmp_path: Path, parsed: list[str], written: str
) -> None:
    write(tmp_path, "a", id="other")
    (tmp_path / "b.yaml").write_text(GOAL.format(id="people", more="").replace("id: people", written))

    with asked_for("braze_blueconic__people", "upload"):
        dags = load_goals(tmp_path)

    assert list(dags) == ["braze_blueconic__people"]
    assert parsed == ["b.yaml"]


def test_of_two_goals_with_one_id_a_task_gets_the_one_that_was_scheduled(tmp_path: Path) -> None:
    write(tmp_path, "b", id="people")
    (tmp_path / "a.yaml").write_text(IMPORT.replace("id: back", "id:\n  'people'"))

    with asked_for("braze_blueconic__people", "upload"):
        dags = load_goals(tmp_path)

    assert "import" in dags["braze_blueconic__people"].tags


def test_a_goal_that_has_gone_leaves_its_task_without_a_dag_and_without_others_mistakes(
    crowd: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with asked_for("braze_blueconic__gone", "upload"):
        assert load_goals(crowd) == {}

    assert not [record for record in caplog.records if record.levelname == "ERROR"]

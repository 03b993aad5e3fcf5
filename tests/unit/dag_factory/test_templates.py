"""What comes from a goal file is never rendered; what we, and authors of DAGs, write as a template is."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.dag_factory.dag import build_dag, build_reconcile_dag
from airflow_provider_braze_blueconic.dag_factory.literals import Template, literal
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator

PLANTED = ("{{1/0}}", "{%x%}", "{#1}", "{{conn.x.password}}", "{{params.dry_run}}", "{%endraw%}{{1/0}}", "x.json")
PARAMS = {"full": True, "retry_held": True, "dry_run": True, "allow_stale": True}


class _Ti:
    @staticmethod
    def xcom_pull(**_: Any) -> str:
        return "it was skipped"


class _Conn:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError("a connection was asked for")


def context(dag: DAG) -> Any:
    return {"dag": dag, "params": PARAMS, "ti": _Ti(), "conn": _Conn(), "run_id": "r-1"}


def folder(odd: str) -> str:
    return "s3://acme/" + odd.replace("#", "$")


def csv_files(odd: str) -> str:
    return f"{folder(odd)}/x*.csv".replace("%", "%%")  # alone it would begin a part of a date


def export_goal(odd: str, **more: Any) -> ExportGoal:
    return ExportGoal.model_validate(
        {
            "id": "people",
            "name": f"Fans {odd}",
            "description": odd,
            "labels": [odd],
            "staging": folder(odd),
            "source": {"segment": odd},
            "identifiers": [{"blueconic": "crm", "braze": "user_alias", "alias_label": odd}],
            "fields": [{"from": "property.x", "to": odd}, {"value": odd, "to": "told"}],
            "objectives": [odd],
            "leavers": {"set": {f"left {odd}": odd}},
            "notify": {"when": "every_run", "email": [f"{odd}@b.example"]},
            **more,
        }
    )


def goals(odd: str) -> list[DAG]:
    reconciled = export_goal(odd, reconcile={"segment": odd, "export": folder(odd)})
    files = export_goal(odd, source={"s3_csv": csv_files(odd)}, leavers="keep", objectives=[])
    imported = {
        "id": "back",
        "staging": folder(odd),
        "source": {"segment": odd, "export": folder(odd)},
        "identifiers": [{"braze": "external_id", "blueconic": "ext"}],
        "fields": [{"from": f'custom_attributes["{odd}"]', "to": "x"}],
        "domain_group": odd,
        "objectives": [odd],
    }
    delivered = {name: value for name, value in imported.items() if name not in ("domain_group", "objectives")}
    return [
        build_dag(reconciled),
        build_reconcile_dag(reconciled),
        build_dag(files),
        build_dag(ImportGoal.model_validate(imported)),
        build_dag(ImportGoal.model_validate({**delivered, "deliver": {"s3_csv": folder(odd)}})),
    ]


def rendered(task: Any, dag: DAG) -> dict[str, Any]:
    """Render the fields of a task that come from elsewhere than other tasks, with Airflow's own code."""
    from airflow.sdk.definitions.xcom_arg import XComArg

    if hasattr(task, "partial_kwargs"):
        task = task.unmap({"partition": 0})
    names = [name for name in task.template_fields if not isinstance(getattr(task, name), XComArg)]
    task._do_render_template_fields(task, names, context(dag), dag.get_template_env(), set())
    return {name: getattr(task, name) for name in names}


@pytest.mark.parametrize("odd", PLANTED)
def test_no_setting_of_a_goal_is_run_as_a_template(odd: str) -> None:
    for dag in goals(odd):
        for task in dag.tasks:
            found = rendered(task, dag)

            assert found["staging"] == folder(odd), (dag.dag_id, task.task_id)
            assert found.get("segment", odd) == odd
            assert found.get("export", folder(odd)) == folder(odd)
            assert found.get("s3_csv") in (None, csv_files(odd), folder(odd))
            asked = {name: value for name, value in found.items() if name in ("plan_only", "allow_stale", "retry_held")}
            assert set(asked.values()) <= {"True"}, (dag.dag_id, task.task_id, asked)
            assert found.get("full", True) in (True, "True")
            if "skipped" in found:
                assert found["skipped"] == "it was skipped"


@pytest.mark.parametrize("odd", PLANTED)
def test_no_mail_about_a_run_runs_what_the_goal_is_called(odd: str) -> None:
    dag = build_dag(export_goal(odd))

    for callback in (dag.on_failure_callback, dag.on_success_callback):
        callback.render_template_fields(context(dag))  # type: ignore[union-attr]
        assert callback.to == [f"{odd}@b.example"]  # type: ignore[union-attr]
        assert callback.subject.startswith(f"Fans {odd}: ")  # type: ignore[union-attr]
        assert "braze_blueconic__people, run r-1: " in callback.html_content  # type: ignore[union-attr]


def test_a_goal_without_anything_special_has_its_texts_as_they_are() -> None:
    extract = build_dag(export_goal("plain")).get_task("extract")

    assert (extract.segment, extract.staging) == ("plain", "s3://acme/plain")  # type: ignore[union-attr]


def test_a_dag_written_by_hand_keeps_its_templates() -> None:
    with DAG("by_hand", schedule=None) as dag:
        task = BlueConicSegmentToS3Operator(
            task_id="extract",
            goal_id="{{ run_id }}",
            staging="s3://b/{{ run_id }}",
            segment="{{ run_id }}",
            properties=[],
        )

    task.render_template_fields(context(dag))

    assert (task.goal_id, task.staging, task.segment) == ("r-1", "s3://b/r-1", "r-1")


@given(st.text(st.characters(codec=None)) | st.text("{}%#\"'\\\n\r -x", min_size=1))
@example("trailing line break\n")
@example('{{ "quoted\\" }} }}')
@example("{{ \ud83d }}")
@example("{{ 😀 }}\r\n")
def test_whatever_is_taken_literally_comes_back_as_it_was(text: str) -> None:
    environment = DAG("x", schedule=None).get_template_env()

    assert environment.from_string(literal(text)).render() == text
    assert environment.from_string("{{ a }} " + literal(text) + "!").render(a=1) == f"1 {text}!"


def test_lists_and_mappings_are_taken_literally_all_the_way_down() -> None:
    ours, theirs = Template("{{ run_id }}"), "{{ 1/0 }}"
    value = {"a": [theirs, (theirs, ours)], "{{ key }}": 1, "n": None, "b": True}
    with DAG("x", schedule=None) as dag:
        task = BlueConicSegmentToS3Operator(
            task_id="extract", goal_id="g", staging=literal(value), segment="s", properties=[]
        )

    task.render_template_fields(context(dag))

    assert task.staging == {"a": [theirs, (theirs, "r-1")], "{{ key }}": 1, "n": None, "b": True}  # type: ignore[comparison-overlap]

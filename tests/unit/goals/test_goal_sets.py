"""Goals of one folder that would take each other's DAGs, ledgers or files: refused, with both files named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from airflow_provider_braze_blueconic.cli.commands import main
from airflow_provider_braze_blueconic.goals import load_goals
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.loaded import LoadedGoal
from airflow_provider_braze_blueconic.goals.loading import load_folder, validate_paths

from .conftest import EXPORT, IMPORT

Write = Callable[..., Path]
RECONCILE = "reconcile: {segment: All users, export: s3://acme-braze-exports}\n"
S3 = "s3://acme"
MINE = "where runs delete files that aren't their own. Choose another folder."


def an_export(goal_id: str, staging: str = f"{S3}/sync", more: str = "") -> str:
    text = EXPORT.replace("vip_to_braze", goal_id).replace("s3://acme-sync/braze-blueconic", staging)
    return text + more


def an_import(
    goal_id: str, staging: str = f"{S3}/sync", more: str = "", export: str = "s3://acme-braze-exports"
) -> str:
    text = IMPORT.replace("test_users_to_blueconic", goal_id).replace("s3://acme-sync/braze-blueconic", staging)
    return text.replace("s3://acme-braze-exports", export) + more


def files_of(goal_id: str, pattern: str, staging: str = f"{S3}/sync") -> str:
    return an_export(goal_id, staging).replace("{segment: VIP customers}", f'{{s3_csv: "{pattern}"}}')


def mistakes(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write goal files, and check that the command says the same as what the DAGs show."""
    for name, text in files.items():
        (folder / name).write_text(text)
    found = [str(problem) for problem in validate_paths([folder])]
    shown = [str(p) for one in load_folder(folder) if not isinstance(one, LoadedGoal) for p in one.problems]
    said = CliRunner().invoke(main, ["validate", str(folder)])
    assert shown == found
    assert (said.stdout.splitlines(), said.exit_code) == (found, 1 if found else 0)
    dags = load_goals(folder)
    broken = [dag for dag in dags.values() if dag.has_task("goal_file")]
    assert len(dags) - sum(
        dag_id.endswith("__reconcile") and dag.has_task("look") for dag_id, dag in dags.items()
    ) == len(files)
    messages = "\n".join(dag.get_task("goal_file").message for dag in broken)  # type: ignore[union-attr]
    assert all(line in messages for line in found)
    return found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param(
            {"a.yaml": an_export("x", more=RECONCILE), "b.yaml": an_export("x__reconcile")},
            [
                'b.yaml:2 id: "x__reconcile" is already the id, or the name of the reconcile, of a.yaml; '
                "each goal needs its own."
            ],
            id="a goal with the name of a reconcile",
        ),
        pytest.param(
            {"a.yaml": an_import("x__reconcile"), "b.yaml": an_export("x", more=RECONCILE)},
            [
                'b.yaml:10 reconcile: needs a DAG with the id "x__reconcile", which is already used by a.yaml. '
                "Change one of the ids."
            ],
            id="a reconcile with the name of a goal",
        ),
        pytest.param(
            {"a.yaml": an_export("vips"), "b.yaml": an_import("VIPs")},
            [
                'b.yaml:2 id: "VIPs" differs from "vips" of a.yaml only by upper and lower case; each goal needs '
                "its own id."
            ],
            id="ids that differ by capitals",
        ),
        pytest.param(
            {"a.yaml": an_export("x"), "b.yaml": an_export("x", f"{S3}/elsewhere")},
            ['b.yaml:2 id: "x" is already the id of a.yaml; each goal needs its own.'],
            id="one id in two places",
        ),
        pytest.param(
            {"a.yaml": an_export("x", more=RECONCILE), "b.yaml": an_export("x", more=RECONCILE)},
            ['b.yaml:2 id: "x" is already the id of a.yaml; each goal needs its own.'],
            id="one id twice, with a reconcile each",
        ),
        pytest.param(
            {"a.yaml": "nonsense: 1\n", "a.yml": "nonsense: 1\n"},
            ["a.yml: has the same name as a.yaml, so their DAGs look alike. Rename one of them."],
            id="placeholders of one name",
        ),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_export("ledger", f"{S3}/sync/a")},
            [f"b.yaml:3 staging: {S3}/sync/a/ledger is in the folder of a.yaml, {S3}/sync/a, {MINE}"],
            id="a goal in the place of another's ledger",
        ),
        pytest.param(
            {"a.yaml": an_import("b", f"{S3}/sync/a/work/x"), "b.yaml": an_export("a")},
            [f"a.yaml:3 staging: {S3}/sync/a/work/x/b is in the folder of b.yaml, {S3}/sync/a, {MINE}"],
            id="a goal in another's work files, whichever file comes first",
        ),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_import("b", more=f"deliver: {{s3_csv: {S3}/sync/a/work/}}\n")},
            [f"b.yaml:9 deliver.s3_csv: {S3}/sync/a/work is in the folder of a.yaml, {S3}/sync/a, {MINE}"],
            id="a delivery",
        ),
        pytest.param(
            {"a.yaml": an_import("a"), "b.yaml": an_import("b", export=f"{S3}/sync/a")},
            [f"b.yaml:4 source.export: {S3}/sync/a/segment-export is in the folder of a.yaml, {S3}/sync/a, {MINE}"],
            id="Braze's exports",
        ),
        pytest.param(
            {"a.yaml": an_import("segment-export"), "b.yaml": an_import("b", export=f"{S3}/sync")},
            [
                f"b.yaml:4 source.export: {S3}/sync/segment-export is in the folder of a.yaml, "
                f"{S3}/sync/segment-export, {MINE}",
                f"a.yaml:3 staging: {S3}/sync/segment-export is where Braze writes the segment exports of b.yaml, "
                f"{S3}/sync/segment-export. Choose another folder.",
            ],
            id="a goal with the name of Braze's folder",
        ),
        pytest.param(
            {
                "a.yaml": an_export("a"),
                "b.yaml": an_export("b", more=RECONCILE.replace("acme-braze-exports", "acme/sync/a/x")),
            },
            [
                f"b.yaml:10 reconcile.export: {S3}/sync/a/x/segment-export is in the folder of a.yaml, "
                f"{S3}/sync/a, {MINE}"
            ],
            id="the segment exports of a reconcile",
        ),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": files_of("b", f"{S3}/sync/a/in/*.csv")},
            [f"b.yaml:4 source.s3_csv: {S3}/sync/a/in/*.csv is in the folder of a.yaml, {S3}/sync/a, {MINE}"],
            id="files that are read",
        ),
        pytest.param(
            {"a.yaml": an_export("a20261127"), "b.yaml": files_of("b", f"{S3}/*/a%Y%m%d/in/*.csv")},
            [
                f"b.yaml:4 source.s3_csv: {S3}/*/a%Y%m%d/in/*.csv is in the folder of a.yaml, {S3}/sync/a20261127, {MINE}"
            ],
            id="files by a pattern of folders",
        ),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_export("b", more="renamed_from: a\n")},
            [
                f"b.yaml:10 renamed_from: {S3}/sync/a is the folder of a.yaml, whose state this goal would take "
                "over. If both are the same goal, remove a.yaml."
            ],
            id="a goal that was renamed from one that lives",
        ),
        pytest.param(
            {
                "a.yaml": an_export("a", more="renamed_from: old\n"),
                "b.yaml": an_export("b", more="renamed_from: old\n"),
            },
            [
                f"b.yaml:10 renamed_from: {S3}/sync/old is in the folder that a.yaml was renamed from, {S3}/sync/old. "
                "Choose another folder."
            ],
            id="two goals that were renamed from one",
        ),
        pytest.param(
            {
                "a.yaml": an_import("a", more=f"deliver: {{s3_csv: {S3}/out}}\n"),
                "b.yaml": an_import("b", more=f"deliver: {{s3_csv: {S3}/out/}}\n"),
            },
            [
                f"b.yaml:9 deliver.s3_csv: {S3}/out is where a.yaml delivers too, but BlueConic needs the same "
                "columns in each file. Choose another folder."
            ],
            id="two deliveries to one folder",
        ),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_import("b", more=f"deliver: {{s3_csv: {S3}/sync/~observed}}\n")},
            [
                f"b.yaml:9 deliver.s3_csv: {S3}/sync/~observed is in {S3}/sync/~observed, where goals share what "
                "they read. Choose another folder."
            ],
            id="a delivery among the notes",
        ),
    ],
)
def test_goals_that_would_take_from_each_other_are_refused(
    tmp_path: Path, files: dict[str, str], found: list[str]
) -> None:
    said = mistakes(tmp_path, files)

    assert [
        line for line in said if "nonsense" not in line and "is missing" not in line and "found none" not in line
    ] == (sorted(found))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            an_import("b", more=f"deliver: {{s3_csv: {S3}/sync/b/out}}\n"),
            f"9 deliver.s3_csv: {S3}/sync/b/out is in the folder of the goal itself, {S3}/sync/b, {MINE}",
            id="delivery",
        ),
        pytest.param(
            an_import("b", export=f"{S3}/sync/b"),
            f"4 source.export: {S3}/sync/b/segment-export is in the folder of the goal itself, {S3}/sync/b, {MINE}",
            id="export",
        ),
        pytest.param(
            files_of("b", f"{S3}/sync/b/*.csv"),
            f"4 source.s3_csv: {S3}/sync/b/*.csv is in the folder of the goal itself, {S3}/sync/b, {MINE}",
            id="files",
        ),
        pytest.param(
            an_import("b", f"{S3}/x/segment-export/s1", export=f"{S3}/x"),
            f"3 staging: {S3}/x/segment-export/s1/b is where Braze writes the segment exports of the goal itself, "
            f"{S3}/x/segment-export. Choose another folder.",
            id="state among exports",
        ),
    ],
)
def test_one_goal_is_refused_for_the_same(problems: Callable[[str], list[str]], text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"a.yaml": an_export("a"), "b.yaml": an_import("b")}, id="one staging"),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_export("b", f"{S3}/sync/ab")}, id="names that begin alike"
        ),
        pytest.param({"a.yaml": an_import("a"), "b.yaml": an_import("b", f"{S3}/else")}, id="one bucket of exports"),
        pytest.param({"a.yaml": an_import("a", export=S3), "b.yaml": an_export("b")}, id="exports around the staging"),
        pytest.param({"a.yaml": an_export("a"), "b.yaml": files_of("b", f"{S3}/sync/*.csv")}, id="files beside"),
        pytest.param(
            {"a.yaml": an_export("a"), "b.yaml": an_import("b", more=f"deliver: {{s3_csv: {S3}/sync}}\n")},
            id="a delivery beside",
        ),
        pytest.param(
            {"a.yaml": an_export("x__reconcile"), "b.yaml": an_export("x")}, id="a name like a reconcile's, without one"
        ),
        pytest.param({"a.yaml": an_export("a", more="renamed_from: b\n")}, id="renamed"),
        pytest.param(
            {"a.yaml": an_export("a", more="renamed_from: b\n"), "b.yaml": an_export("b", f"{S3}/else")},
            id="the old id in another place",
        ),
    ],
)
def test_goals_that_leave_each_other_alone_are_taken(tmp_path: Path, files: dict[str, str]) -> None:
    assert mistakes(tmp_path, files) == []


def test_a_goal_whose_id_is_another_placeholder_keeps_its_dag(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("nonsense: 1\n")
    (tmp_path / "b.yaml").write_text(an_export("a__broken"))
    (tmp_path / "a.yml").write_text("nonsense: 1\n")

    dags = load_goals(tmp_path)

    assert dags["braze_blueconic__a__broken"].has_task("extract")
    assert len(dags) == 3


def test_names_of_broken_files_that_are_written_alike_have_a_dag_each(tmp_path: Path) -> None:
    names = ["a b.yaml", "a_b.yaml", "a?b.yml", "A_b.yaml"]
    for name in names:
        (tmp_path / name).write_text("nonsense: 1\n")

    dags = load_goals(tmp_path)

    assert len(dags) == len(names)


def test_a_goal_made_in_python_is_checked_too() -> None:
    with pytest.raises(ValueError, match="is in the folder of the goal itself"):
        ImportGoal.model_validate(
            {
                "id": "b",
                "staging": "s3://acme",
                "source": {"segment": "A", "export": "s3://acme-exports"},
                "identifiers": [{"braze": "external_id", "blueconic": "crm_id"}],
                "fields": [{"from": "email", "to": "email"}],
                "deliver": {"s3_csv": "s3://acme/b"},
            }
        )

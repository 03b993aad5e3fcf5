"""Whatever lies in a folder of goals, the good goals beside it become DAGs."""

from __future__ import annotations

import importlib
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_braze_blueconic.dag_factory.dag_file import load_goals
from airflow_provider_braze_blueconic.goals import loading
from airflow_provider_braze_blueconic.goals.loading import load_folder

GOOD = """\
goal: export
id: good
name: People to Braze
description: Keeps Braze current.
labels: [crm]
enabled: true
schedule: "0 2 * * *"
timezone: Asia/Tokyo
start_date: 2026-01-01
connections: {braze: braze_default}
staging: s3://acme-sync/tests
source: {segment: People, read: full}
identifiers: [{blueconic: crm_id, braze: external_id}]
fields:
  - {from: property.firstname, to: first_name}
  - {from: property.points, to: points, type: integer}
  - {value: told, to: source}
leavers: {set: {vip: false}}
objectives: [newsletter]
limits: {data_points: 5, requests_per_second: 2.5}
partitions: 8
notify: {when: failure, email: [a@b.example]}
reconcile: {segment: X, export: s3://acme-exports/b, schedule: "0 5 * * 1"}
"""

VALUES = (
    r"""
"\ud800"|"²"|"\0"|0001-01-01|9999-12-31|1969-12-31|2026-13-45|1e999|.nan|-.inf|!!binary aGVsbG8=|!foo bar|!!set {a}
&a [*a]|*b|&x {a: &y [1, 2], b: *y}|{{ conn.x.password }}|"{{ 1/0 }}"|"Fans {#1}"|{<<: {a: 1}}|[]|{}|~|true|[a, a]
"{% raw %}"|{"²": 1}|{"\ud800": x}|{[a]: b}|- x|"a\nb"|"\u2028"|"\x85"|"../../x"|"@daily"|"* * * * * *"|"0 0 31 2 *"
"1-9999999 * * * *"|"R * * * *"|"*/0 * * * *"|"0 2 * * 1#9"|"?"|Mars/Base|Europe|localtime|"right/UTC"|"."|0o777|1_000
"007"|"foo.json"|"x.md"|"fields[²]"|-5|İ|ß|12:30:45|"`````"|!!python/object/apply:os.system [x]|"|"|">"|"%"|"\t"
""".strip()
    .replace("\n", "|")
    .split("|")
)
VALUES += ["0x" + "f" * 5_000, "1" + "0" * 5_000, f'"{"x" * 5_000}"', "9" * 30, "[" * 400 + "]" * 400, "- " * 300]


def serialised(dag: DAG) -> Any:
    """Serialise a DAG as the DAG processor does, to what a database can hold."""
    module = importlib.import_module("airflow.serialization.serialized_objects")
    kind = getattr(module, "DagSerialization", module.SerializedDAG)
    document = kind.to_dict(dag)
    text = json.dumps(document, ensure_ascii=False).encode()
    assert b"\\u0000" not in text
    return kind.from_dict(json.loads(text))


def check(folder: Path) -> dict[str, DAG]:
    """Load a folder, check that the good goal is there and all can be stored, and return the others."""
    dags = load_goals(folder)
    for dag_id, dag in dags.items():
        dag.validate()
        back = serialised(dag)
        assert (dag.dag_id, back.dag_id) == (dag_id, dag_id)
        if (placeholder := "broken goal" in dag.tags) or dag_id.startswith("braze_blueconic__odd"):
            assert placeholder is ("goal_file" in dag.task_dict)
    good = [dags.pop(name) for name in ("braze_blueconic__good", "braze_blueconic__good__reconcile")]
    assert [dag.has_task("upload") for dag in good] == [True, True]
    return dags


def message(dag: DAG) -> str:
    return str(dag.get_task("goal_file").message)  # type: ignore[union-attr]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Valid goal files with one or two odd places each: values, keys, bytes."""
    rnd = random.Random(seed)
    goal = GOOD.replace("id: good", "id: odd")
    for number in range(count):
        lines = goal.splitlines()
        for _ in range(rnd.randint(1, 2)):
            at = rnd.randrange(len(lines))
            value = rnd.choice(VALUES)
            if number % 3 == 2:
                lines[at] = re.sub(r"\w+:", lambda _, value=value: f"{value}:", lines[at], count=1)
            else:
                lines[at] = re.sub(
                    r": *[^,}{\[\]]+(?=[,}\]]|$)", lambda _, value=value: f": {value}", lines[at], count=1
                )
        text = bytearray("\n".join(lines).encode())
        if number % 5 == 4:
            for _ in range(rnd.randint(1, 4)):
                text[rnd.randrange(len(text))] = rnd.randrange(256)
        if number % 7 == 6:
            start = rnd.randrange(len(text))
            del text[start : start + rnd.randint(1, 200)]
        yield bytes(text)


@pytest.mark.parametrize("seed", range(2))
def test_no_content_of_a_file_takes_the_good_goals_with_it(folder: Path, seed: int) -> None:
    contents = list(mutations(105, seed))
    for number, content in enumerate(contents):
        goal = content.replace(b"id: odd", f"id: odd{number}".encode())
        (folder / f"f{number}.yaml").write_bytes(goal)

    others = check(folder)

    # Each file has a DAG: its own, or a placeholder with a message.
    broken = [entry for entry in load_folder(folder) if isinstance(entry, loading.BrokenGoal)]
    assert len({dag_id.removesuffix("__reconcile") for dag_id in others}) == len(contents)
    placeholders = {message(dag).split(" has ")[0] for dag in others.values() if "broken goal" in dag.tags}
    assert placeholders == {entry.file for entry in broken}
    assert len(broken) > len(contents) / 2
    assert not [entry for entry in broken if "report this as a bug" in str(entry.problems)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"\xff\xfeg\0o\0", "is not UTF-8 text"),
        (b"goal: export\nname: caf\xe9\n", "odd.yaml:2: is not UTF-8 text"),
        (b"\0\0\0", "control character"),
        (b"- a\n- b\n", "expected the keys of a goal"),
        (b"just text", "expected the keys of a goal"),
        (b"a: &a [*a]\n", "is an alias for something that contains it"),
        (b"a: " + b"[" * 100_000, "nested too deeply"),
        (b"? " * 100_000, "nested too deeply"),
        (b"[" + b"a," * 100_000 + b"]", "more than 20,000 values"),
        (b"a: " + b"x" * 300_000, "more than 250,000 bytes"),
        (b"goal: export\n---\ngoal: export\n", "second document"),
        (b"a: !!binary aGk=\n", "tags are not used"),
        (b'"\xc2\xb2": 1\n', "expected"),
        (b"goal: export\nid: x\nfields[\xc2\xb2]: 1\n", "there is no such key here"),
        (b'goal: export\nname: "\\ud800"\n', "contains half a character or a NUL"),
        (b'goal: export\ndescription: "a\\0"\n', "contains half a character or a NUL"),
        (b'goal: export\n"\\ud83d": 1\n', "contains half a character or a NUL"),
        (b"goal: export\npartitions: 0x" + b"f" * 9_000, "expected a whole number"),
        (b"goal: export\npartitions: " + b"9" * 900, "expected at most 256"),
    ],
)
def test_a_file_that_is_no_goal_becomes_a_placeholder_that_says_why(folder: Path, content: bytes, said: str) -> None:
    (folder / "odd.yaml").write_bytes(content)

    (placeholder,) = check(folder).values()

    assert said in message(placeholder)
    assert "report this as a bug" not in message(placeholder)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("start_date: 0001-01-01", "expected a date between the years 1970 and 2999"),
        ("start_date: 9999-12-31", "expected a date between the years 1970 and 2999"),
        ('description: "\\ud83d"', "contains half a character"),
        ('labels: ["\\udc00"]', "contains half a character"),
        ('leavers: {set: {"\\ud800": 1}}', "contains half a character"),
    ],
)
def test_a_setting_that_airflow_can_not_store_is_refused(folder: Path, setting: str, expected: str) -> None:
    key = setting.split(":", 1)[0]
    lines = [line for line in GOOD.replace("id: good", "id: odd").splitlines() if not line.startswith(f"{key}:")]
    (folder / "odd.yaml").write_text("\n".join([*lines, setting]))

    others = check(folder)

    assert expected in message(others["braze_blueconic__odd"])


@pytest.mark.parametrize(
    "name",
    [
        "x" * 245,
        "²",
        "two words",
        "line\nbreak",
        "`quoted`",
        "{{ x }}",
        "😀",
        "good",
        "a.b",
        "-",
    ],
)
def test_any_name_of_a_broken_file_makes_a_placeholder(folder: Path, name: str) -> None:
    (folder / f"{name}.yml").write_text("nonsense")

    (placeholder,) = check(folder).values()

    assert placeholder.dag_id.endswith("__broken")


def test_a_name_that_is_no_text_makes_a_placeholder(folder: Path) -> None:
    Path(os.fsdecode(bytes(folder) + b"/\xff\xfe.yaml")).write_text("nonsense")

    (placeholder,) = check(folder).values()

    assert "\ufffd\ufffd.yaml has 1 mistake" in message(placeholder)


def test_files_whose_names_differ_in_what_an_id_can_not_hold_have_a_placeholder_each(folder: Path) -> None:
    for name in ("a b.yaml", "a_b.yaml", "a_b.yml", "a\tb.yaml"):
        (folder / name).write_text("nonsense")

    assert len(check(folder)) == 4


def test_a_broken_file_does_not_take_the_dag_of_a_goal_that_has_its_placeholder_s_id(folder: Path) -> None:
    (folder / "a.yaml").write_text("nonsense")
    (folder / "b.yaml").write_text(GOOD.replace("id: good", "id: a__broken").replace("reconcile:", "#"))

    others = check(folder)

    assert others["braze_blueconic__a__broken"].has_task("upload")
    assert "a.yaml" in message(others["braze_blueconic__a__broken_2"])


def test_a_link_that_leads_nowhere_or_to_itself_makes_a_placeholder(folder: Path) -> None:
    (folder / "gone.yaml").symlink_to(folder / "nothing")
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")

    others = check(folder)

    assert {dag_id: "can't be read" in message(dag) for dag_id, dag in others.items()} == {
        "braze_blueconic__gone__broken": True,
        "braze_blueconic__loop__broken": True,
    }


def test_a_pipe_is_not_waited_for_and_a_folder_is_no_goal_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / "folder.yaml").mkdir()

    (placeholder,) = check(folder).values()

    assert "pipe.yaml: can't be read: is not a regular file" in message(placeholder)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, RecursionError, MemoryError, UnicodeEncodeError])
def test_even_a_bug_of_ours_costs_one_goal_only(
    folder: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "odd.yaml").write_text(GOOD.replace("id: good", "id: odd"))
    real = loading.validate_goal

    def buggy(value: Any) -> Any:
        if value["id"] == "odd":
            raise error if error is not UnicodeEncodeError else UnicodeEncodeError("utf-8", "\ud800", 0, 1, "planted")
        return real(value)

    monkeypatch.setattr(loading, "validate_goal", buggy)

    (placeholder,) = check(folder).values()

    assert f"can't be checked ({error.__name__})" in message(placeholder)


def test_a_goal_of_which_airflow_can_make_no_dag_costs_nobody_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag_module = importlib.import_module("airflow_provider_braze_blueconic.dag_factory.dag")
    (folder / "odd.yaml").write_text(GOOD.replace("id: good", "id: odd"))
    real = dag_module.goal_tasks

    def buggy(goal: Any, *args: Any, **more: Any) -> None:
        if goal.id == "odd":
            raise OverflowError("planted")
        real(goal, *args, **more)

    monkeypatch.setattr(dag_module, "goal_tasks", buggy)

    (placeholder,) = check(folder).values()

    assert "Airflow can't build a DAG from it (OverflowError)" in message(placeholder)
    assert "planted" not in message(placeholder)

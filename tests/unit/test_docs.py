"""The documentation says what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from airflow_provider_braze_blueconic.cli.commands import main
from airflow_provider_braze_blueconic.dag_factory.dag import build_dag
from airflow_provider_braze_blueconic.get_provider_info import get_provider_info
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.loading import load_goal
from tests.support.reference import PACKAGE, PUBLIC_MODULES, reference_page

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
CONNECTIONS = (ROOT / "docs" / "connections.md").read_text()
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *GUIDES]
GOAL_FILES = sorted((ROOT / "dags" / "goals").glob("*.yaml"))
SHOWN_GOALS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(
        text for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL) if text.startswith("goal:")
    )
]


@pytest.mark.parametrize("text", SHOWN_GOALS)
def test_every_goal_file_that_is_shown_is_well_formed(text: str, tmp_path: Path) -> None:
    (tmp_path / "goal.yaml").write_text(text)

    assert load_goal(tmp_path / "goal.yaml").goal.id


def test_the_readme_shows_a_goal_of_each_direction(tmp_path: Path) -> None:
    texts = [text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if text.startswith("goal:")]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)

    goals = [load_goal(path).goal for path in sorted(tmp_path.glob("*.yaml"))]

    assert [(goal.goal, goal.id) for goal in goals] == [
        ("export", "vip_to_braze"),
        ("import", "test_users_to_blueconic"),
    ]


@pytest.mark.parametrize("path", GOAL_FILES, ids=lambda path: path.stem)
def test_every_example_goal_is_spoken_of(path: Path) -> None:
    assert any(path.stem in page.read_text() for page in (ROOT / "README.md", *GUIDES))


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_dag_file_is_spoken_of(path: Path) -> None:
    text = path.read_text()

    assert f"dags/{path.name}" in README or text in README


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_readme_leads_to_every_guide(page: Path) -> None:
    assert f"](docs/{page.name})" in README


def test_the_dag_file_in_the_readme_is_the_one_in_dags() -> None:
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]

    assert shown == (ROOT / "dags" / "braze_blueconic_goals.py").read_text()


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"braze-blueconic {command}" in README


@pytest.mark.parametrize("option", sorted(get_provider_info()["config"]["braze_blueconic"]["options"]))
def test_every_setting_of_the_installation_is_in_the_docs(option: str) -> None:
    assert f"`{option}`" in SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_a_part_of_a_page_find_its_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())

    missing = [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)]

    assert missing == []


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as links do: small letters, hyphens for spaces, nothing else but letters."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def settings(part: type[BaseModel], place: str = "") -> Iterator[str]:
    """Name every setting of a part of a goal, as in `fields.from`.

    A part that is always there has no name of its own; one that can be left out, repeated or be of several kinds does.
    """
    for name, field in part.model_fields.items():
        setting = f"{place}{field.alias or name}"
        parts = list(parts_of(field.annotation))
        if parts != [field.annotation]:
            yield setting
        for inner in parts:
            yield from settings(inner, f"{setting}.")


def parts_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from parts_of(argument)


def explained_settings(*headings: str) -> Counter[str]:
    """Settings that have a row in the tables below these headings of docs/recovery.md → how many rows."""
    sections = re.split(r"^#+ ", (ROOT / "docs" / "recovery.md").read_text(), flags=re.MULTILINE)
    below = [section for section in sections if section.split("\n", 1)[0] in headings]
    assert len(below) == len(headings)
    return Counter(re.findall(r"^\| `([^`]+)` \| *[^ |]", "".join(below), re.MULTILINE))


GOALS = pytest.mark.parametrize(
    ("goal", "heading"), [(ExportGoal, "Settings of an export"), (ImportGoal, "Settings of an import")]
)


@GOALS
def test_every_setting_of_a_goal_has_a_row_that_says_what_its_change_does(goal: type[BaseModel], heading: str) -> None:
    explained = explained_settings("Settings of both directions", heading)

    wanted = Counter(settings(goal))

    assert {"fields.from", "limits.clears_percent", "identifiers", "source.segment"} <= wanted.keys()
    assert sorted((wanted - explained).elements()) == []


@GOALS
def test_only_settings_of_a_goal_have_a_row_and_each_has_one(goal: type[BaseModel], heading: str) -> None:
    explained = explained_settings("Settings of both directions", heading)

    assert sorted((explained - Counter(settings(goal))).elements()) == []


def test_every_file_that_the_pages_for_developers_name_is_there() -> None:
    text = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("architecture", "promises"))
    package = ROOT / "airflow_provider_braze_blueconic"
    named = set(re.findall(r"`((?:sync|operators|triggers|hooks|goals|tests)/[\w/]+\.py)`?", text))

    missing = [name for name in named if not (package / name).exists() and not (ROOT / name).exists()]

    assert len(named) > 10
    assert missing == []


def test_every_proof_that_the_page_of_promises_names_is_marked_as_one() -> None:
    text = (ROOT / "docs" / "promises.md").read_text()
    rows = re.findall(r"^\| (\d) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    proofs = [(int(number), name) for number, cell in rows for name in re.findall(r"`(tests/[\w/]+\.py)`", cell)]

    unmarked = [proof for proof in proofs if f"pytest.mark.promise({proof[0]})" not in (ROOT / proof[1]).read_text()]

    assert {number for number, _ in proofs} == {1, 2, 3, 4, 5, 6, 7, 8}
    assert unmarked == []


def test_the_reference_page_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()

    assert page == reference_page(), "run python -m tests.support.reference docs/reference.md"


def test_every_module_that_airflow_is_told_of_is_in_the_reference() -> None:
    info = get_provider_info()
    told = {
        module
        for kind in ("hooks", "operators", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    }

    assert told <= {f"{PACKAGE}.{name}" for name in PUBLIC_MODULES}


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_the_command_line_page_shows_the_real_help(command: str) -> None:
    arguments = [*command.split(), "--help"]
    # In a process of its own: click keeps the help option as whoever asked first made it, which may be another test.
    run = f"from {PACKAGE}.cli.commands import main; main(prog_name='braze-blueconic', terminal_width=80)"

    shown = subprocess.run([sys.executable, "-c", run, *arguments], cwd=ROOT, capture_output=True, text=True)

    call = " ".join(["braze-blueconic", *arguments])
    assert shown.returncode == 0, shown.stderr
    assert f"```console\n$ {call}\n{shown.stdout}```\n" in (ROOT / "docs" / "cli.md").read_text()


def test_every_make_target_is_in_the_readme() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [target for target in targets if f"make {target}" not in README] == []


@pytest.mark.parametrize("path", GOAL_FILES, ids=lambda path: path.stem)
def test_every_param_of_the_trigger_form_is_in_the_docs(path: Path) -> None:
    dag = build_dag(load_goal(path).goal)

    assert [name for name in dag.params if f"| `{name}` |" not in SETTINGS] == []


def test_connections_in_the_docs_are_of_types_that_exist() -> None:
    shown = {name: json.loads(text) for name, text in re.findall(r"export AIRFLOW_CONN_(\w+)='(.*)'", CONNECTIONS)}

    assert {name: connection["conn_type"] for name, connection in shown.items()} == {
        "BRAZE_DEFAULT": "braze",
        "BLUECONIC_DEFAULT": "blueconic",
        "AWS_DEFAULT": "aws",
    }


@pytest.mark.parametrize(
    "places",
    [
        # In two parts, so that this file is not found.
        pytest.param(
            ("files.python" + "hosted.org", "pypi" + ".org", "deb.debian" + ".org", "registry.npm" + "js.org"),
            id="registry hosts",
        ),
        pytest.param(("/work" + "/main", "/work" + "/shared", "/tmp" + "/w/"), id="folders of one machine"),
    ],
)
def test_no_committed_text_names_places_that_others_do_not_have(places: tuple[str, ...]) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        text = path.read_bytes() if path.is_file() else b""
        found += [(name, place) for place in places if place.encode() in text]

    assert found == []

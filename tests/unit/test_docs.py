"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.cli import main
from airflow_provider_braze_blueconic.get_provider_info import get_provider_info
from airflow_provider_braze_blueconic.goals.loading import load_goal

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_goal_file_in_the_readme_is_well_formed(tmp_path: Path) -> None:
    (tmp_path / "goal.yaml").write_text(re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0])

    assert load_goal(tmp_path / "goal.yaml").goal.id == "vip_to_braze"


def test_the_dag_file_in_the_readme_is_the_one_in_dags() -> None:
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]

    assert shown == (ROOT / "dags" / "braze_blueconic_goals.py").read_text()


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"braze-blueconic {command}" in README


@pytest.mark.parametrize("option", sorted(get_provider_info()["config"]["braze_blueconic"]["options"]))
def test_every_setting_is_in_the_readme(option: str) -> None:
    assert f"`{option}`" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_file_that_the_architecture_page_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "airflow_provider_braze_blueconic"
    named = set(re.findall(r"`((?:sync|operators|hooks|goals|tests)/[\w/]+\.py)`?", text))

    missing = [name for name in named if not (package / name).exists() and not (ROOT / name).exists()]

    assert len(named) > 10
    assert missing == []


def test_no_committed_text_names_a_registry_host() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    hosts = ("files.python" + "hosted.org", "pypi" + ".org", "deb.debian" + ".org", "registry.npm" + "js.org")
    found = []
    for name in listed.stdout.split():
        text = (ROOT / name).read_bytes()
        found += [(name, host) for host in hosts if host.encode() in text]

    assert found == []

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.cli.commands import main

EXAMPLES = Path(__file__).parents[3] / "dags" / "goals"


def test_the_example_goals_are_well_formed() -> None:
    result = CliRunner().invoke(main, ["validate", str(EXAMPLES)])

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "All goal files are valid.\n"


def test_mistakes_are_lines_on_stdout_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "goal.yaml").write_text("goal: export\nid: x y\n")

    result = CliRunner().invoke(main, ["validate", str(tmp_path)])

    assert result.exit_code == 1
    assert any(line.startswith("goal.yaml:2 id: ") for line in result.stdout.splitlines())
    assert result.stderr.endswith("mistakes found.\n")


def test_mistakes_as_json_have_file_line_field_and_message(tmp_path: Path) -> None:
    path = tmp_path / "goal.yaml"
    path.write_text("goal: export\nid: x y\n")

    result = CliRunner().invoke(main, ["validate", "--json", str(path)])

    rows = json.loads(result.stdout)
    assert {"file", "line", "field", "message"} == set(rows[0])
    assert ("goal.yaml", 2, "id") in {(row["file"], row["line"], row["field"]) for row in rows}


def test_a_hint_is_on_stderr_and_the_goal_is_well_formed(tmp_path: Path) -> None:
    text = (EXAMPLES / "vip_to_braze.yaml").read_text(encoding="utf-8")
    (tmp_path / "goal.yaml").write_text(text.replace("to: profile_source", "to: birthday"), encoding="utf-8")

    result = CliRunner().invoke(main, ["validate", str(tmp_path)])

    assert (result.exit_code, result.stdout) == (0, "")
    hint, end = result.stderr.splitlines()
    assert hint.startswith("Hint: goal.yaml:")
    assert hint.endswith('"birthday" becomes a custom attribute. Did you mean "dob"?')
    assert end == "All goal files are valid."


def test_a_wrong_command_exits_with_2() -> None:
    assert CliRunner().invoke(main, ["valdate"]).exit_code == 2


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])

    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert f"braze-blueconic {command}" in result.stdout


def test_the_version_is_the_package_s() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).stdout


@pytest.mark.parametrize(("count", "said"), [(1, "1 mistake found.\n"), (2, "2 mistakes found.\n")])
def test_mistakes_are_counted_on_stderr(tmp_path: Path, count: int, said: str) -> None:
    paths = [str(tmp_path / f"absent-{number}.yaml") for number in range(count)]

    result = CliRunner().invoke(main, ["validate", *paths])

    assert (result.exit_code, result.stderr) == (1, said)
    assert len(result.stdout.splitlines()) == count


def test_no_mistakes_as_json_are_an_empty_list() -> None:
    result = CliRunner().invoke(main, ["validate", "--json", str(EXAMPLES)])

    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_a_sandbox_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "airflow_provider_braze_blueconic.sandbox.server", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name.startswith("airflow_provider_braze_blueconic.sandbox.")]:
        monkeypatch.delitem(sys.modules, name)

    result = CliRunner().invoke(main, ["sandbox"])

    assert result.exit_code == 1
    assert (
        result.stderr == "Error: The sandbox needs fastapi: pip install 'airflow-provider-braze-blueconic[sandbox]'\n"
    )


def test_a_port_that_is_taken_says_what_to_choose_instead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = [f"--{name}-port=0" for name in ("blueconic", "s3")]

        result = CliRunner().invoke(main, ["sandbox", "--profiles=1", f"--braze-port={port}", *ports])

    assert result.exit_code == 1
    assert result.stderr.endswith(". Choose other ports, or 0.\n")

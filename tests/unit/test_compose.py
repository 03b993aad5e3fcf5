"""docker-compose.yaml and the files beside it, as far as they can be read and run without a container engine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yaml"
EXAMPLE_FILE = ROOT / ".env.example"

AIRFLOW_SERVICES = ("airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
SHARED_SECRETS = (
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CELERY__BROKER_URL",
)
PUBLISHED_KEYS = {"sandbox-braze-key", "sandbox-secret", "sandbox"}  # what the sandbox accepts: constants, not secrets

# ${NAME}, ${NAME:-default}, ${NAME:?message}; not $${NAME}, which is for the shell in the container
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = YAML(typ="safe").load(COMPOSE_FILE)
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Walk to every string below a node, each with the keys that lead to it."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from texts(value, (*path, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, (*path, str(index)))
    elif isinstance(node, str):
        yield path, node


def with_defaults(text: str) -> str:
    return VARIABLE.sub(lambda match: match["text"] if match["kind"] == "-" else "from-env", text)


def validate_against_the_specification(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
    )


def test_file_follows_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema")

    result = validate_against_the_specification(COMPOSE_FILE)

    assert result.returncode == 0, result.stdout


def test_specification_refuses_a_misspelt_key(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    wrong = tmp_path / "docker-compose.yaml"
    wrong.write_text(COMPOSE_FILE.read_text().replace("    healthcheck:", "    health_check:"))

    result = validate_against_the_specification(wrong)

    assert result.returncode == 1
    assert "health_check" in result.stdout


def test_all_services_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {*AIRFLOW_SERVICES, "postgres", "redis", "sandbox"}


@pytest.mark.parametrize("secret", SHARED_SECRETS)
def test_every_airflow_service_has_the_same_secret(services: dict[str, Any], secret: str) -> None:
    values = {services[name]["environment"][secret] for name in AIRFLOW_SERVICES}

    assert len(values) == 1
    assert VARIABLE.search(values.pop())


def test_every_airflow_service_has_the_same_connections(services: dict[str, Any]) -> None:
    for name in ("AIRFLOW_CONN_BRAZE_DEFAULT", "AIRFLOW_CONN_BLUECONIC_DEFAULT", "AIRFLOW_CONN_AWS_DEFAULT"):
        assert len({services[service]["environment"][name] for service in AIRFLOW_SERVICES}) == 1


def test_sandbox_and_redis_see_no_airflow_secret(services: dict[str, Any]) -> None:
    for name in ("sandbox", "redis"):
        assert not [key for key in services[name].get("environment", {}) if key.startswith("AIRFLOW")]


def test_database_and_broker_get_the_password_that_airflow_uses(services: dict[str, Any]) -> None:
    airflow = services["worker"]["environment"]

    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] in airflow["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] in airflow["AIRFLOW__CELERY__RESULT_BACKEND"]
    assert services["redis"]["command"][-1] in airflow["AIRFLOW__CELERY__BROKER_URL"]
    assert services["redis"]["command"][-1] == services["redis"]["environment"]["REDISCLI_AUTH"]


@pytest.mark.parametrize(
    "key",
    [
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "AIRFLOW__CELERY__BROKER_URL",
    ],
)
def test_every_address_names_a_service_of_the_file(services: dict[str, Any], key: str) -> None:
    address = with_defaults(services["worker"]["environment"][key])

    assert urlsplit(address).hostname in services


def test_every_service_that_goes_on_has_a_health_check(services: dict[str, Any]) -> None:
    without = [name for name, service in services.items() if "healthcheck" not in service]

    assert without == ["airflow-init"]
    assert services["airflow-init"]["restart"] == "no"


def test_every_dependency_can_be_waited_for(services: dict[str, Any]) -> None:
    waits = [
        (target, wait["condition"])
        for service in services.values()
        for target, wait in service.get("depends_on", {}).items()
    ]

    assert waits
    for target, condition in waits:
        if target == "airflow-init":
            assert condition == "service_completed_successfully"
        else:
            assert condition == "service_healthy"
            assert services[target]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_everything_that_runs_airflow_waits_for_the_migration(services: dict[str, Any]) -> None:
    for name in set(AIRFLOW_SERVICES) - {"airflow-init"}:
        assert "airflow-init" in services[name]["depends_on"], name


def test_worker_can_be_scaled(services: dict[str, Any]) -> None:
    worker = services["worker"]

    assert not {"container_name", "hostname", "ports"} & set(worker)
    assert worker["command"] == "celery worker"
    assert worker["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert not [name for name, service in services.items() if "container_name" in service]


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert len(ports) == 4
    for port in ports:
        assert port.startswith("127.0.0.1:")


def test_dags_are_mounted_read_only(services: dict[str, Any]) -> None:
    for name in AIRFLOW_SERVICES:
        assert "./dags:/opt/airflow/dags:ro" in services[name]["volumes"], name


def test_named_volumes_are_declared(compose: dict[str, Any], services: dict[str, Any]) -> None:
    sources = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}

    assert {source for source in sources if not source.startswith(".")} == set(compose["volumes"])


def test_no_secret_stands_in_the_file(services: dict[str, Any]) -> None:
    found = []
    for path, text in texts(services):
        if re.search(r"KEY|SECRET|PASSWORD|AUTH$", path[-1]):
            found.append(text)
        if path[-1].startswith("AIRFLOW_CONN_"):
            found.append(json.loads(text)["password"])
        if "://" in text and (match := re.search(r"://[^/@\s]*:(?P<password>[^/\s]+)@", text)):
            found.append(match["password"])
    found.extend(services["redis"]["command"][-1:])

    assert len(found) > 20
    for text in found:
        assert VARIABLE.fullmatch(text) or text in PUBLISHED_KEYS, f"{len(text)} characters of secret are written out"


def test_every_variable_is_explained_in_the_example() -> None:
    variables = {match["name"]: match["kind"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text())}
    example = EXAMPLE_FILE.read_text()
    to_fill = set(re.findall(r"^(\w+)=", example, flags=re.MULTILINE))
    optional = set(re.findall(r"^# (\w+)=", example, flags=re.MULTILINE))

    assert to_fill == {name for name, kind in variables.items() if kind != "-"}
    assert optional == {name for name, kind in variables.items() if kind == "-"}


def test_what_has_no_default_stops_compose_when_it_is_missing_or_empty() -> None:
    kinds = {match["kind"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text())}

    assert kinds == {"-", "?"}


def test_defaults_in_the_example_are_those_of_the_file() -> None:
    defaults = {
        match["name"]: match["text"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text()) if match["kind"] == "-"
    }

    assert dict(re.findall(r"^# (\w+)=(.*)$", EXAMPLE_FILE.read_text(), flags=re.MULTILINE)) == defaults


def test_example_holds_no_value() -> None:
    assert set(re.findall(r"^\w+=(.*)$", EXAMPLE_FILE.read_text(), flags=re.MULTILINE)) == {""}


def test_line_in_the_example_makes_every_secret_anew(tmp_path: Path) -> None:
    fernet = pytest.importorskip("cryptography.fernet")
    line = next(text for text in EXAMPLE_FILE.read_text().splitlines() if text.startswith("#   (umask"))
    required = {match["name"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text()) if match["kind"] == "?"}

    made = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        subprocess.run(["sh", "-c", line.removeprefix("#").strip()], cwd=folder, check=True)
        assert (folder / ".env").stat().st_mode & 0o077 == 0
        made.append(dict(text.split("=", 1) for text in (folder / ".env").read_text().splitlines()))

    first, second = made
    assert set(first) == required
    assert not set(first.values()) & set(second.values())
    fernet.Fernet(first.pop("FERNET_KEY"))
    assert len(set(first.values())) == len(first)
    for name, value in first.items():
        assert re.fullmatch(r"[0-9a-f]{64}", value), name


def test_airflow_options_exist() -> None:
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    known = YAML(typ="safe").load(folder / "config_templates" / "config.yml")
    names = set(re.findall(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+):", COMPOSE_FILE.read_text()))

    ours = {(section.lower(), option.lower()) for section, option in names if section != "CELERY"}  # another provider's

    assert len(ours) == 10
    assert not {f"[{section}] {option}" for section, option in ours if option not in known[section]["options"]}


def test_one_service_builds_the_image_that_all_use(services: dict[str, Any]) -> None:
    building = [name for name, service in services.items() if "build" in service]
    using = [services[name] for name in (*AIRFLOW_SERVICES, "sandbox")]

    assert building == ["airflow-init"]
    assert len({service["image"] for service in using}) == 1
    assert {service.get("pull_policy") for service in using if "build" not in service} == {"never"}


def test_image_gets_what_it_copies_and_nothing_else(services: dict[str, Any]) -> None:
    dockerfile = services["airflow-init"]["build"]["dockerfile_inline"]
    copied = {
        source
        for line in re.findall(r"^COPY --chown=\S+ (.*) \S+$", dockerfile, re.MULTILINE)
        for source in line.split()
    }
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule.strip("!/") for rule in rules if rule.startswith("!")} == copied
    for source in copied:
        assert (ROOT / source).exists(), source


def test_what_the_image_has_keeps_its_version_and_the_rest_is_pinned(services: dict[str, Any], tmp_path: Path) -> None:
    """Runs the shell lines of the Dockerfile, with a pip that only writes down what it is told."""
    run = services["airflow-init"]["build"]["dockerfile_inline"].partition("RUN ")[2]
    work = tmp_path / "tmp"
    (work / "package" / "constraints").mkdir(parents=True)
    (work / "package" / "constraints" / "airflow-3.3.txt").write_text(
        "# made by a resolver\n"
        "click==9.9 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via airflow\n"
        "flask-login==9.9\n"
        "asyncclick==1.2\n"
        "moto[server]==5.2.5 \\\n    --hash=sha256:22\n"
        "deltalake==1.6.6 ; python_version >= '3.11' \\\n    --hash=sha256:33\n"
    )
    pip = tmp_path / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = list ]; then printf "click==8.5\\nFlask_Login==0.6\\n"; exit; fi\n'
        f'cp "{work}/image.txt" "{work}/pins.txt" "{tmp_path}"; echo "$@" > "{tmp_path}/arguments"\n'
    )
    pip.chmod(0o755)

    subprocess.run(
        ["bash", "-euc", run.replace("$$", "$").replace("/tmp/", f"{work}/")],
        env={"PATH": f"{pip.parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )

    pins = [line.strip() for line in (tmp_path / "pins.txt").read_text().splitlines()]
    assert pins == ["asyncclick==1.2", "moto==5.2.5", "deltalake==1.6.6 ; python_version >= '3.11'"]
    assert (tmp_path / "image.txt").read_text() == "click==8.5\nFlask_Login==0.6\n"
    assert (tmp_path / "arguments").read_text().split() == [
        "install",
        "--no-cache-dir",
        "--constraint",
        f"{work}/image.txt",
        "--constraint",
        f"{work}/pins.txt",
        f"{work}/package[sandbox]",
    ]
    assert not list(work.iterdir())


def test_connections_open_the_sandbox(services: dict[str, Any]) -> None:
    blueconic = pytest.importorskip("airflow_provider_braze_blueconic.sandbox.blueconic.keys")
    braze = pytest.importorskip("airflow_provider_braze_blueconic.sandbox.braze.keys")
    ports = dict(re.findall(r"--(\w+)-port=(\d+)", " ".join(services["sandbox"]["command"])))
    environment = services["worker"]["environment"]

    connections = {
        name: json.loads(environment[f"AIRFLOW_CONN_{name}_DEFAULT"]) for name in ("BRAZE", "BLUECONIC", "AWS")
    }

    assert connections["BRAZE"] == {
        "conn_type": "braze",
        "host": f"http://sandbox:{ports['braze']}",
        "password": braze.API_KEY,
    }
    assert connections["BLUECONIC"] == {
        "conn_type": "blueconic",
        "host": f"http://sandbox:{ports['blueconic']}",
        "login": blueconic.CLIENT_ID,
        "password": blueconic.CLIENT_SECRET,
    }
    assert connections["AWS"]["conn_type"] == "aws"
    assert connections["AWS"]["extra"]["endpoint_url"] == f"http://sandbox:{ports['s3']}"


def test_sandbox_is_published_on_the_ports_that_it_listens_to(services: dict[str, Any]) -> None:
    listening = set(re.findall(r"--\w+-port=(\d+)", " ".join(services["sandbox"]["command"])))

    assert {port.rpartition(":")[2] for port in services["sandbox"]["ports"]} == listening
    assert "--host=0.0.0.0" in services["sandbox"]["command"]


def test_sandbox_is_healthy_only_when_the_bucket_of_the_examples_is_there(services: dict[str, Any]) -> None:
    s3 = pytest.importorskip("airflow_provider_braze_blueconic.sandbox.s3.buckets")

    check = services["sandbox"]["healthcheck"]["test"][1]

    assert f"http://localhost:9000/{s3.BUCKETS[0]};" in check
    assert s3.BUCKETS[0] == "sandbox-sync"


def test_command_line_takes_the_sandbox_command(services: dict[str, Any]) -> None:
    cli = pytest.importorskip("airflow_provider_braze_blueconic.cli.commands")
    name, *arguments = [with_defaults(text) for text in services["sandbox"]["command"]]

    parent = cli.main.make_context("braze-blueconic", [name])
    context = cli.main.commands[name].make_context(name, arguments, parent=parent)

    assert context.params["host"] == "0.0.0.0"
    assert context.params["profiles"] == 20_000


def test_guide_names_every_service_and_every_variable_that_is_needed() -> None:
    guide = (ROOT / "docs" / "compose.md").read_text()
    services = YAML(typ="safe").load(COMPOSE_FILE)["services"]

    assert not [name for name in services if f"`{name}`" not in guide]
    assert ".env.example" in guide
    assert "--scale worker=" in guide

"""Which way imports point, and what a DAG file does not have to wait for."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_braze_blueconic
from tests.support.rooms import rooms, with_rooms

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_braze_blueconic"
MODULES = [
    name
    for _, name, is_package in pkgutil.walk_packages(airflow_provider_braze_blueconic.__path__, f"{PACKAGE}.")
    if not is_package
]
HEAVY = ("aiohttp", "boto3", "deltalake", "duckdb", "fastapi", "moto", "pyarrow")

BLOCKING = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in blocked or name.startswith(tuple(f"{entry}." for entry in blocked)):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
for module in modules:
    importlib.import_module(module)
print("imported", len(modules))
"""


def python(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.strip().splitlines()[-1]


def test_the_rooms_have_no_circle_and_are_those_that_the_page_shows() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()

    assert len(rooms()) > 20
    assert with_rooms(page) == page, "run python -m tests.support.rooms docs/architecture.md"


def test_the_command_line_starts_without_airflow() -> None:
    said = python(f"modules = ['{PACKAGE}.cli.commands']\nblocked = ['airflow', 'fastapi', 'moto']\n{BLOCKING}")

    assert said == "imported 1"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=lambda path: path.name)
def test_a_dag_file_parses_without_a_heavy_library(path: Path) -> None:
    # What Airflow loads by itself to make a DAG does not count; its 3.0 loads aiohttp and fastapi.
    code = (
        "import runpy, sys\n"
        "from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator, Param\n"
        "with DAG('empty'):\n    BaseOperator(task_id='nothing')\n"
        "before = set(sys.modules)\n"
        f"found = runpy.run_path({str(path)!r})\n"
        "made = [value for value in found.values() if isinstance(value, (DAG, BaseOperator))]\n"
        f"print(bool(made), [name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    )

    assert python(code) == "True []"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_says_what_it_offers(name: str) -> None:
    module = importlib.import_module(name)

    offered = list(module.__all__)

    # Constants, then classes, then functions, as ruff sorts them.
    assert offered == sorted(offered, key=lambda entry: (_kind(entry), entry))
    assert [entry for entry in offered if not hasattr(module, entry)] == []


def _kind(name: str) -> int:
    if name.isupper():
        return 0
    return 1 if name[:1].isupper() else 2

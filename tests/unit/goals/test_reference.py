from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from airflow_provider_braze_blueconic.goals import models
from airflow_provider_braze_blueconic.goals.document import read_document
from airflow_provider_braze_blueconic.goals.loading import load_goal
from airflow_provider_braze_blueconic.goals.reference import reference_page
from airflow_provider_braze_blueconic.goals.schema import SCHEMA_FILE, goal_schema

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "goal-file.md"
EXAMPLES = [
    text
    for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    if text.startswith("goal:")
]


def test_published_schema_is_that_of_the_models() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == goal_schema()


def test_reference_page_is_that_of_the_models() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert reference_page(page) == page


@pytest.mark.parametrize("text", EXAMPLES, ids=["export", "import"])
def test_examples_of_the_page_load_and_fit_the_schema(text: str, tmp_path: Path) -> None:
    path = tmp_path / "goal.yaml"
    path.write_text(text)

    assert load_goal(path).goal.id
    assert _schema_errors(text) == []


def test_example_goal_fits_the_schema() -> None:
    assert _schema_errors((ROOT / "dags" / "goals" / "vip_to_braze.yaml").read_text()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("goal: export\n", ""),
        ("id: vip_to_braze", "id: vip to braze"),
        ("read: full", "read: ful"),
        ("when_missing: keep", "when_mising: keep"),
        ("{value: blueconic, ", "{value: blueconic, from: segments, "),
        ("s3://acme-sync", "acme-sync"),
    ],
)
def test_schema_finds_what_an_editor_can_know(old: str, new: str) -> None:
    text = EXAMPLES[0]
    assert old in text

    assert _schema_errors(text.replace(old, new, 1))


def test_every_field_has_a_description() -> None:
    parts = [part for part in vars(models).values() if isinstance(part, type) and issubclass(part, BaseModel)]

    missing = [
        f"{part.__name__}.{name}" for part in parts for name, info in part.model_fields.items() if not info.description
    ]

    assert missing == []


def test_page_that_lost_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lost the marks"):
        reference_page("# Goal files\n")


def _schema_errors(text: str) -> list[str]:
    schema: dict[str, Any] = goal_schema()
    Draft202012Validator.check_schema(schema)
    value = read_document(text, file="goal.yaml").value
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]

"""The JSON Schema of goal files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from airflow_provider_braze_blueconic.goals.models import Goal

__all__ = ["SCHEMA_FILE", "goal_schema", "schema_text", "write_schema"]

SCHEMA_FILE = Path(__file__).with_name("goal.schema.json")
"""The published schema, for editors."""


def goal_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of one goal file."""
    schema = TypeAdapter(Goal).json_schema(by_alias=True)
    for name in ("ExportGoal", "ImportGoal"):
        definition = schema["$defs"][name]
        definition["required"] = ["goal", *definition["required"]]
        definition["properties"] = {"goal": definition["properties"]["goal"], **definition["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Goal of airflow-provider-braze-blueconic",
        **schema,
    }


def schema_text() -> str:
    """Give the text of the published schema."""
    return json.dumps(goal_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema again."""
    path.write_text(schema_text(), encoding="utf-8")

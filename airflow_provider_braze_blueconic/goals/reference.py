"""The generated part of the reference page of goal files.

``python -m airflow_provider_braze_blueconic.goals.reference docs/goal-file.md`` rewrites it, with the JSON Schema;
tests compare what is there with what it would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.goals.schema import goal_schema, write_schema

__all__ = ["reference_page", "reference_tables"]

_COMMAND = "python -m airflow_provider_braze_blueconic.goals.reference docs/goal-file.md"
_BEGIN = f"<!-- begin of the generated part: {_COMMAND} -->"
_END = "<!-- end of the generated part -->"

_Schema = Mapping[str, Any]
_TYPE_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "null": "nothing",
}


def reference_tables() -> str:
    """Write a table for each part of a goal: field, type, default, meaning."""
    definitions: _Schema = goal_schema()["$defs"]
    lines: list[str] = []
    for root, title in (("ExportGoal", "Export goal"), ("ImportGoal", "Import goal")):
        for name in _parts(root, definitions):
            heading = title if name == root else _title(name)
            if f"### {heading}" in lines:
                continue
            lines += [f"### {heading}", "", definitions[name].get("description", ""), ""]
            lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
            lines += [
                _row(field, schema, definitions[name]) for field, schema in definitions[name]["properties"].items()
            ]
            lines.append("")
    return "\n".join(lines)


def reference_page(page: str) -> str:
    """Put the tables into the page, between its two marks.

    :raises ValueError: if the page doesn't hold the marks.
    """
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the page has lost the marks of its generated part")
    return f"{head}{_BEGIN}\n\n{reference_tables()}\n{_END}{tail}"


def _parts(root: str, definitions: _Schema) -> list[str]:
    """List a model and all models below it, parents first, in the order of their fields."""
    found = [root]
    for name in found:
        found += [part for part in dict.fromkeys(_references(definitions[name]["properties"])) if part not in found]
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.rpartition("/")[2]
            elif key != "default":
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _row(field: str, schema: _Schema, owner: _Schema) -> str:
    default = "required" if field in owner.get("required", ()) else _default(schema.get("default"))
    cells = [f"`{field}`", _type(schema), default, schema["description"]]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(value: object) -> str:
    if value is None or value in ({}, [], ""):
        return ""
    if isinstance(value, dict):
        return "see there"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _type(schema: _Schema) -> str:  # noqa: PLR0911 - one return for each form of a schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{_title(name).lower()}](#{_title(name).lower().replace(' ', '-')})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_type(member) for member in schema[union] if member != {"type": "null"}))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        return f"keys with {_type(schema['additionalProperties'])}"
    if schema.get("format") == "date":
        return "date"
    return _TYPE_WORDS[schema["type"]] + _range(schema)


def _range(schema: _Schema) -> str:
    lowest, above, highest = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    words = []
    if lowest is not None:
        words.append(f"from {lowest:g}")
    if above is not None:
        words.append(f"above {above:g}")
    if highest is not None:
        words.append(f"to {highest:,g}")
    return f", {' '.join(words)}" if words else ""


def _title(name: str) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return words[0].upper() + words[1:]


def main(arguments: Sequence[str]) -> int:
    """Write the schema, and the pages that are named."""
    write_schema()
    for name in arguments:
        page = Path(name)
        page.write_text(reference_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

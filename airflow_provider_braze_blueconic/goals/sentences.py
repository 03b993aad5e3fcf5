"""Pydantic's errors in a goal, as our own messages."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.findings import Finding, join_path
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.shown_values import shown
from airflow_provider_braze_blueconic.near_names import nearest

__all__ = ["DIRECTIONS", "findings_of"]

DIRECTIONS: Mapping[str, type[ExportGoal] | type[ImportGoal]] = {"export": ExportGoal, "import": ImportGoal}
_LISTED_KEYS = 8


def findings_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Finding]:
    """Give what is wrong with the values of a model, each with its place."""
    for details in error.errors(include_url=False):
        if details["type"] == "too_short" and details["input"]:
            continue  # each entry has a mistake of its own, so none of them was counted
        path = join_path(part for part in details["loc"] if not str(part).startswith("~"))
        inner = details.get("ctx", {}).get("findings")
        if inner is not None:
            yield from (finding.below(path) for finding in inner)
        else:
            yield Finding(path, _sentence(details, model))


def _sentence(details: ErrorDetails, model: type[BaseModel]) -> str:
    owner = _model_at(model, details["loc"][:-1])
    if details["type"] == "missing":
        return _missing(details, owner)
    if details["type"] == "extra_forbidden":
        return _unknown(details, owner)
    word = _WORDS.get(details["type"])
    if word is not None:
        return word(details)
    return f"this can't be read; found {shown(details['input'])}."


_Word = Callable[[ErrorDetails], str]


def _expected(what: str) -> _Word:
    def word(details: ErrorDetails) -> str:
        found = details["input"]
        hint = ""
        if what == "text" and isinstance(found, bool | int | float):
            hint = " Put it in quotes."
        if what in ("a whole number", "a number") and isinstance(found, str) and re.fullmatch(r"[0-9_.,]+", found):
            hint = " Write it as plain digits, without quotes."
        return f"expected {what}; found {shown(found)}.{hint}"

    return word


def _missing(details: ErrorDetails, owner: type[BaseModel] | None) -> str:
    name = str(details["loc"][-1])
    described = next((f.description for key, f in _keys(owner).items() if key == name), None) if owner else None
    return f"is missing. {_first_sentence(described)}" if described else "is missing."


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", text.replace("`", '"'), maxsplit=1)[0]


def _unknown(details: ErrorDetails, owner: type[BaseModel] | None) -> str:
    keys = list(_keys(owner)) if owner else []
    key = str(details["loc"][-1])
    for direction, other in DIRECTIONS.items():
        if owner in DIRECTIONS.values() and key in _keys(other):
            return f"is possible only in an {direction} goal."
    near = nearest(key, keys)
    if not near and len(keys) <= _LISTED_KEYS:
        near = f" Possible: {', '.join(keys)}."
    return f"there is no such key here.{near}"


def _closed_set(details: ErrorDetails) -> str:
    words = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    found = details["input"]
    near = nearest(found, words) if isinstance(found, str) else ""
    expected = " or ".join(f'"{word}"' for word in words) if len(words) < 3 else f"one of {', '.join(words)}"
    return f"expected {expected}; found {shown(found)}.{near}"


def _bound(relation: str, key: str) -> _Word:
    def word(details: ErrorDetails) -> str:
        limit = details.get("ctx", {}).get(key)
        limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return f"expected {relation} {limit:,}; found {shown(details['input'])}."

    return word


def _own(details: ErrorDetails) -> str:
    found = details["input"]
    text = str(details.get("ctx", {}).get("error", ""))
    if text.startswith("expected") and "; found" not in text and isinstance(found, str | int | float):
        head, dot, near = text.partition(". Nearest")
        return f"{head.rstrip('.')}; found {shown(found)}.{' Nearest' + near if dot else ''}"
    return text


_WORDS: Mapping[str, _Word] = {
    "literal_error": _closed_set,
    "value_error": _own,
    "string_type": _expected("text"),
    "int_type": _expected("a whole number"),
    "int_from_float": _expected("a whole number"),
    "float_type": _expected("a number"),
    "finite_number": _expected("a number that JSON can hold"),
    "bool_type": _expected("true or false"),
    "tuple_type": _expected("a list"),
    "dict_type": _expected("keys with values"),
    "model_type": _expected("keys with values"),
    "model_attributes_type": _expected("keys with values"),
    "date_type": _expected("a date, such as 2026-11-30"),
    "too_short": lambda _: "is empty; expected at least one entry.",
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than_equal": _bound("at most", "le"),
}


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _model_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Find the model that stands at a path of pydantic's, whose parts with ``~`` name a member of a union."""
    here: Any = model
    for part in path:
        here = _bare(here)
        if isinstance(part, int):
            here = get_args(here)[0] if get_origin(here) is tuple else None
        elif part.startswith("~"):
            here = next((member for member in get_args(here) if Tag(part) in get_args(member)[1:]), None)
        elif isinstance(here, type) and issubclass(here, BaseModel):
            info = _keys(here).get(part)
            here = info.annotation if info else None
        else:
            return None
    here = _bare(here)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """Take off ``Annotated`` and ``| None``."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation

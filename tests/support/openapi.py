"""Check real requests and answers against the vendors' API definitions.

The definitions lie beside the repository (``../shared/specs``) and never enter it.
Where they are wrong or older than the vendor's docs, :data:`CORRECTIONS` says so, one row a slip; everything else is
taken at its word. An object with declared properties is closed: a name that the definition does not know is a fault.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

__all__ = [
    "CORRECTIONS",
    "ContractError",
    "Vendor",
    "is_described",
    "needs_specs",
    "validate_request",
    "validate_response",
]

Vendor = Literal["braze", "blueconic"]

_FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "specs"
_FILES: Mapping[Vendor, str] = {"braze": "braze-openapi-spec.json", "blueconic": "blueconic-openapi.json"}
_BASES: Mapping[Vendor, str] = {"braze": "", "blueconic": "/rest/v2"}
_BASE_URI = "urn:definition"

needs_specs = pytest.mark.skipif(
    not all((_FOLDER / name).is_file() for name in _FILES.values()),
    reason="the vendors' definitions are not there (../shared/specs beside the repository)",
)
"""Marks a test that cannot run without the definitions."""


class ContractError(AssertionError):
    """A request or an answer differs from the definition; the message lists every difference."""


@dataclass(frozen=True)
class Correction:
    """A slip of a definition.

    :param place: JSON pointer into the definition, as its parts.
    :param value: what stands there instead.
    """

    vendor: Vendor
    place: tuple[str, ...]
    value: Any
    reason: str


def _schema(vendor: Vendor, name: str, *more: str) -> tuple[str, ...]:
    return ("components", "schemas", name, *more)


_TEXT = {"type": "string"}
_DECLARED_ERROR = {"$ref": "#/components/responses/BadRequest"}

CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "blueconic",
        _schema("blueconic", "link", "properties"),
        {"href": _TEXT, "rel": _TEXT, "type": _TEXT},
        "the schema says Href, Rel, Type; its own examples are in lower case",
    ),
    Correction(
        "blueconic",
        _schema("blueconic", "dialogue", "properties", "variants"),
        {"type": "array", "items": {"$ref": "#/components/schemas/VariantBean"}},
        "the schema says one object, the example shows a list",
    ),
    Correction(
        "blueconic",
        ("paths", "/segments/{segment}/profiles", "get", "responses", "403"),
        {},
        "a missing scope is 403 elsewhere in the definition; here it is left out",
    ),
    Correction(
        "blueconic",
        ("paths", "/segments", "get", "responses", "403"),
        {},
        "the same",
    ),
    Correction(
        "blueconic",
        ("paths", "/segments/{segment}/profiles", "get", "responses", "429"),
        {},
        "too many concurrent requests, declared for the bulk writes only",
    ),
    Correction(
        "braze",
        _schema("braze", "Error", "properties", "errors", "items"),
        {
            "type": "object",
            "properties": {
                "index": {"type": "integer", "minimum": 0},
                "input_array": {"enum": ["attributes", "events", "purchases"]},
                "type": _TEXT,
            },
            "required": ["index", "input_array", "type"],
        },
        "the community definition says texts; measured answers hold objects with these three keys",
    ),
    Correction(
        "braze",
        ("paths", "/users/track", "post", "responses", "413"),
        _DECLARED_ERROR,
        "the docs (User data, API limits) answer a body above 4 MB so; the definition leaves it out",
    ),
    Correction(
        "braze",
        ("paths", "/users/track", "post", "responses", "415"),
        _DECLARED_ERROR,
        "the docs (API errors) answer a wrong content type so; the definition leaves it out",
    ),
)


def is_described(vendor: Vendor, method: str, url: str) -> bool:
    """Tell whether the definition has the operation at all."""
    return _operation(vendor, method, url) is not None


def validate_request(
    vendor: Vendor, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
) -> None:
    """Check a request: parameters by name and type, content type, body.

    :param url: absolute, or path and query; BlueConic's with ``/rest/v2``.
    :raises ContractError: with every difference.
    """
    operation = _described(vendor, method, url)
    faults = _parameter_faults(vendor, operation, url)
    declared = operation.get("requestBody")
    if declared is None:
        faults += [f"body: none is declared, {len(body)} bytes were sent"] if body else []
    elif not body:
        faults += ["body: it is required"] if declared.get("required") else []
    else:
        faults += _body_faults(vendor, declared["content"], headers, body)
    _raise(vendor, method, url, faults)


def validate_response(
    vendor: Vendor, method: str, url: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Check an answer: its status is declared, its content type too, and its body fits.

    :raises ContractError: with every difference.
    """
    operation = _described(vendor, method, url)
    declared = _resolve(vendor, operation["responses"].get(str(status)))
    faults: list[str] = []
    if declared is None:
        faults.append(f"status {status} is not declared")
    elif declared.get("content"):
        faults += _body_faults(vendor, declared["content"], headers, body)
    _raise(vendor, method, url, faults)


def _raise(vendor: Vendor, method: str, url: str, faults: Sequence[str]) -> None:
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ContractError(f"{vendor}: {method} {urlsplit(url).path} differs from the definition:\n{lines}")


@lru_cache
def _definition(vendor: Vendor) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads((_FOLDER / _FILES[vendor]).read_text(encoding="utf-8"))
    for correction in CORRECTIONS:
        if correction.vendor == vendor:
            *parents, last = correction.place
            place = definition
            for part in parents:
                place = place[part]
            if place.get(last) == correction.value:
                raise AssertionError(f"the definition says this by now, remove the correction: {correction.reason}")
            place[last] = copy.deepcopy(correction.value)
    _close(definition["components"].get("schemas", {}))
    return definition


def _close(schemas: Any) -> None:
    """Forbid undeclared properties wherever some are declared."""
    if isinstance(schemas, list):
        for each in schemas:
            _close(each)
    elif isinstance(schemas, dict):
        if isinstance(schemas.get("properties"), dict) and schemas.get("type") == "object":
            schemas.setdefault("additionalProperties", False)
        for each in schemas.values():
            _close(each)


def _described(vendor: Vendor, method: str, url: str) -> dict[str, Any]:
    operation = _operation(vendor, method, url)
    if operation is None:
        raise ContractError(f"{vendor}: {method} {urlsplit(url).path} is not in the definition")
    return operation


def _operation(vendor: Vendor, method: str, url: str) -> dict[str, Any] | None:
    path = urlsplit(url).path
    base = _BASES[vendor]
    if not path.startswith(base):
        return None
    path = path.removeprefix(base)
    # A literal path wins over a template that fits as well.
    for template, item in sorted(_definition(vendor)["paths"].items(), key=lambda each: each[0].count("{")):
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            found: dict[str, Any] | None = item.get(method.lower())
            return found
    return None


def _resolve(vendor: Vendor, node: Any) -> Any:
    if isinstance(node, dict) and "$ref" in node:
        found: Any = _definition(vendor)
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found
    return node


def _parameter_faults(vendor: Vendor, operation: Mapping[str, Any], url: str) -> list[str]:
    declared = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    given = parse_qs(urlsplit(url).query, keep_blank_values=True)
    faults = [f"query: {name} is not declared" for name in given if name not in declared]
    for name, parameter in declared.items():
        texts = given.get(name)
        if texts is None:
            faults += [f"query: {name} is required"] if parameter.get("required") else []
            continue
        schema = _resolve(vendor, parameter["schema"])
        if schema.get("type") != "array" and len(texts) > 1:
            faults.append(f"query: {name} is given {len(texts)} times, it is not repeatable")
        value = _typed(texts, schema)
        faults += [f"query: {name}: {fault}" for fault in _faults(vendor, _only_shape(parameter["schema"]), value)]
    return faults


def _only_shape(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Drop an ``enum`` that lists single values beside ``type: array``: it belongs to the items, which repeat it."""
    return {name: each for name, each in schema.items() if not (name == "enum" and schema.get("type") == "array")}


def _typed(texts: Sequence[str], schema: Mapping[str, Any]) -> Any:
    """Read the texts of a query parameter as the JSON value that its schema speaks of."""
    kind = schema.get("type")
    if kind == "array":
        return list(texts)
    if kind in {"integer", "boolean", "object"}:
        try:
            return json.loads(texts[0])
        except ValueError:
            return texts[0]
    return texts[0]


def _body_faults(vendor: Vendor, content: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> list[str]:
    lower = {name.lower(): text for name, text in headers.items()}
    kind = lower.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in content:
        return [f"content type is {kind!r}, declared are {', '.join(content)}"]
    if lower.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    value: Any
    if kind == "application/x-www-form-urlencoded":
        value = {name: texts[0] for name, texts in parse_qs(body.decode()).items()}
    else:
        try:
            value = json.loads(body)
        except ValueError:
            return ["the body is not valid JSON"]
    return _faults(vendor, content[kind]["schema"], value)


@lru_cache
def _registry(vendor: Vendor) -> Registry[Any]:
    registry: Registry[Any] = Registry()
    return registry.with_resource(_BASE_URI, DRAFT202012.create_resource(_definition(vendor)))


def _faults(vendor: Vendor, schema: Any, value: Any) -> list[str]:
    absolute = json.loads(json.dumps(schema).replace('"#/', f'"{_BASE_URI}#/'))
    validator = jsonschema.Draft202012Validator(absolute, registry=_registry(vendor), format_checker=_FORMATS)
    return [
        f"{'.'.join(str(part) for part in error.absolute_path) or 'body'}: {error.message[:300]}"
        for error in validator.iter_errors(value)
    ]


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("int32")
def _is_int32(value: Any) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31

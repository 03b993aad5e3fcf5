"""Which property takes which field of an export.

The rows of the goal say so; the remaining fields get what has their name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.sync.blueconic.values import (
    NUMBER_TYPES,
    property_type_of,
)
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.import_rows import ImportField, RemainingFields

__all__ = ["ResolvedFields", "resolve_fields"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
"""What a property id can't hold: BlueConic, letters, digits, ``-`` and ``_``, read 2026-11."""
_DATETIME = "DATETIME"


@dataclass(frozen=True)
class ResolvedFields:
    """Every property that a run writes.

    :param targets: the goal's rows first, then the remaining fields in order of their names.
    :param new_properties: property id → ``{"name", "filter_type"}`` of those that BlueConic does not have yet.
    :param left_out: remaining fields that no property takes: source → why, as a sentence.
    """

    targets: tuple[ImportTarget, ...]
    new_properties: Mapping[str, Mapping[str, str]]
    left_out: Mapping[str, str]


def resolve_fields(
    fields: Sequence[ImportField],
    remaining: RemainingFields | None,
    *,
    found: Mapping[str, Sequence[str]],
    property_types: Mapping[str, str],
    written_by: Mapping[str, str] | None = None,
    finds_people: Collection[str] = (),
) -> ResolvedFields:
    """Settle which property takes which field.

    :param remaining: what to do with the fields that no row names; ``None`` leaves them out.
    :param found: path of each field that the export holds and no row names → kinds of its values.
    :param property_types: BlueConic's properties: id → ``filterType``.
    :param written_by: attributes that export goals write → the goal. They came from BlueConic, so they are no remaining
        field; a row of its own can still bring one.
    :param finds_people: properties of the identifier links: another value there would make people somebody else.
    :raises GoalError: two fields would go to one property, or nothing can be added to a property.
    """
    problems = [problem for number, field in enumerate(fields) for problem in _faults(number, field, property_types)]
    targets = [ImportTarget(f.to, f.from_, f.merge, f.of, _type_of(f, property_types), f.date_format) for f in fields]
    if remaining is None:
        rest = _Remaining([], {}, {}, [])
    else:
        reasons = {field.to: "has its own row." for field in fields}
        reasons = dict.fromkeys(finds_people, "is an identifier.") | reasons
        rest = _find_properties(remaining, found, property_types, written_by or {}, taken=reasons)
    if problems or rest.problems:
        raise GoalError([*problems, *rest.problems])
    return ResolvedFields((*targets, *rest.targets), rest.new_properties, rest.left_out)


@dataclass(frozen=True)
class _Remaining:
    """What became of the remaining fields; see :class:`ResolvedFields`."""

    targets: list[ImportTarget]
    new_properties: dict[str, Mapping[str, str]]
    left_out: dict[str, str]
    problems: list[Problem]


def _find_properties(
    remaining: RemainingFields,
    found: Mapping[str, Sequence[str]],
    property_types: Mapping[str, str],
    written_by: Mapping[str, str],
    *,
    taken: Mapping[str, str],
) -> _Remaining:
    """Find a property for each remaining field.

    :param taken: properties that none of them gets → why, as the end of a sentence.
    """
    rest = _Remaining([], {}, {}, [])
    owners: dict[str, str] = {}
    for source in sorted(found):
        name = _own_name(source)
        target = remaining.prefix + _UNSAFE.sub("_", name)
        if name in written_by:
            rest.left_out[source] = f'it comes from BlueConic: the goal "{written_by[name]}" writes it.'
        elif target in taken:
            rest.left_out[source] = f'"{target}" {taken[target]}'
        elif target in owners:
            rest.problems.append(_collision(owners[target], source, target))
        elif target not in property_types and not remaining.create_properties:
            rest.left_out[source] = f'BlueConic has no property "{target}", and "create_properties" is off.'
        else:
            owners[target] = source
            filter_type = property_types.get(target) or _new_type(source, found[source])
            if target not in property_types:
                rest.new_properties[target] = {"name": f"Braze {name}", "filter_type": filter_type}
            rest.targets.append(ImportTarget(target, source, remaining.merge, None, filter_type))
    return rest


def _type_of(field: ImportField, property_types: Mapping[str, str]) -> str:
    # A delivery by file does not always know the types; whoever says how dates are written wants one of dates.
    return property_types.get(field.to, "" if field.date_format is None else _DATETIME)


def _faults(number: int, field: ImportField, property_types: Mapping[str, str]) -> list[Problem]:
    if property_types and field.to not in property_types:
        near = nearest(field.to, property_types)
        return [Problem(f"fields[{number}].to", f'BlueConic has no property "{field.to}".{near}')]
    kind = property_types.get(field.to)
    if field.merge == "sum" and kind is not None and kind not in NUMBER_TYPES:
        message = (
            f'"sum" needs a number, decimal or currency property; "{field.to}" is of type {kind} in BlueConic. '
            "Use another property, or another merge."
        )
        return [Problem(f"fields[{number}].merge", message)]
    if field.date_format is not None and kind not in (None, _DATETIME):
        message = (
            f'"date_format" needs a property of dates and times; "{field.to}" is of type {kind} in BlueConic. '
            'Use another property, or leave "date_format" out.'
        )
        return [Problem(f"fields[{number}].date_format", message)]
    return []


def _collision(first: str, second: str, target: str) -> Problem:
    message = (
        f'the Braze fields "{first}" and "{second}" would both go to the property "{target}", since a property id has '
        'only letters, digits, "_" and "-". Give one of them a row of its own in "fields", or name it in "exclude".'
    )
    return Problem("remaining_fields", message)


def _own_name(source: str) -> str:
    """Return a field's own name: of a custom attribute that of the attribute."""
    path = parse_path(source)
    return path.attribute if path.attribute is not None else path.field


def _new_type(source: str, kinds: Sequence[str]) -> str:
    return "EMAIL" if source == "email" else property_type_of(frozenset(kinds))

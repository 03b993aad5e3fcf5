"""What an import goal asks of the pipeline: what to export from Braze, how to map it, what BlueConic is asked.

Made of the goal's models, of the properties that BlueConic has, and, for the remaining fields, of what was found in
the export.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.sync.blueconic_values import (
    NUMBER_TYPES,
    Merge,
    blueconic_rule,
    property_type_of,
)
from airflow_provider_braze_blueconic.sync.braze_paths import alias_path, parse_path
from airflow_provider_braze_blueconic.sync.columns import property_column, source_column
from airflow_provider_braze_blueconic.sync.database import quote
from airflow_provider_braze_blueconic.sync.delta import DeltaPlan, SendPolicy
from airflow_provider_braze_blueconic.sync.emails import address_sql
from airflow_provider_braze_blueconic.sync.mapping import IdentifierLink, MappedField, MappingPlan, Matching, MatchLink
from airflow_provider_braze_blueconic.sync.near_names import nearest
from airflow_provider_braze_blueconic.sync.observations import Observation, Route
from airflow_provider_braze_blueconic.sync.times import TimeReading
from airflow_provider_braze_blueconic.sync.values import ValueRule

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.models import ImportField, ImportIdentifier, RemainingFields

__all__ = [
    "ImportTarget",
    "ResolvedFields",
    "export_sources",
    "import_delta_plan",
    "import_mapping_plan",
    "import_policy",
    "imported_pairs",
    "imported_routes",
    "link_source",
    "observed_profiles",
    "read_targets",
    "resolve_fields",
    "unmapped_links",
]

_EXTERNAL_ID = "external_id"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
"""What a property id can't hold: BlueConic, letters, digits, ``-`` and ``_``, read 2026-11."""
_DATETIME = "DATETIME"
_SCALARS = ("string", "integer", "float", "time", "boolean")


@dataclass(frozen=True)
class ImportTarget:
    """One property that the import writes.

    :param target: property id.
    :param source: path into the exported user.
    :param merge: how the value meets what the property holds.
    :param of: for ``sum``: ``value`` or ``increase``.
    :param filter_type: BlueConic's type of the property.
    :param date_format: how the field writes its dates, as ``strptime`` has it; ``None`` where the value itself tells.
    """

    target: str
    source: str
    merge: Merge
    of: str | None
    filter_type: str
    date_format: str | None = None

    @property
    def rule(self) -> ValueRule:
        """How Braze's values are written."""
        reading = TimeReading(date_format=self.date_format)
        is_ordered = parse_path(self.source).is_ordered
        return blueconic_rule(self.filter_type, self.merge, reading=reading, is_ordered=is_ordered)

    @property
    def stored_rule(self) -> ValueRule:
        """How BlueConic's own values are written, in the same form."""
        is_ordered = parse_path(self.source).is_ordered
        return blueconic_rule(self.filter_type, self.merge, is_ordered=is_ordered, is_stored=True)

    def as_row(self) -> dict[str, Any]:
        """Return the row of ``fields.json``, which the later steps read."""
        return {
            "target": self.target,
            "source": self.source,
            "merge": self.merge,
            "of": self.of,
            "filter_type": self.filter_type,
            "date_format": self.date_format,
        }


def read_targets(rows: Sequence[Mapping[str, Any]]) -> list[ImportTarget]:
    """Read the rows of ``fields.json``."""
    return [
        ImportTarget(
            row["target"],
            row["source"],
            cast("Merge", row["merge"]),
            row["of"],
            row["filter_type"],
            row.get("date_format"),  # a row of an older version has none
        )
        for row in rows
    ]


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


def link_source(link: ImportIdentifier) -> str:
    """Return the path of an identifier link into the exported user."""
    if link.braze == "user_alias":
        return alias_path(link.alias_label or "")
    return link.braze


def export_sources(identifiers: Sequence[ImportIdentifier], fields: Sequence[ImportField]) -> dict[str, str]:
    """Name what the export has to hold, and where in the goal each is named first.

    The external id comes along always: by it an export goal knows again whom this read has met.
    """
    needed: dict[str, str] = {}
    for number, link in enumerate(identifiers):
        needed.setdefault(link_source(link), f"identifiers[{number}].braze")
    for number, field in enumerate(fields):
        needed.setdefault(field.from_, f"fields[{number}].from")
    needed.setdefault(_EXTERNAL_ID, "")
    return needed


def unmapped_links(
    identifiers: Sequence[ImportIdentifier], fields: Sequence[ImportField], remaining: RemainingFields
) -> list[str]:
    """Name the fields that the export has for finding people alone: they are remaining fields like any other.

    The external id is among them, since it is always exported. A part of a field is not: one of several aliases, or a
    key of a nested attribute.
    """
    taken = {parse_path(source).owner for source in [*(field.from_ for field in fields), *remaining.exclude]}
    unmapped: dict[tuple[str, str | None], str] = {}
    for path in map(parse_path, [_EXTERNAL_ID, *map(link_source, identifiers)]):
        if path.is_whole and path.owner not in taken:
            unmapped.setdefault(path.owner, path.text)
    return list(unmapped.values())


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
    new_properties: dict[str, Mapping[str, str]] = {}
    left_out: dict[str, str] = {}
    owners: dict[str, str] = {}
    written = {field.to for field in fields}
    for source in sorted(found) if remaining is not None else ():
        assert remaining is not None  # noqa: S101  for the type checker
        name = _own_name(source)
        target = remaining.prefix + _UNSAFE.sub("_", name)
        if name in (written_by or {}):
            left_out[source] = f'it comes from BlueConic: the goal "{(written_by or {})[name]}" writes it.'
        elif target in written:
            left_out[source] = f'"{target}" is written by a row of its own.'
        elif target in finds_people:
            left_out[source] = f'"{target}" is what people are found by.'
        elif target in owners:
            problems.append(_collision(owners[target], source, target))
        elif target not in property_types and not remaining.create_properties:
            left_out[source] = f'BlueConic has no property "{target}", and "create_properties" is off.'
        else:
            owners[target] = source
            filter_type = property_types.get(target) or _new_type(source, found[source])
            if target not in property_types:
                new_properties[target] = {"name": f"Braze {name}", "filter_type": filter_type}
            targets.append(ImportTarget(target, source, remaining.merge, None, filter_type))
    if problems:
        raise GoalError(problems)
    return ResolvedFields(tuple(targets), new_properties, left_out)


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


def import_mapping_plan(
    identifiers: Sequence[ImportIdentifier],
    targets: Sequence[ImportTarget],
    *,
    match_all: bool,
    property_types: Mapping[str, str],
    partitions: int,
) -> MappingPlan:
    """Plan the mapping of an import goal.

    The person of a row is the Braze user, known by the id that Braze gave and never changes: by an address or a number
    that changes, a counter would be added up anew.
    """
    return MappingPlan(
        identifiers=(IdentifierLink("profile_id", '{"braze_id":', "}", is_list=False),),
        fields=tuple(
            MappedField(
                target.target,
                quote(source_column(target.source)),
                rule=target.rule,
                clearable=target.merge == "set_or_clear",
            )
            for target in targets
        ),
        clear_missing=True,
        objectives=(),
        partitions=partitions,
        matching=Matching(
            tuple(
                MatchLink(
                    quote(source_column(link_source(link))),
                    link.blueconic,
                    normal=_EMAIL_OR_NULL if property_types.get(link.blueconic) == "EMAIL" else "{v}",
                )
                for link in identifiers
            ),
            every=match_all,
        ),
    )


_EMAIL_OR_NULL = f"CASE WHEN {address_sql('{v}')} THEN {{v}} END"


def import_delta_plan(
    targets: Sequence[ImportTarget],
    *,
    partitions: int,
    as_of: dt.datetime,
    send: SendPolicy,
    complete: bool,
    allow_stale: bool,
    policy: str,
    max_attempts: int | None = None,
    retry_held: bool = False,
) -> DeltaPlan:
    """Plan the delta of an import goal.

    Leavers are never acted upon: what a segment of Braze says of people is not undone by their leaving it.

    :param policy: see :func:`import_policy`.
    :param max_attempts: after how many refusals of the same values a person rests; ``None`` tries everybody.
    :param retry_held: also try who was refused with the same values before.
    """
    return DeltaPlan(
        targets=tuple(target.target for target in targets),
        billable=frozenset(),
        documents=frozenset(),
        partitions=partitions,
        as_of=as_of,
        send=send,
        complete=complete,
        allow_stale=allow_stale,
        merges={target.target: target.merge for target in targets},
        increases=frozenset(target.target for target in targets if target.of == "increase"),
        sources={target.target: target.source for target in targets if target.filter_type in NUMBER_TYPES},
        holds_back=not retry_held,
        max_attempts=None if retry_held else max_attempts,
        policy=policy,
    )


def import_policy(settings: Mapping[str, object]) -> str:
    """Fingerprint of what decides whether BlueConic takes a record: a changed one makes a held record worth a try."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def imported_pairs(targets: Sequence[ImportTarget]) -> dict[str, tuple[str, str]]:
    """Say which properties take a Braze field as it is: target → (the field's name in an export goal, property)."""
    pairs = {}
    for target in targets:
        path = parse_path(target.source)
        is_alike = path.attribute is not None or path.kind in _SCALARS
        if target.merge in ("set", "set_or_clear") and path.is_whole and is_alike:
            pairs[target.target] = (path.attribute or path.field, target.target)
    return pairs


def imported_routes(targets: Sequence[ImportTarget]) -> dict[str, Route]:
    """Say which properties take a whole Braze field in whatever form: target → how it is brought over.

    Whoever takes values from a list means them, also where they came from there.
    """
    routes = {}
    for target in targets:
        path = parse_path(target.source)
        if path.is_whole and target.merge != "remove":
            field = MappedField(target.target, rule=target.rule)
            routes[target.target] = Route(path.attribute or path.field, target.target, field)
    return routes


def observed_profiles(
    identifiers: Sequence[ImportIdentifier],
    targets: Sequence[ImportTarget],
    property_types: Mapping[str, str],
    observation: Observation,
    *,
    sums: bool = False,
) -> list[MappingPlan]:
    """Read what an export goal saw of BlueConic: the properties that this goal writes, found again by each link.

    A profile that two links name is found by either of them; to know somebody again by a link is only certain where
    one is enough for the target too.

    :param sums: also look where only numbers are added to: of these a read does not tell what to add, but whether they
        came from there.
    """
    there = set(observation.columns)
    fields = tuple(
        MappedField(
            target.target,
            quote(property_column(target.target)),
            rule=target.stored_rule,
        )
        for target in targets
        if target.target in there and target.merge != "sum"
    )
    if not fields and not (sums and any(target.target in there for target in targets)):
        return []
    plans = []
    for link in identifiers:
        if link.blueconic not in there:
            continue
        before = f'{{"id":{json.dumps(link.blueconic)},"value":'
        normal = _EMAIL_OR_NULL if property_types.get(link.blueconic) == "EMAIL" else "{v}"
        plans.append(
            MappingPlan(
                identifiers=(IdentifierLink(quote(property_column(link.blueconic)), before, "}", normal=normal),),
                fields=fields,
                clear_missing=True,
                objectives=(),
                partitions=1,
            )
        )
    return plans

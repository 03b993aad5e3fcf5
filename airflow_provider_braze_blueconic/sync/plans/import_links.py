"""How an import goal finds people: its links, which the segment export must contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.values.emails import address_sql
from airflow_provider_braze_blueconic.vendors.braze_paths import alias_path, parse_path

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier, RemainingFields

__all__ = ["export_sources", "link_form", "link_source", "unmapped_links"]

_EXTERNAL_ID = "external_id"


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


def link_form(link: ImportIdentifier, property_types: Mapping[str, str]) -> str:
    """SQL with ``{v}`` for a value in the form of the property that people are found by; NULL where it can't be one."""
    return _EMAIL_OR_NULL if property_types.get(link.blueconic) == "EMAIL" else "{v}"


_EMAIL_OR_NULL = f"CASE WHEN {address_sql('{v}')} THEN {{v}} END"

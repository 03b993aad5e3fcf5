"""What an import goal syncs to BlueConic unchanged: its part in an echo."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_braze_blueconic.sync.mapping.plan import (
    MappedField,
)
from airflow_provider_braze_blueconic.sync.observations.observation import Route
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["imported_pairs", "imported_routes"]

_SCALARS = ("string", "integer", "float", "time", "boolean")


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

"""The plans of an export goal: how to map the segment, what to compare, what Braze bills.

Made of the goal's models and of the properties that BlueConic has.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan, SendPolicy
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.plans.export_fields import fixed_value, mapped_field, withheld_from
from airflow_provider_braze_blueconic.sync.plans.export_links import identifier_link, links_fingerprint
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    is_billable,
    is_clearable,
)

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier

__all__ = ["delta_plan", "mapping_plan", "warning_sources"]


def mapping_plan(
    identifiers: Sequence[ExportIdentifier],
    fields: Sequence[ExportField],
    *,
    property_types: Mapping[str, str],
    clear_missing: bool,
    objectives: Sequence[str],
    partitions: int,
) -> MappingPlan:
    """Plan the mapping of an export goal.

    :param property_types: property id → BlueConic's ``filterType``.
    """
    return MappingPlan(
        identifiers=tuple(identifier_link(link) for link in identifiers),
        fields=tuple(mapped_field(field, property_types) for field in fields),
        clear_missing=clear_missing,
        objectives=tuple(objectives),
        partitions=partitions,
    )


def delta_plan(
    fields: Sequence[ExportField],
    *,
    partitions: int,
    as_of: dt.datetime,
    send: SendPolicy,
    leavers: str | Mapping[str, object],
    complete: bool,
    allow_stale: bool,
    max_attempts: int | None = None,
    identifiers: Sequence[ExportIdentifier] = (),
    allow_creation: bool = False,
) -> DeltaPlan:
    """Plan the delta of an export goal.

    :param leavers: ``keep``, ``clear_fields``, or target → value.
    :param max_attempts: after how many refusals of the same values a person rests; ``None`` tries everybody.
    :param identifiers: links by which people are known.
    :param allow_creation: Braze is asked to create whom it does not know.
    """
    targets = tuple(field.to for field in fields)
    written: Mapping[str, str] | None
    if isinstance(leavers, Mapping):
        types = {field.to: field.type for field in fields}
        written = {target: fixed_value(target, value, types.get(target)) for target, value in leavers.items()}
    elif leavers == "clear_fields":
        written = dict.fromkeys(filter(is_clearable, targets), CLEAR)
    else:
        written = None
    every = (*targets, *(written or {}))
    withheld = {target: beginnings for target in every if (beginnings := withheld_from(target))}
    return DeltaPlan(
        targets=targets,
        billable=frozenset(target for target in every if is_billable(target)),
        documents=frozenset(field.to for field in fields if field.type == "object"),
        partitions=partitions,
        as_of=as_of,
        send=send,
        leavers=written,
        withheld=withheld,
        complete=complete,
        allow_stale=allow_stale,
        max_attempts=max_attempts,
        creates=allow_creation,
        links=links_fingerprint(identifiers) if identifiers else None,
    )


def warning_sources(plan: MappingPlan) -> dict[str, str]:
    """Say where each target's rule comes from, for the report."""
    return {field.target: field.rule.source for field in plan.fields if field.rule is not None}

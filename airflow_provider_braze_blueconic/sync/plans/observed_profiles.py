"""What an import goal uses from BlueConic profiles that were read: the properties that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import property_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.matching import condition_edges
from airflow_provider_braze_blueconic.sync.mapping.plan import (
    IdentifierLink,
    MappedField,
    MappingPlan,
)
from airflow_provider_braze_blueconic.sync.observations.observation import Observation
from airflow_provider_braze_blueconic.sync.plans.import_links import link_form
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.import_rows import ImportIdentifier

__all__ = ["observed_profiles"]


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
        before, after = condition_edges(link.blueconic)
        normal = link_form(link, property_types)
        plans.append(
            MappingPlan(
                identifiers=(IdentifierLink(quote(property_column(link.blueconic)), before, after, normal=normal),),
                fields=fields,
                clear_missing=True,
                objectives=(),
                partitions=1,
            )
        )
    return plans

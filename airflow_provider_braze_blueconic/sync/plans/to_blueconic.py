"""The plans of an import goal: how to map the segment export, what to compare, what to send to BlueConic.

Made of the goal's models, of the properties that BlueConic has, and, for the remaining fields, of what was found in
the export.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.blueconic.values import (
    NUMBER_TYPES,
)
from airflow_provider_braze_blueconic.sync.braze.identifiers import identifier_edges
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan, SendPolicy
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.plan import (
    IdentifierLink,
    MappedField,
    MappingPlan,
    Matching,
    MatchLink,
)
from airflow_provider_braze_blueconic.sync.plans.import_links import link_form, link_source
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.import_rows import ImportIdentifier

__all__ = ["import_delta_plan", "import_mapping_plan", "import_policy"]


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
        identifiers=(IdentifierLink("profile_id", *identifier_edges("braze_id"), is_list=False),),
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
                    normal=link_form(link, property_types),
                )
                for link in identifiers
            ),
            every=match_all,
        ),
    )


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
        finds_by_matching=True,
    )


def import_policy(settings: Mapping[str, object]) -> str:
    """Fingerprint of what decides whether BlueConic takes a record: a changed one makes a held record worth a try."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]

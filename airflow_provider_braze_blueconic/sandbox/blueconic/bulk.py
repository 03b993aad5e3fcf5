"""BlueConic's bulk write: what ``PUT /profiles`` does with each of its entries.

From the definition, read 2026-11. It gives the states but not in which order the reasons are looked at when several
apply; here it is skipped, not found, restriction, consent, rights (UNVERIFIED).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import Entry, read_entries
from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_writer import Writer
from airflow_provider_braze_blueconic.sandbox.blueconic.property_values import SUM_STRATEGIES, VALUE_STRATEGIES
from airflow_provider_braze_blueconic.sandbox.blueconic.settings import BlueConicSettings
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.faults import Fault

__all__ = ["BulkAnswer", "write_profiles"]


@dataclass(frozen=True)
class BulkAnswer:
    """What is answered.

    :param results: as the API shows them.
    :param too_many: there were more entries than are processed, so the answer is 413.
    """

    results: Sequence[Mapping[str, Any]] = field(repr=False)
    too_many: bool


def write_profiles(
    state: BlueConicState,
    document: Any,
    *,
    objectives: Collection[str],
    settings: BlueConicSettings,
    at_most: int | None = None,
    fault: Fault | None = None,
) -> BulkAnswer:
    """Apply the entries of one request, in their order.

    :param document: the JSON of the body.
    :param objectives: ids of the query parameter ``objectiveIds``; empty for no check of consent.
    :param at_most: a fault: only so many entries are applied before the connection breaks.
    :param fault: one of the kind ``entry_state``.
    :raises RequestRefused: when the answer is 400; nothing is applied then.
    """
    sums = SUM_STRATEGIES if settings.sum_strategy == "both" else (settings.sum_strategy,)
    too_many = isinstance(document, list) and len(document) > settings.bulk_entries
    with state.lock:
        state.bulk.requests += 1
        entries = read_entries(
            document[: settings.bulk_entries] if too_many else document,
            unique={each["id"] for each in state.properties.values() if each["indexed"]},
            strategies=(*VALUE_STRATEGIES, *(SUM_STRATEGIES if settings.unknown_sum == "ignored" else sums)),
        )
        writer = Writer(state, objectives, settings, sums)
        results: list[dict[str, Any]] = []
        for position, entry in enumerate(entries[:at_most]):
            instead = _state_instead(fault, entry, position, len(entries))
            written = writer.write(entry) if instead is None else [writer.pass_over(entry, instead)]
            if not entry.names() & set(settings.unanswered):
                results += written
        if settings.shuffle_results:
            results = _shuffle(results, seed=state.bulk.requests)
    return BulkAnswer(results, too_many=too_many)


def _state_instead(fault: Fault | None, entry: Entry, position: int, entries: int) -> str | None:
    """Return the state with which a fault answers an entry: evenly spread ones, and those that it means by name."""
    if fault is None:
        return None
    chosen = round(entries * fault.entry_share)
    is_chosen = (position + 1) * chosen // entries > position * chosen // entries
    return fault.state if is_chosen or entry.names() & set(fault.identifiers) else None


def _shuffle(results: list[dict[str, Any]], *, seed: int) -> list[dict[str, Any]]:
    shuffled = random.Random(f"results:{seed}").sample(results, len(results))
    return shuffled if shuffled != results else shuffled[::-1]

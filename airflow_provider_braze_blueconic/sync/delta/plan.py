"""What the delta needs to know of a goal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from airflow_provider_braze_blueconic.sync.blueconic.values import Merge
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.state.settings import (
    creation_setting,
    merge_settings,
    source_settings,
    target_settings,
)

__all__ = ["DeltaPlan", "SendPolicy"]

SendPolicy = Literal["changed_fields", "whole_profile"]


@dataclass(frozen=True)
class DeltaPlan:
    """Everything that the delta needs to know of a goal.

    :param targets: target fields in the mapped snapshot.
    :param billable: those among all targets whose writing costs a data point.
    :param documents: targets that hold nested objects, billed by their inner keys.
    :param partitions: number of partitions of the ledger.
    :param as_of: version of the snapshot; a leaver's row is as old as the read that missed it.
    :param send: only changed fields, or all fields of a person with any change.
    :param leavers: target → JSON text to write for people who left; ``None`` leaves them alone.
    :param withheld: target → how the identifiers begin of people who never get it, also when they left.
    :param complete: the snapshot is known to hold every member, so that absence means departure.
    :param allow_stale: rows older than what the ledger already knows are sent all the same.
    :param merges: target → how its value meets what the target holds, where that is not simply replacing it.
    :param increases: those among the sums that send what the counter grew by, and not its value.
    :param sources: target → where its value comes from, of numbers: a counter that takes the place of another is no
        growth of it.
    :param missing: so many members of the segment the read may not have brought. Nobody can tell them from people who
        left, so as many of those who seem to have left stay on the list.
    :param creates: the target is asked to create whom it does not know; ``False`` where it drops them in silence, and
        ``None`` where it tells.
    :param target: id of the connection by which the target is reached; ``None`` if there is none.
    :param holds_back: a record that the target could not take rests until something of it changes.
    :param max_attempts: after so many attempts with the same values a refused record rests until they change; ``None``
        tries everybody again, also whom a value did not stick to.
    :param policy: fingerprint of what else decides whether the target takes a record.
    :param links: fingerprint of the links by which people are known; ``None`` if nobody ever leaves.
    :param confirms: the read tells of everybody, changed or not, so that older data are stale for all; a file of
        changes tells only of those in it.
    :param finds_by_matching: the target finds people by their ``matching``, and not by their identifier.
    """

    targets: tuple[str, ...]
    billable: frozenset[str]
    documents: frozenset[str]
    partitions: int
    as_of: dt.datetime
    send: SendPolicy = "changed_fields"
    leavers: Mapping[str, str] | None = None
    withheld: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complete: bool = False
    allow_stale: bool = False
    merges: Mapping[str, Merge] = field(default_factory=dict)
    increases: frozenset[str] = frozenset()
    sources: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    creates: bool | None = None
    target: str | None = None
    holds_back: bool = False
    max_attempts: int | None = None
    policy: str = ""
    links: int | None = None
    confirms: bool = True
    finds_by_matching: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Field columns of the mapped snapshot."""
        return tuple(field_column(target) for target in self.targets)

    @cached_property
    def to_leavers(self) -> dict[str, str]:
        """Field column → JSON text to write for people who left."""
        return {field_column(target): text for target, text in (self.leavers or {}).items()}

    @cached_property
    def all_columns(self) -> tuple[str, ...]:
        """Field columns of the delta: of the mapped snapshot, and what only leavers get."""
        return tuple(dict.fromkeys([*self.columns, *self.to_leavers]))

    def merge(self, target: str) -> Merge:
        """How a target's value meets what is there."""
        return self.merges.get(target, "set")

    def settings(self, newest: dt.datetime | None) -> dict[str, int]:
        """What the ledger remembers of how values were sent: name → number.

        :param newest: version of the newest data that was committed. Of stale data nothing is sent, so how they would
            be sent says nothing of the target.
        """
        if self.is_stale(newest):
            return {}
        return {
            **merge_settings(self.merges),
            **source_settings(self.sources),
            **creation_setting(self.creates),
            **target_settings(self.target, imports=self.creates is None),
        }

    def is_stale(self, newest: dt.datetime | None) -> bool:
        """Tell whether the data are older for everybody than the newest that was committed, so that nothing is sent.

        :param newest: version of that; ``None`` before the first commit.
        """
        return self.confirms and not self.allow_stale and newest is not None and self.as_of < newest

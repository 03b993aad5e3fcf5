"""Nights of a goal that maps only whom it does not recognise, beside the same nights of one that maps everybody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.steps.compute_delta import compute_staged_delta, counts_of
from airflow_provider_braze_blueconic.sync.steps.map_fields import map_staged_snapshot
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, SnapshotRef
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.values.texts import string_rule
from tests.support.core import (
    EXTERNAL_ID,
    day,
    engine,
    mapping,
    person,
    read_rows,
    write_receipts,
    write_snapshot_file,
)
from tests.support.staging import LocalStaging

TIER = MappedField("tier", "property_tier", rule=string_rule(source="test", longest=6))
CITY = MappedField("city", "property_city", rule=string_rule(source="test", longest=6))
EMAIL = IdentifierLink("property_email", '{"email":', "}")
PARTITIONS = 2


@dataclass
class Goal:
    """A goal whose nights are played one after the other.

    :param recognises: whether it maps only whom it does not recognise.
    """

    home: Path
    recognises: bool
    plan: MappingPlan
    nights: int = 0
    values_mapped: list[str] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return Ledger(GoalFolder(str(self.home / "staging"), "goal").ledger, {})

    def night(
        self,
        people: Sequence[Mapping[str, Any]],
        answers: Callable[[str], str | None] = lambda _: "accepted",
        *,
        mapping_now: MappingPlan | None = None,
        **how: Any,
    ) -> tuple[Any, dict[str, dict[str, Any]]]:
        """Play one night.

        :param answers: identifier → outcome; ``None`` for none.
        :param mapping_now: how the goal maps when it compares.
        :return: the counts of the delta, and its rows by identifier.
        """
        self.nights += 1
        workspace = Workspace(
            LocalStaging(), GoalFolder(str(self.home / "staging"), "goal"), f"night-{self.nights}", engine(self.home)
        )
        snapshot = self._snapshot(workspace, people)
        mapped = map_staged_snapshot(workspace, snapshot, self.plan, {}, mapped_by={} if self.recognises else None)
        self.values_mapped = [row["identifier"] for row in read_rows(Path(mapped["uri"]).glob("partition=*/*.parquet"))]
        self.warnings = mapped["warnings"]
        targets = tuple(field.target for field in self.plan.fields)
        plan = DeltaPlan(
            targets, frozenset(targets), frozenset(), PARTITIONS, day(self.nights), complete=True, creates=False
        )
        delta = compute_staged_delta(workspace, mapped, replace(plan, **how), mapping=lambda: mapping_now or self.plan)
        files = {number: Path(delta["uri"]) / f"partition={number}.parquet" for number in delta["partitions"]}
        rows = read_rows(files.values())
        self._commit(workspace, delta, files, rows, answers)
        return counts_of(delta), {row.pop("identifier"): row for row in rows}

    def _snapshot(self, workspace: Workspace, people: Sequence[Mapping[str, Any]]) -> SnapshotRef:
        uri = workspace.folder.step(workspace.run_key, "snapshot")
        at = day(self.nights)
        plain = {"property_tier": [], "property_city": [], "property_email": [], "as_of": at, "last_modified": at}
        write_snapshot_file(Path(uri) / "part-0.parquet", [{**plain, **one} for one in people])
        return SnapshotRef(
            uri=uri, profiles=len(people), segment_id="s", segment_name="S", segment_size=len(people), read="full",
            complete=True, as_of=at.isoformat(), bytes=1, property_types={},
        )  # fmt: skip

    def _commit(
        self,
        workspace: Workspace,
        delta: DeltaRef,
        files: dict[int, Path],
        rows: Sequence[Mapping[str, Any]],
        answers: Callable[[str], str | None],
    ) -> None:
        outcomes = [(row["identifier"], answers(row["identifier"])) for row in rows if row["to_send"]]
        told = [(who, outcome) for who, outcome in outcomes if outcome is not None]
        receipts = [write_receipts(self.home / f"receipts-{self.nights}.parquet", told)] if told else []
        outcome = Acknowledged(
            run_key=workspace.run_key,
            delta_id=f"night-{self.nights}",
            as_of=dt.datetime.fromisoformat(delta["as_of"]),
            partitions=PARTITIONS,
            delta=files,
            receipts=receipts,
            receipt_rows=len(told),
            settings=delta.get("settings", {}),
            policy=delta["policy"],
        )
        self.ledger.commit(workspace.engine, outcome)

    def acknowledged(self) -> list[dict[str, Any]]:
        """The rows of the ledger; which run wrote them is the same in both goals."""
        table = self.ledger.open()
        rows = table.to_pyarrow_table().to_pylist() if table else []
        return sorted(rows, key=lambda row: str(row["identifier"]))


def goals(home: Path, plan: MappingPlan) -> tuple[Goal, Goal]:
    """A goal that recognises people, and one that doesn't, of the same plan."""
    return Goal(home / "recognises", True, plan), Goal(home / "maps", False, plan)


def one(crm: str, tier: str | None = None, city: str | None = None, **more: Any) -> dict[str, Any]:
    """A record of the snapshot."""
    return {
        "crm": [crm] if crm else [],
        "property_tier": [tier] if tier else [],
        "property_city": [city] if city else [],
        **more,
    }


def test_who_did_not_change_is_neither_mapped_nor_sent(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one(str(number), "gold", "Bonn") for number in range(50)]

    goal.night(everybody)
    everybody[7] = one("7", "silver", "Bonn")
    counts, delta = goal.night(everybody)

    assert goal.values_mapped == [person("7")]
    assert (counts.to_send, counts.unchanged, counts.members) == (1, 49, 50)
    assert {who: (row["field_tier"], row["field_city"]) for who, row in delta.items()} == {
        person("7"): ('"silver"', None)
    }


def test_whom_the_target_did_not_take_is_sent_again_although_nothing_changed(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one(str(number), "gold", "Bonn") for number in range(20)]

    goal.night(everybody, lambda who: None if who == person("3") else "accepted")
    counts, delta = goal.night(everybody)

    assert goal.values_mapped == []
    assert {who: (row["kind"], row["field_tier"], row["field_city"]) for who, row in delta.items()} == {
        person("3"): ("insert", '"gold"', '"Bonn"')
    }
    assert counts.unchanged == 19


def test_warnings_about_people_who_did_not_change_are_counted_every_night(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one("1", "far too long", "Bonn"), one("2", "gold", "Bonn")]

    for _ in range(2):
        goal.night(everybody)
        assert goal.warnings == {"tier: too_long": 1}


def test_a_goal_that_maps_otherwise_maps_everybody(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one("1", "gold", "Bonn"), one("2", "gold", "Bonn")]

    goal.night(everybody)
    goal.plan = mapping(TIER, CITY, partitions=PARTITIONS, clear_missing=True)
    goal.night(everybody)

    assert goal.values_mapped == [person("1"), person("2")]


def test_a_goal_that_was_changed_between_its_steps_says_what_to_clear(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one("1", "gold", "Bonn"), one("2", "gold", "Bonn")]
    changed = mapping(TIER, CITY, partitions=PARTITIONS, clear_missing=True)

    goal.night(everybody, lambda _: None)
    with pytest.raises(SyncError, match="Clear map_fields and the tasks after it"):
        goal.night(everybody, mapping_now=changed)


TEXTS = st.sampled_from([None, "a", " a", "b", "far too long"])
RECORDS = st.builds(
    one,
    st.sampled_from(["", "1", "2", "3", "4", "5", "6"]),
    TEXTS,
    TEXTS,
    property_email=st.sampled_from([[], ["e1"], ["e2"], ["e1", "e2"]]),
)
NIGHTS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 5)),
        st.dictionaries(st.integers(1, 6), st.sampled_from(["rejected", "unknown", "unsent"]), max_size=2),
        st.sampled_from([{}, {}, {"leavers": {"tier": "null"}}, {"send": "whole_profile"}, {"creates": True}]),
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=10, deadline=None)
@given(
    pool=st.lists(RECORDS, min_size=6, max_size=6),
    nights=NIGHTS,
    links=st.sampled_from([(EXTERNAL_ID,), (EXTERNAL_ID, EMAIL)]),
    clear_missing=st.booleans(),
)
def test_every_night_sends_counts_and_remembers_the_same_as_if_everybody_had_been_mapped(
    tmp_path_factory: pytest.TempPathFactory,
    pool: list[dict[str, Any]],
    nights: list[tuple[set[int], dict[int, str], dict[str, Any]]],
    links: tuple[IdentifierLink, ...],
    clear_missing: bool,
) -> None:
    plan = mapping(TIER, CITY, partitions=PARTITIONS, identifiers=links, clear_missing=clear_missing)
    both = goals(tmp_path_factory.mktemp("nights"), plan)
    for missing, failing, how in nights:
        everybody = [one("0"), *(record for number, record in enumerate(pool) if number not in missing)]

        def answers(who: str, failing: Mapping[int, str] = failing) -> str | None:
            outcome = next((word for number, word in failing.items() if f'"{number}"' in who), "accepted")
            return None if outcome == "unsent" else outcome

        recognised, mapped = (goal.night(everybody, answers, **how) for goal in both)
        assert recognised == mapped
    assert both[0].acknowledged() == both[1].acknowledged()


@pytest.mark.promise(1)
def test_who_comes_back_with_the_same_values_is_on_the_list_again(tmp_path: Path) -> None:
    goal, _ = goals(tmp_path, mapping(TIER, CITY, partitions=PARTITIONS))
    everybody = [one(str(number), "gold", "Bonn") for number in range(4)]

    for people in (everybody, everybody[1:]):
        goal.night(people)
    _, delta = goal.night(everybody)

    assert {who: (row["kind"], row["to_send"]) for who, row in delta.items()} == {person("0"): ("return", False)}
    assert {row["identifier"] for row in goal.acknowledged() if row["in_segment"]} == {person(str(n)) for n in range(4)}


@pytest.mark.promise(1)
def test_who_takes_the_place_of_another_row_is_looked_at_although_nothing_changed(tmp_path: Path) -> None:
    plan = mapping(TIER, CITY, partitions=PARTITIONS, identifiers=(EXTERNAL_ID, EMAIL))
    both = goals(tmp_path, plan)
    kept = [one("1", "gold", property_email=["e1"]), *(one(str(number), "gold") for number in range(2, 6))]

    for goal in both:
        goal.night([*kept, one("", "silver", property_email=["e1"])])
    recognised, mapped = (goal.night(kept) for goal in both)

    assert recognised == mapped
    assert recognised[1][person("1")]["field_tier"] == '"gold"'

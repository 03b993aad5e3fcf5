"""How the sandbox's BlueConic changes from one day to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.segments import VIP_SEGMENT
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import make_people

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_NOW_MS = 1_795_435_200_000


def _state(*, vip: int = 200, seed: int = 1) -> BlueConicState:
    return BlueConicState(make_people(vip + 20, seed=seed), vip=vip, seed=seed, faults=Faults(), clock=lambda: _NOW)


def _values(state: BlueConicState) -> dict[str, dict[str, list[str]]]:
    return {profile_id: dict(profile.values) for profile_id, profile in state.profiles.items()}


def _members(state: BlueConicState) -> set[str]:
    return set(state.segments[VIP_SEGMENT].members)


def test_vip_segment_has_as_many_profiles_as_asked() -> None:
    state = _state(vip=60)

    assert len(_members(state)) == 60
    assert len(state.profiles) == 80


def test_next_day_changes_enters_and_leaves_as_told() -> None:
    state = _state()
    before, members = _values(state), _members(state)

    summary = state.next_day(changed=0.05, entered=3, left=2)

    changed = {profile_id for profile_id, values in _values(state).items() if values != before[profile_id]}
    assert changed == set(summary.changed)
    assert len(changed) == 10
    assert _members(state) - members == set(summary.entered)
    assert members - _members(state) == set(summary.left)
    assert summary.counts() == {"day": 1, "changed": 10, "entered": 3, "left": 2}


def test_nothing_happens_to_those_who_are_left_out_of_a_day() -> None:
    state = _state(vip=60)
    before, members = _values(state), _members(state)
    spared = sorted(state.profiles)[:70]

    state.next_day(changed=200, entered=200, left=5, apart_from=spared)

    assert {name: _values(state)[name] for name in spared} == {name: before[name] for name in spared}
    assert _members(state) & set(spared) == members & set(spared)
    assert _members(state) != members


def test_profiles_that_share_a_value_are_found() -> None:
    state = _state(vip=1)
    one, two, three = sorted(state.profiles)[:3]
    for name, values in ((one, ["x"]), (two, [" x"]), (three, ["y"])):
        state.change(name, {"crm_id": values})

    assert state.sharing("crm_id")["x"] == {one, two}
    assert "y" not in state.sharing("crm_id")


def test_next_day_is_the_same_for_a_seed() -> None:
    one, other = _state(), _state()

    days = [(one.next_day(), other.next_day()) for _ in range(5)]

    assert all(here == there for here, there in days)
    assert _values(one) == _values(other)


def test_one_or_two_properties_of_a_profile_change() -> None:
    state = _state()
    before = _values(state)

    summary = state.next_day(changed=100)

    sizes = set()
    for profile_id in summary.changed:
        after = state.profiles[profile_id].values
        sizes.add(sum(before[profile_id].get(name) != after.get(name) for name in before[profile_id].keys() | after))
    assert sizes == {1, 2}


def test_change_moves_the_last_modified_date_and_only_there() -> None:
    state = _state()

    summary = state.next_day(changed=4, entered=1, left=1)

    moved = {profile_id for profile_id, profile in state.profiles.items() if profile.modified == _NOW_MS}
    assert moved == {*summary.changed, *summary.entered, *summary.left}


def test_entry_by_time_alone_leaves_the_last_modified_date() -> None:
    state = _state()
    outside = next(profile_id for profile_id in state.profiles if profile_id not in _members(state))
    before = state.profiles[outside].modified

    state.enter(outside, VIP_SEGMENT, touch=False)

    assert outside in _members(state)
    assert state.profiles[outside].modified == before


def test_small_segment_changes_by_at_least_one() -> None:
    summary = _state(vip=10).next_day()

    assert summary.counts() == {"day": 1, "changed": 1, "entered": 1, "left": 1}


def test_quiet_day_changes_nothing() -> None:
    state = _state()
    before = _values(state)

    state.next_day(changed=0, entered=0, left=0)

    assert _values(state) == before


def test_changes_also_touch_properties_that_a_goal_may_not_map() -> None:
    state = _state()
    before = _values(state)

    state.next_day(changed=200)

    touched = {
        name
        for profile_id, profile in state.profiles.items()
        for name in profile.values
        if profile.values[name] != before[profile_id].get(name)
    }
    assert {"points", "visits", "bio"} <= touched


def test_deleted_profile_is_in_no_segment() -> None:
    state = _state()
    profile_id = next(iter(_members(state)))

    state.delete(profile_id)

    assert all(profile_id not in segment.members for segment in state.segments.values())
    assert state.find(profile_id) is None


def test_merged_away_id_answers_with_its_heir() -> None:
    state = _state()
    heir = next(profile for profile in state.profiles.values() if profile.replaces)

    found = state.find(heir.replaces[0])

    assert found is heir


def test_empty_property_is_absent() -> None:
    state = _state()
    profile_id = state.add({"firstname": ["Ann"], "city": []}, segments=[VIP_SEGMENT])
    state.change(profile_id, {"firstname": []})

    shown: dict[str, Any] = state.render(state.profiles[profile_id], only=None, expand=frozenset())

    assert [each["id"] for each in shown["properties"]] == ["creationdate", "lastmodifieddate"]


def _two(state: BlueConicState) -> tuple[str, str]:
    """A profile that will be merged away, and the one that inherits."""
    gone = state.add({"crm_id": ["g"], "city": ["Ede"], "points": ["5"], "interests": ["chess"]}, segments=["seg-vip"])
    heir = state.add({"crm_id": ["h"], "points": ["7"], "interests": ["film"]}, segments=["seg-all"])
    return gone, heir


def test_merged_profile_leads_to_its_heir_and_leaves_its_segments_to_it() -> None:
    state = _state(vip=20)
    gone, heir = _two(state)

    state.merge(gone, heir)

    found = state.find(gone)
    assert found is not None
    assert found.id == heir
    assert gone not in state.profiles
    assert gone not in _members(state)
    assert heir in _members(state)
    assert state.render(found, only=[], expand=frozenset({"replace"}))["replaces"] == [gone]


def test_values_of_merged_profiles_survive_by_each_property_s_strategy() -> None:
    state = _state(vip=20)
    gone, heir = _two(state)

    state.merge(gone, heir)

    assert state.profiles[heir].values == {
        "crm_id": ["h"],
        "city": ["Ede"],
        "points": ["12"],
        "interests": ["film", "chess"],
    }
    assert state.look_up("crm_id", "g") == set()
    assert state.profiles[heir].modified == _NOW_MS


def test_who_was_merged_twice_leads_to_the_last_heir() -> None:
    state = _state(vip=20)
    gone, heir = _two(state)
    last = state.add({"crm_id": ["l"]})

    state.merge(gone, heir)
    state.merge(heir, last)

    assert [found.id for found in (state.find(gone), state.find(heir)) if found] == [last, last]

"""What a run will take is known, and limited, before anything is sent."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.steps.guard import GuardLimits, Plan, check_limits, estimate

COUNTS = DeltaCounts(inserts=1_000, changes=200, leavers=60, to_send=1_260, data_points=5_000, members=1_200)
PLAN = Plan(people=1_260, data_points=5_000, requests=17, minutes=0.1)


def check(limits: GuardLimits, *, acts_on_leavers: bool = True, counts: DeltaCounts = COUNTS) -> None:
    check_limits("vip", PLAN, counts, limits, acts_on_leavers=acts_on_leavers)


@pytest.mark.parametrize(
    ("people_by_partition", "requests", "minutes"),
    [
        pytest.param([75], 1, 1 / 60, id="one full request"),
        pytest.param([76], 2, 2 / 60, id="one more person"),
        pytest.param([1, 1, 1], 3, 3 / 60, id="partitions do not share a request"),
        pytest.param([], 0, 0.0, id="nobody"),
    ],
)
@pytest.mark.promise(5)
def test_requests_and_minutes_are_known_beforehand(
    people_by_partition: list[int], requests: int, minutes: float
) -> None:
    counts = DeltaCounts(to_send=sum(people_by_partition), data_points=9)

    plan = estimate(counts, people_by_partition, objects=75, rate=Rate(3, 3))

    assert plan == Plan(sum(people_by_partition), 9, requests, pytest.approx(minutes))


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(GuardLimits(), id="no limits"),
        pytest.param(GuardLimits(data_points=5_000, leavers_percent=5.0), id="both just reached"),
    ],
)
def test_a_run_within_its_limits_passes(limits: GuardLimits) -> None:
    check(limits)


@pytest.mark.promise(5)
def test_more_data_points_than_allowed_stop_the_run() -> None:
    with pytest.raises(LimitExceeded) as stopped:
        check(GuardLimits(data_points=4_999))

    assert str(stopped.value) == (
        "vip: nothing was sent. 5,000 data points for 1,260 people (1,000 new, 200 changed, 60 left) exceed "
        "limits.data_points = 4,999. If this is what you want, raise the limit in the goal and run it again."
    )


@pytest.mark.promise(6)
def test_more_leavers_than_allowed_stop_the_run() -> None:
    with pytest.raises(LimitExceeded) as stopped:
        check(GuardLimits(leavers_percent=4.9))

    assert str(stopped.value) == (
        "vip: nothing was sent. 60 of 1,200 people left the segment (5.0 %), more than limits.leavers_percent = 4.9. "
        "If this is what you want, raise the limit in the goal and run it again."
    )


def test_all_broken_limits_are_named_at_once() -> None:
    with pytest.raises(LimitExceeded, match=r"limits\.data_points = 1; 60 of 1,200 people .*_percent = 0\. If"):
        check(GuardLimits(data_points=1, leavers_percent=0))


def test_leavers_who_are_left_alone_are_no_reason_to_stop() -> None:
    check(GuardLimits(leavers_percent=0), acts_on_leavers=False)


def test_a_first_run_has_no_share_of_leavers() -> None:
    check(GuardLimits(leavers_percent=0), counts=DeltaCounts(inserts=5, to_send=5))


def clearing(people: int, of: int) -> DeltaCounts:
    """So many people lose their phone, of so many; and hardly anybody their name."""
    return DeltaCounts(
        to_send=people,
        emptied=Counter({"phone": people, "first_name": 1}),
        filled=Counter({"phone": of, "first_name": 5_000}),
    )


@pytest.mark.promise(6)
def test_a_field_that_vanishes_for_nearly_everybody_stops_the_run_and_is_named() -> None:
    with pytest.raises(LimitExceeded) as stopped:
        check(GuardLimits(), counts=clearing(1_990, 2_000))

    assert str(stopped.value) == (
        'vip: nothing was sent. "phone" would be cleared for 1,990 of 2,000 people who have, or may have, a value '
        "there (99.5 %), more than limits.clears_percent = 50: check whether the source still shows these values. "
        "If this is what you want, raise the limit in the goal and run it again."
    )


@pytest.mark.parametrize(
    ("percent", "people", "of", "stops"),
    [
        pytest.param(None, 1_000, 2_000, False, id="half of them"),
        pytest.param(None, 1_001, 2_000, True, id="more than half"),
        pytest.param(None, 4, 4, False, id="a handful"),
        pytest.param(None, 5, 5, True, id="more than a handful"),
        pytest.param(0, 1, 1_000, True, id="nobody may"),
        pytest.param(10, 3, 4, True, id="a limit of the goal's own counts from the first"),
        pytest.param(10, 100, 1_000, False, id="just reached"),
        pytest.param(100, 1_000, 1_000, False, id="switched off"),
    ],
)
def test_how_many_may_lose_a_value(percent: float | None, people: int, of: int, stops: bool) -> None:
    counts = DeltaCounts(emptied=Counter({"phone": people}), filled=Counter({"phone": of}))

    if stops:
        with pytest.raises(LimitExceeded, match="clears_percent"):
            check(GuardLimits(clears_percent=percent), counts=counts)
    else:
        check(GuardLimits(clears_percent=percent), counts=counts)


def test_of_many_fields_that_vanish_the_first_are_named() -> None:
    lost = Counter({f"f{number}": 100 - number for number in range(8)})

    with pytest.raises(LimitExceeded, match=r'"f0" would be cleared for 100 of .*"f4" .* and 3 more fields, more than'):
        check(GuardLimits(), counts=DeltaCounts(emptied=lost, filled=Counter(dict.fromkeys(lost, 100))))

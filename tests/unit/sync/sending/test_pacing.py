"""When the next request may start."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from bisect import bisect_left
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing, Rate

EPOCH = 1_800_000_000.0
NOW = 5_000.0


def starts_of(pacing: Pacing, delays: list[float], *, begin: float = NOW) -> list[float]:
    """Start requests as early as allowed. A machine that had to wait wakes up late, each time by another delay."""
    now, starts = begin, []
    for delay in delays:
        allowed = pacing.next_start(now)
        now = allowed + delay if allowed > now else now
        pacing.started(now)
        pacing.ended(now)
        starts.append(now)
    return starts


def most_in_a_window(starts: list[float], seconds: float) -> int:
    """The most starts that any window of a length holds; its end is not part of it."""
    ordered = sorted(starts)
    # A hair off its end: sums of floats are not exact.
    return max(bisect_left(ordered, start + seconds - 1e-6) - number for number, start in enumerate(ordered))


@dataclass(frozen=True)
class Network:
    """What a request meets on its way, in seconds.

    :param latency: from its start to its answer, if nothing keeps it.
    :param share_there: how much of that is the way there.
    :param jitter: more, at most, on either way.
    :param stall: as long either side stops now and then, and with it everything that it does.
    :param calm_from: from this second on everything comes at once.
    """

    latency: float
    share_there: float = 0.5
    jitter: float = 0.0
    stall: float = 0.0
    calm_from: float = math.inf

    def way(self, second: float, share: float, chance: random.Random) -> float:
        """Return how long one way takes in a second of the test."""
        return 0.0 if second >= self.calm_from else self.latency * share + self.jitter * chance.random()

    def awake(self, moment: float, stalls: list[float]) -> float:
        """Put off what falls into a stall to its end."""
        for stall in stalls:
            if stall <= moment < stall + self.stall:
                moment = stall + self.stall
        return moment


def play(
    pacing: Pacing, network: Network, *, seconds: float, seed: int = 1, requests: float = math.inf, begin: float = NOW
) -> list[float]:
    """Send as early as allowed, through a network, and return when the server counted each request."""
    chance = random.Random(seed)
    stalls = {
        side: sorted(begin + chance.uniform(0, seconds) for _ in range(math.ceil(seconds / 4)))
        for side in ("client", "server")
    }
    order = itertools.count()
    events: list[tuple[float, int, str]] = [(begin, next(order), "client")]
    counted: list[float] = []
    sent = 0

    def later(kind: str, side: str, moment: float) -> None:
        heapq.heappush(events, (network.awake(moment, stalls[side]), next(order), kind))

    def way(share: float) -> float:
        return network.way(now - begin, share, chance)

    while events and events[0][0] < begin + seconds:
        now, _, kind = heapq.heappop(events)
        if kind == "server":
            counted.append(now)
            later("answer", "client", now + way(1 - network.share_there))
        else:
            if kind == "answer":
                pacing.ended(now)
            while sent < requests and pacing.next_start(now) <= now:
                pacing.started(now)
                sent += 1
                later("server", "server", now + way(network.share_there))
            if kind == "client" and sent < requests:
                later("client", "client", now + min(max(pacing.next_start(now) - now, 1e-4), 0.05))
    return counted


@settings(max_examples=150, deadline=None)
@given(
    requests=st.integers(1, 60),
    window=st.sampled_from([0.5, 3.0]),
    latency=st.floats(0, 1),
    share_there=st.floats(0, 1),
    jitter=st.floats(0, 0.3),
    stall=st.floats(0, 0.3),
    calm_from=st.one_of(st.just(math.inf), st.floats(0, 9)),
    seed=st.integers(0, 1_000),
)
def test_no_window_of_the_server_exceeds_the_cap_whatever_happens_on_the_way(
    requests: int,
    window: float,
    latency: float,
    share_there: float,
    jitter: float,
    stall: float,
    calm_from: float,
    seed: int,
) -> None:
    network = Network(latency, share_there, jitter, stall, calm_from)

    counted = play(Pacing(Rate(requests, window)), network, seconds=9.0, seed=seed)

    assert counted
    assert most_in_a_window(counted, window) <= requests


@pytest.mark.parametrize("stall", [0.0, 0.3], ids=["steady", "stalls"])
@pytest.mark.parametrize("jitter", [0.0, 0.3], ids=["calm", "jitter"])
def test_brazes_window_holds_where_requests_arrive_in_heaps(jitter: float, stall: float) -> None:
    network = Network(0.05, jitter=jitter, stall=stall)

    counted = play(Pacing(Rate(3_000, 3.0)), network, seconds=12.0)

    assert most_in_a_window(counted, 3.0) <= 3_000


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.1, 0.2])
def test_an_upload_of_four_thousand_requests_uses_the_cap_at_any_latency(latency: float) -> None:
    counted = play(Pacing(Rate(3_000, 3.0)), Network(latency), seconds=9.0, requests=4_000)

    assert len(counted) == 4_000
    assert 4_000 / (counted[-1] - counted[0]) >= 0.95 * 1_000


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.1, 0.2])
def test_a_long_upload_loses_one_latency_a_window(latency: float) -> None:
    counted = play(Pacing(Rate(3_000, 3.0)), Network(latency), seconds=20.0)

    assert len(counted) / (counted[-1] - counted[0]) >= 0.99 * 3_000 / (3.0 + latency)


@pytest.mark.parametrize("latency", [0.0, 0.2])
def test_two_uploads_that_follow_each_other_keep_to_the_cap_together(latency: float) -> None:
    rate = Rate(3_000, 3.0)
    first = play(Pacing(rate), Network(latency), seconds=30.0, requests=6_500)
    end = first[-1] + latency

    second = play(Pacing(rate, quiet_for=0.0), Network(latency), seconds=12.0, begin=end)

    assert most_in_a_window([*first, *second], 3.0) <= 3_000


def test_without_an_answer_nothing_more_starts_than_a_window_holds() -> None:
    pacing = Pacing(Rate(5, 3.0))
    for second in range(5):
        pacing.started(NOW + second)

    assert pacing.next_start(NOW + 100) > NOW + 100
    pacing.ended(NOW + 100)
    assert pacing.next_start(NOW + 100) == pytest.approx(NOW + 103, abs=0.01)


def test_a_lower_cap_of_the_goal_leaves_the_servers_window_in_force() -> None:
    pacing = Pacing(Rate(3_000, 3.0).lower(990))

    counted = play(pacing, Network(0.05, jitter=0.3, stall=0.3), seconds=12.0)

    assert most_in_a_window(counted, 3.0) <= 3_000


@settings(max_examples=150, deadline=None)
@given(
    requests=st.integers(1, 400),
    seconds=st.sampled_from([0.1, 1.0, 3.0, 60.0]),
    delays=st.lists(
        st.one_of(st.just(0.0), st.floats(0, 0.03), st.floats(0, 0.5), st.floats(0, 120)), min_size=2, max_size=900
    ),
)
def test_no_sliding_window_exceeds_the_cap(requests: int, seconds: float, delays: list[float]) -> None:
    starts = starts_of(Pacing(Rate(requests, seconds)), delays)

    assert most_in_a_window(starts, seconds) <= requests


@settings(max_examples=60, deadline=None)
@given(data=st.data(), requests=st.integers(1, 300))
def test_workers_together_keep_to_the_cap_that_they_share(data: st.DataObject, requests: int) -> None:
    begins = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=min(requests, 16)))
    share = Rate(requests, 1.0).share(len(begins))

    starts = [
        start for begin in begins for start in starts_of(Pacing(share), [0.0] * (2 * requests), begin=NOW + begin)
    ]

    assert most_in_a_window(starts, 1.0) <= requests


def test_more_workers_than_requests_keep_to_the_cap_over_time() -> None:
    share = Rate(2, 1.0).share(5)

    starts = [start for _ in range(5) for start in starts_of(Pacing(share), [0.0] * 100)]

    assert most_in_a_window(starts, 100.0) <= 200


def test_a_single_worker_has_the_whole_cap() -> None:
    assert Rate(2.5, 1.0).share(1) == Rate(2.5, 1.0)


def test_a_share_is_made_of_whole_requests() -> None:
    assert Rate(50, 1.0).share(8) == Rate(6, 1.0)
    assert Rate(1, 1.0).share(4) == Rate(1, 4.0)


@pytest.mark.parametrize("late", [0.001, 0.005, 0.015], ids=["1ms", "5ms", "15ms"])
def test_a_thousand_a_second_are_reached_with_a_clock_that_jitters(late: float) -> None:
    chance = random.Random(1)
    delays = [chance.random() * late if chance.random() < 0.5 else 0.0 for _ in range(20_000)]

    starts = starts_of(Pacing(Rate(3_000, 3.0)), delays)

    assert len(starts) / (starts[-1] - starts[0]) >= 900


def test_a_long_pause_is_not_made_good() -> None:
    pacing = Pacing(Rate(1_000, 1.0, counted=False))
    starts_of(pacing, [0.0] * 100)

    starts = starts_of(pacing, [0.0] * 100, begin=NOW + 60)

    assert starts[-1] - starts[0] > 0.07


def test_the_goals_lower_cap_holds_whatever_the_server_allows() -> None:
    pacing = Pacing(Rate(3_000, 3.0).lower(10))
    pacing.observe({"x-ratelimit-remaining": "2999", "x-ratelimit-reset": "3"}, NOW, number=0)

    starts = starts_of(pacing, [0.0] * 30)

    assert most_in_a_window(starts, 1.0) <= 10


def test_a_higher_cap_of_the_goal_changes_nothing() -> None:
    assert Rate(3_000, 3.0).lower(5_000) == Rate(3_000, 3.0)
    assert Rate(3_000, 3.0).lower(None) == Rate(3_000, 3.0)


@pytest.mark.parametrize("reset", [str(int(EPOCH) + 40), "40"], ids=["epoch", "duration"])
def test_nothing_starts_before_the_reset_when_nothing_remains(reset: str) -> None:
    pacing = Pacing(Rate(3_000, 3.0), wall_clock=lambda: EPOCH)
    number = pacing.started(NOW)

    pacing.observe({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}, NOW + 1, number=number)

    assert pacing.next_start(NOW + 1) == NOW + 41
    assert pacing.next_start(NOW + 41) == NOW + 41


def test_only_as_many_start_as_remain() -> None:
    pacing = Pacing(Rate(3_000, 3.0))
    number = pacing.started(NOW)
    pacing.observe({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "40"}, NOW, number=number)

    starts = starts_of(pacing, [0.0] * 6)

    assert starts[4] < NOW + 1
    assert starts[5] == NOW + 40


def test_requests_that_the_server_has_not_counted_yet_are_taken_off_what_remains() -> None:
    pacing = Pacing(Rate(3_000, 3.0))
    first = pacing.started(NOW)
    for _ in range(4):
        pacing.started(NOW)

    pacing.observe({"x-ratelimit-remaining": "4", "x-ratelimit-reset": "40"}, NOW, number=first)

    assert pacing.next_start(NOW) == NOW + 40


def test_a_late_answer_of_an_old_window_does_not_hold_back_the_new_one() -> None:
    pacing = Pacing(Rate(3_000, 3.0))
    late, newer = pacing.started(NOW), pacing.started(NOW)
    pacing.observe({"x-ratelimit-remaining": "2999", "x-ratelimit-reset": "3"}, NOW + 1, number=newer)

    pacing.observe({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, NOW + 1, number=late)

    assert pacing.next_start(NOW + 1) == NOW + 1


def test_a_new_window_is_seen_although_the_old_reset_was_rounded_up() -> None:
    pacing = Pacing(Rate(3_000, 3.0))
    pacing.observe({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "3"}, NOW, number=pacing.started(NOW))
    number = pacing.started(NOW + 2.1)
    assert pacing.next_start(NOW + 2.1) == NOW + 3

    pacing.observe({"x-ratelimit-remaining": "2999", "x-ratelimit-reset": "3"}, NOW + 2.2, number=number)

    assert pacing.next_start(NOW + 2.2) == NOW + 2.2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-retry-after": "7"}, 7.0),
        ({"retry-after": "8"}, 8.0),
        ({"x-ratelimit-retry-after": "7", "retry-after": "900"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, 9.0),
        ({}, 5.0),
        ({"retry-after": "soon"}, 5.0),
        ({"retry-after": "-1"}, 5.0),
        ({"retry-after": "nan"}, 5.0),
        ({"retry-after": "inf"}, 5.0),
    ],
    ids=["own-header", "standard-header", "own-first", "reset", "nothing", "words", "negative", "nan", "endless"],
)
def test_a_429_pauses_everything_as_long_as_it_says(headers: dict[str, str], seconds: float) -> None:
    pacing = Pacing(Rate(3_000, 3.0))

    until = pacing.refused(headers, NOW)

    assert until == NOW + seconds
    assert pacing.next_start(NOW) == until


def test_a_429_that_says_zero_still_waits_for_its_turn() -> None:
    pacing = Pacing(Rate(10, 1.0, counted=False))

    assert pacing.refused({"retry-after": "0"}, NOW) > NOW + 0.1


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pacing = Pacing(Rate(3_000, 3.0))
    pacing.refused({"retry-after": "60"}, NOW)

    assert pacing.refused({"retry-after": "1"}, NOW) == NOW + 60


@pytest.mark.parametrize("reset", ["epoch", "duration"])
@pytest.mark.parametrize("latency", [0.005, 0.05, 0.2])
def test_a_server_with_fixed_windows_is_used_to_nine_tenths_and_never_refuses(latency: float, reset: str) -> None:
    accepted, refused = with_fixed_windows(latency=latency, reset=reset, seconds=15.0)

    assert refused == 0
    assert accepted / 15.0 >= 900


def with_fixed_windows(*, latency: float, reset: str, seconds: float) -> tuple[int, int]:
    """Play Braze's 3,000 requests in 3 s in fixed windows, resets in whole seconds, answers out of order."""
    chance = random.Random(7)
    pacing = Pacing(Rate(3_000, 3.0), wall_clock=lambda: EPOCH + now - NOW)
    used: dict[int, int] = {}
    events: list[tuple[float, int, str, dict[str, str], int]] = [(NOW, 0, "wake", {}, 0)]
    accepted = refused = order = 0

    def later(after: float, kind: str, headers: dict[str, str], number: int) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (now + after, order, kind, headers, number))

    while events[0][0] < NOW + seconds:
        now, _, kind, headers, number = heapq.heappop(events)
        way = latency / 2 * (1 + chance.random() * 0.4)
        if kind == "arrives":
            wall = EPOCH + now - NOW + 0.37
            window = int(wall // 3)
            used[window] = used.get(window, 0) + 1
            if used[window] > 3_000:
                refused += 1
            ends = (window + 1) * 3
            text = str(ends) if reset == "epoch" else str(math.ceil(ends - wall))
            remaining = str(max(0, 3_000 - used[window]))
            later(way, "answer", {"x-ratelimit-remaining": remaining, "x-ratelimit-reset": text}, number)
        elif kind == "answer":
            accepted += 1
            pacing.ended(now)
            pacing.observe(headers, now, number=number)
        else:
            while pacing.next_start(now) <= now:
                later(way, "arrives", {}, pacing.started(now))
            # As the send loop does: an answer can end a pause early.
            later(min(pacing.next_start(now) - now, 0.01) + chance.random() * 0.002, "wake", {}, 0)
    return accepted - refused, refused

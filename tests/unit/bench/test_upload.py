"""How the pace of an upload is read from the moments at which requests arrived."""

from __future__ import annotations

import pytest

from tests.bench.upload import most_in_a_window, per_second


@pytest.mark.parametrize(
    ("moments", "most"),
    [
        ([], 0),
        ([0.0, 1.0, 2.0], 3),
        ([0.0, 1.0, 3.0], 2),  # the end of a window is not part of it
        ([0.0, 2.5, 2.6, 2.7, 5.4], 4),
    ],
)
def test_the_fullest_window_is_found_wherever_it_begins(moments: list[float], most: int) -> None:
    assert most_in_a_window(moments, 3.0) == most


def test_moments_are_counted_between_two_others() -> None:
    assert per_second([0.0, 0.5, 1.0, 1.5, 2.0], 0.5, 2.0) == pytest.approx(2.0)
    assert per_second([1.0], 1.0, 1.0) == 0.0

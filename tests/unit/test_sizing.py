"""The page about sizes follows from its own constants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sizing import constants, partitions, with_sizes

PAGE = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text()


def test_the_tables_are_those_of_the_constants() -> None:
    assert with_sizes(PAGE) == PAGE, "run python -m tests.support.sizing docs/sizing.md"


def test_another_constant_makes_other_tables() -> None:
    slower = PAGE.replace("| `braze_people` | 75,000 |", "| `braze_people` | 10,000 |")

    computed = with_sizes(slower)

    assert constants(slower)["braze_people"] == 10_000
    assert "| Braze, time at its cap | 2 min | 17 min | 2.8 h | 27.8 h |" in computed


@pytest.mark.parametrize(
    ("people", "wanted"), [(1e6, 4), (1.6e6, 4), (1.7e6, 8), (1e7, 32), (1e8, 256), (1e9, 256)], ids=str
)
def test_a_partition_stays_small_as_long_as_a_goal_may_have_so_many(people: float, wanted: int) -> None:
    assert partitions(people, 400_000) == wanted


def test_a_page_without_a_constant_is_refused() -> None:
    with pytest.raises(KeyError, match="upload_cpu"):
        with_sizes(PAGE.replace("`upload_cpu`", "`download_cpu`"))

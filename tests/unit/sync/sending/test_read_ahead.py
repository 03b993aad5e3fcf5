"""Work that is done ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from airflow_provider_braze_blueconic.sync.sending.read_ahead import read_ahead


def test_items_come_in_their_order_and_are_made_in_another_thread() -> None:
    makers = set()

    def items() -> Iterator[int]:
        for number in range(100):
            makers.add(threading.get_ident())
            yield number

    assert list(read_ahead(items())) == list(range(100))
    assert threading.get_ident() not in makers


def test_one_item_is_made_ahead_and_no_more() -> None:
    made: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(1, 100):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    with closing(read_ahead(items())) as ahead:
        assert (next(ahead), next(ahead)) == (1, 2)
        assert third.wait(10)

    assert made == [1, 2, 3]


def test_what_goes_wrong_in_the_thread_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = read_ahead(items())

    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_an_iterator_that_is_closed_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with closing(read_ahead(iter(range(100)))) as ahead:
        next(ahead)

    assert threading.active_count() == before

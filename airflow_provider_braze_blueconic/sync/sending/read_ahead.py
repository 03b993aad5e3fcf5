"""An iterator that works ahead in a thread, so that a loop that takes from it does not wait for the work."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item]) -> Generator[Item]:
    """Yield items in their order, while a thread makes the next one.

    One is made ahead, so that memory holds two at most. Whoever stops early closes the iterator, which waits for the
    item under way.

    :raises Exception: whatever making an item raised, in its place.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item

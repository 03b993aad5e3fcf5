"""An event loop whose time a test owns: a wait costs nothing, and a wait for ever is an error instead of a hang."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["ClockLoop", "in_clock_time"]

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Where asyncio would sleep, the loop's time jumps."""

    loop: ClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everything waits and nothing will ever happen")
            self.loop.moment += timeout
            self.loop.turns += 1
            if self.loop.turns > 2_000_000:
                raise AssertionError("the loop turns without coming to an end")
        return ready


class ClockLoop(asyncio.SelectorEventLoop):
    """``moment`` is the loop's time. Work for threads is done at once, so that a test always runs the same way."""

    def __init__(self) -> None:
        self.moment = 5_000.0
        self.turns = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.moment

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  handed on, as a thread pool would
            future.set_exception(error)
        return future


def in_clock_time(main: Callable[[ClockLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine function in a loop of its own. All its tasks must have ended when it returns."""
    loop = ClockLoop()
    try:
        result = loop.run_until_complete(main(loop))
        left = asyncio.all_tasks(loop)
        assert not left, left
        return result
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

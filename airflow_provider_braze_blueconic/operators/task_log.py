"""The log of a task, as the parts of an operator write to it."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["TaskLog"]


class TaskLog(Protocol):
    """``self.log`` of an operator, which in Airflow is no :class:`logging.Logger`."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Log what happened."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Log what somebody should look at."""

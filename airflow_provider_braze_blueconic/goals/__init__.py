"""What a user declares: goal files, their models, and the DAGs made of them.

Nothing here imports Airflow until :func:`load_goals` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.dag_factory.dag_file import load_goals

__all__ = ["load_goals"]


def __getattr__(name: str) -> object:
    if name == "load_goals":
        from airflow_provider_braze_blueconic.dag_factory.dag_file import load_goals

        return load_goals
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

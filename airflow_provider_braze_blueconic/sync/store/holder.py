"""The holder of a goal's lock: one step of one run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Holder"]


@dataclass(frozen=True)
class Holder:
    """Who asks for a lock.

    :param run_key: the run.
    :param started: stamp of this start of the run. In another Airflow, and after a finished run was cleared, the same
        run has another; a task that is tried again has the same. Empty if it is not known.
    :param run_id: the run as people, and Airflow, know it.
    :param step: the task as people know it.
    :param dag_id: the run's DAG, as Airflow knows it; empty outside of Airflow.
    :param airflow: tells one Airflow from another, whose runs may have the same ids; empty if it is not known.
    """

    run_key: str
    started: str
    run_id: str
    step: str
    dag_id: str = ""
    airflow: str = ""

    @property
    def owner(self) -> str:
        return f"{self.run_key}@{self.started}"

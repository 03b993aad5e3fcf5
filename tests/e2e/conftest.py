from tests.support.airflow import airflow_home, goals
from tests.support.sandbox import sandbox

__all__ = ["airflow_home", "goals", "sandbox"]

from tests.support.airflow import airflow_home, goals
from tests.support.database import warm_duckdb
from tests.support.sandbox import sandbox

__all__ = ["airflow_home", "goals", "sandbox", "warm_duckdb"]

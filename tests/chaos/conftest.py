from tests.support.airflow import airflow_home

__all__ = ["airflow_home"]

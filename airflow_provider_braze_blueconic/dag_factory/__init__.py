"""A goal as an Airflow DAG: its tasks and their arguments."""

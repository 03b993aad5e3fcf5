"""The middle of the cluster: API server, scheduler, DAG processor and triggerer, with PostgreSQL and Celery."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import s3
from tests.cluster.processes import free_port
from tests.support.scheduler import AirflowServer

__all__ = ["HEARTBEAT_SECONDS", "running_middle", "worker_environment"]

HEARTBEAT_SECONDS = 30
"""Without a sign of life for so long, a task counts as dead; Airflow's own value is 300."""

_PARSE_SECONDS = 120.0


def worker_environment(broker: str, database: str, port: int) -> dict[str, str]:
    """Return what a worker is told of the cluster: the queue, where outcomes go, and the API."""
    return {
        "AIRFLOW__CELERY__BROKER_URL": broker,
        # SQLAlchemy 2.1 reads plain postgresql:// as psycopg 3.
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
        # A machine with much else to do answers late.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@contextmanager
def running_middle(
    home: Path, dags: Callable[[Path], None], *, broker: str, database: str, s3_url: str
) -> Iterator[tuple[AirflowServer, Mapping[str, str]]]:
    """Run everything except the workers for the length of a block.

    :param home: an empty folder.
    :param dags: writes DAG file and goal into a folder.
    :return: the API, and the environment of workers.
    """
    port = free_port()
    shared = worker_environment(broker, database, port)
    dags(home / "dags")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        **shared,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
        "AIRFLOW__API_AUTH__JWT_ISSUER": "tests",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        # The triggerer looks into the bucket.
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(s3.connection(s3_url, "triggerer")),
    }
    airflow = AirflowServer(home, environment, f"http://127.0.0.1:{port}")
    try:
        airflow.command("db", "migrate")
        airflow.start("api-server")
        airflow.wait_for_api()
        airflow.start("dag-processor")
        airflow.start("scheduler", "--skip-serve-logs")
        airflow.start("triggerer", "--skip-serve-logs")
        airflow.wait_for("the DAG", lambda: airflow.get("dags")["total_entries"] > 0, seconds=_PARSE_SECONDS)
        yield airflow, shared
    finally:
        airflow.stop_all()

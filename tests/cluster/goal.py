"""The goal that runs on the cluster, and the people whom it sends."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.s3 import BUCKET, s3_client

__all__ = ["DAG_ID", "GOAL_ID", "STAGING", "Night", "write_dags"]

GOAL_ID = "cluster"
DAG_ID = f"braze_blueconic__{GOAL_ID}"
STAGING = f"s3://{BUCKET}/staging"
_FIELDS = 5
_FILES = 4
_RETRY_SECONDS = 5
_CAP_REQUESTS = 1_000
_UPLOAD_SECONDS = 20
"""At least, so that an upload of few people has a middle too."""

_DAG_FILE = f"""# Goals as DAGs, for Airflow's safe mode.
import datetime as dt
from pathlib import Path

from airflow_provider_braze_blueconic.dag_factory import dag
from airflow_provider_braze_blueconic.goals import load_goals

dag._RETRY_DELAY = dt.timedelta(seconds={_RETRY_SECONDS})
globals().update(load_goals(Path(__file__).parent / "goals"))
"""


@dataclass(frozen=True)
class Night:
    """The people of one night. From the second on, everybody has another value in the first field.

    :param number: from 1.
    """

    number: int
    people: int

    @property
    def logical_date(self) -> dt.datetime:
        """Return the date of the run; each night has a day of its own, and none is today."""
        return dt.datetime.now(dt.UTC).replace(hour=2, minute=0, second=0, microsecond=0) - dt.timedelta(
            days=5 - self.number
        )

    def wanted_sql(self) -> str:
        """Return SQL for what Braze is to hold after this night: ``person``, ``p0``, ``p1`` and so on."""
        first = f"'night {self.number}, value ' || (i % 1777)" if self.number > 1 else "'value ' || (i % 1777)"
        others = [f"'value {n} of ' || (i % {1_000 + 777 * n})" for n in range(1, _FIELDS)]
        columns = ", ".join(f"{value} AS p{n}" for n, value in enumerate([first, *others]))
        return f"SELECT 'crm-' || i AS person, {columns} FROM range({self.people}) AS t(i)"

    def sent_fields(self) -> list[str]:
        """Name the fields that travel this night, as Braze calls them."""
        return ["attribute_0"] if self.number > 1 else [f"attribute_{n}" for n in range(_FIELDS)]

    def put_files(self, folder: Path, url: str) -> None:
        """Put the CSV files of this night into the bucket."""
        import duckdb

        with duckdb.connect() as database:
            for number in range(_FILES):
                file = folder / "part.csv"
                database.execute(
                    f"COPY (SELECT person AS crm, * EXCLUDE person FROM ({self.wanted_sql()}) "
                    f"WHERE hash(person) % {_FILES} = {number}) TO '{file}' (FORMAT csv)"
                )
                key = f"in/people_{self.logical_date:%Y-%m-%d}_{number}.csv"
                s3_client(url).upload_file(str(file), BUCKET, key)
                file.unlink()


def write_dags(folder: Path, people: int, *, partitions: int, workers: int) -> None:
    """Write the DAG file and the goal into a new folder."""
    (folder / "goals").mkdir(parents=True)
    (folder / "braze_blueconic_goals.py").write_text(_DAG_FILE)
    goal = {
        "goal": "export",
        "id": GOAL_ID,
        "staging": STAGING,
        "source": {"s3_csv": f"s3://{BUCKET}/in/people_%Y-%m-%d_*.csv"},
        "identifiers": [{"blueconic": "crm", "braze": "external_id"}],
        "allow_creation": True,
        "fields": [{"from": f"property.p{n}", "to": f"attribute_{n}"} for n in range(_FIELDS)],
        "partitions": partitions,
        "upload": {"workers": workers},
        "limits": {"requests_per_second": max(4, min(_CAP_REQUESTS, people // 75 // _UPLOAD_SECONDS))},
    }
    # JSON is YAML.
    (folder / "goals" / f"{GOAL_ID}.yaml").write_text(json.dumps(goal))

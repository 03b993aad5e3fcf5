"""What became of everybody in one night: what Braze got, against what was to be sent, the receipts and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.goal import GOAL_ID, STAGING, Night
from tests.cluster.kill import IDENTIFIER, Kill
from tests.cluster.night import Outcome
from tests.cluster.s3 import connection

__all__ = ["Audit", "audit", "storage_options"]


@dataclass(frozen=True)
class Audit:
    """What was found. All but the first two must be 0.

    :ivar sent: people whom Braze got.
    :ivar again: people whom Braze got once more because the kill took the answer: no receipt of theirs was durable.
    :ivar lost: people whom Braze did not get, or whom it does not hold as they are in the source.
    :ivar doubled: people whom Braze got once more without that reason.
    :ivar receipts: people without exactly one receipt that says accepted.
    :ivar ledger: people whose row in the ledger is missing or wrong, and rows of others.
    """

    sent: int
    again: int
    lost: int
    doubled: int
    receipts: int
    ledger: int

    @property
    def is_right(self) -> bool:
        """Tell whether nobody was lost or doubled, and the state says what happened."""
        return not (self.lost or self.doubled or self.receipts or self.ledger)


def audit(outcome: Outcome, url: str, run_key: str) -> Audit:
    """Compare the four accounts of a night."""
    import duckdb

    night = outcome.night
    with duckdb.connect() as database:
        database.execute("SET preserve_insertion_order = false")
        database.execute(f"CREATE TABLE wanted AS {night.wanted_sql()}")
        _load_sent(database, outcome.requests)
        _load_kills(database, outcome.kills)
        _load_state(database, url)
        return Audit(
            sent=_count(database, "SELECT count(DISTINCT person) FROM sent"),
            again=_count(database, f"SELECT count(*) FROM ({_TWICE}) WHERE person IN ({_EXCUSED})"),
            lost=_lost(database, night),
            doubled=_count(database, f"SELECT count(*) FROM ({_TWICE}) WHERE person NOT IN ({_EXCUSED})"),
            receipts=_receipts(database, run_key),
            ledger=_ledger(database, night),
        )


_TWICE = "SELECT person FROM sent GROUP BY person HAVING count(*) > 1"
_EXCUSED = """
    SELECT person FROM (SELECT *, row_number() OVER (PARTITION BY person ORDER BY came DESC) AS back FROM sent) AS sent
    WHERE back > 1
    GROUP BY person
    HAVING bool_and(EXISTS (
        FROM kills WHERE kills.worker = sent.worker AND sent.came <= kills.moment
        AND NOT EXISTS (FROM acknowledged WHERE acknowledged.kill = kills.number AND acknowledged.person = sent.person)
    ))
"""
"""Who was sent by a worker that was killed then, and had no durable receipt: each time but the last."""


def storage_options(url: str) -> dict[str, str]:
    """Return how delta-rs reaches the bucket."""
    caller = connection(url, "the-test")
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": caller["login"],
        "AWS_SECRET_ACCESS_KEY": caller["password"],
        "AWS_REGION": caller["extra"]["region_name"],
        "AWS_ALLOW_HTTP": "true",
    }


def _load_sent(database: Any, requests: Path) -> None:
    database.execute(
        f"""
        CREATE TABLE sent AS
        SELECT came, worker, json_extract_string(object, '$.external_id') AS person, object
        FROM (
            SELECT came, worker, unnest(from_json(body->'$.attributes', '["JSON"]')) AS object
            FROM read_json('{requests}', format = 'newline_delimited', maximum_object_size = 16000000,
                columns = {{came: 'DOUBLE', worker: 'VARCHAR', body: 'JSON'}})
        )
        """
    )


def _load_kills(database: Any, kills: Sequence[Kill]) -> None:
    database.execute("CREATE TABLE kills (number INTEGER, worker VARCHAR, moment DOUBLE)")
    database.execute("CREATE TABLE acknowledged (kill INTEGER, person VARCHAR)")
    for number, kill in enumerate(kills):
        database.execute("INSERT INTO kills VALUES (?, ?, ?)", [number, kill.worker, kill.moment])
        database.execute(f"INSERT INTO acknowledged SELECT {number}, person FROM '{kill.acknowledged}'")


def _load_state(database: Any, url: str) -> None:
    from deltalake import DeltaTable

    options = storage_options(url)
    for name in ("receipts", "ledger"):
        table = DeltaTable(f"{STAGING}/{GOAL_ID}/{name}", storage_options=options)
        rows = table.to_pyarrow_dataset()  # noqa: F841  # DuckDB finds it by its name
        database.execute(f"CREATE TABLE {name} AS SELECT *, {IDENTIFIER} AS person FROM rows")


def _lost(database: Any, night: Night) -> int:
    """Count people whose last object isn't exactly what was to be sent."""
    values = ", ".join(f"'{name}', p{name.rpartition('_')[2]}" for name in night.sent_fields())
    wanted = f"json_object('external_id', wanted.person, {values})"
    sent = "json_merge_patch(object, '{\"_update_existing_only\": null}')"
    return _count(
        database,
        f"""
        WITH last AS (SELECT person, max_by(object, came) AS object FROM sent GROUP BY person)
        SELECT count(*) FROM wanted FULL JOIN last USING (person)
        WHERE ({wanted}::VARCHAR = {sent}::VARCHAR) IS NOT TRUE
        """,
    )


def _receipts(database: Any, run_key: str) -> int:
    rows = (
        f"SELECT person, count(*) AS n, bool_and(outcome = 'accepted') AS ok FROM receipts WHERE run_key = '{run_key}'"
    )
    return _count(
        database,
        f"SELECT count(*) FROM wanted FULL JOIN ({rows} GROUP BY person) AS said USING (person) "
        "WHERE (n = 1 AND ok) IS NOT TRUE OR wanted.p0 IS NULL",
    )


def _ledger(database: Any, night: Night) -> int:
    """Count people whose rows differ: the ledger holds JSON texts."""
    columns = [f"p{n}" for n in range(len(Night(1, 1).sent_fields()))]
    same = " AND ".join(f"to_json({name})::VARCHAR = field_attribute_{name[1:]}" for name in columns)
    return _count(
        database,
        f"SELECT count(*) FROM wanted FULL JOIN ledger USING (person) WHERE ({same}) IS NOT TRUE",
    )


def _count(database: Any, query: str) -> int:
    return int(database.execute(query).fetchone()[0])

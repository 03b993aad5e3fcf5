"""The account of a night on a cluster finds whoever was lost or doubled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import write_deltalake

from tests.cluster.audit import Audit, audit, storage_options
from tests.cluster.goal import GOAL_ID, STAGING, Night
from tests.cluster.kill import Kill, acknowledged
from tests.cluster.night import Outcome
from tests.cluster.s3 import BUCKET, running_s3, s3_client
from tests.cluster.tables import tables
from tests.cluster.trap import Server

RIGHT = Audit(sent=3, again=0, lost=0, doubled=0, receipts=0, ledger=0)
NIGHT = Night(1, 3)


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with running_s3() as server:
        yield server


@dataclass
class Nights:
    """A night of three people that went right, until a test changes something.

    :ivar requests: what Braze got, in order: second, worker, people.
    """

    folder: Path
    s3: Server
    people: dict[str, dict[str, Any]]
    requests: list[tuple[float, str, list[str]]]
    receipts: list[tuple[str, str]]
    ledger: dict[str, dict[str, Any]]
    kills: list[Kill] = field(default_factory=list)

    def kill(self, worker: str, moment: float, *durable: str) -> None:
        file = self.folder / "acknowledged.parquet"
        people = ", ".join(f"('{person}')" for person in durable) or "(NULL)"
        duckdb.execute(f"COPY (SELECT * FROM (VALUES {people}) AS t(person)) TO '{file}' (FORMAT parquet)")
        self.kills.append(Kill(worker, "upload", moment, file, 0))

    def audit(self) -> Audit:
        file = self.folder / "requests.jsonl"
        lines = [
            {"came": came, "worker": worker, "body": {"attributes": [self.object(person) for person in people]}}
            for came, worker, people in self.requests
        ]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        self._write("receipts", [(_identifier(person), outcome, "run") for person, outcome in self.receipts])
        self._write("ledger", [(_identifier(person), *row.values()) for person, row in self.ledger.items()])
        return audit(self.outcome(file), self.s3.url, "run")

    def object(self, person: str) -> dict[str, Any]:
        return {"external_id": person, "_update_existing_only": False, **self.people[person]}

    def outcome(self, requests: Path) -> Outcome:
        return Outcome(NIGHT, "run", requests, self.kills, 30.0, {}, Counter({"worker-1": 3}))

    def _write(self, table: str, rows: list[tuple[str, ...]]) -> None:
        names = ["identifier", "outcome", "run_key"] if table == "receipts" else ["identifier", *self.people["crm-0"]]
        columns = [name.replace("attribute", "field_attribute") for name in names]
        values = ", ".join("(" + ", ".join("'" + cell.replace("'", "''") + "'" for cell in row) + ")" for row in rows)
        found = duckdb.sql(f"SELECT * FROM (VALUES {values}) AS t({', '.join(columns)})").arrow()
        uri = f"{STAGING}/{GOAL_ID}/{table}"
        write_deltalake(uri, found, mode="overwrite", storage_options=storage_options(self.s3.url))


def _identifier(person: str) -> str:
    return json.dumps({"external_id": person})


@pytest.fixture
def night(s3: Server, tmp_path: Path) -> Nights:
    rows = duckdb.sql(NIGHT.wanted_sql()).fetchall()
    people = {row[0]: {f"attribute_{n}": value for n, value in enumerate(row[1:])} for row in rows}
    return Nights(
        tmp_path,
        s3,
        people,
        [(1.0, "worker-1", ["crm-0", "crm-1"]), (2.0, "worker-2", ["crm-2"])],
        [(person, "accepted") for person in people],
        {person: {name: json.dumps(value) for name, value in row.items()} for person, row in people.items()},
    )


def test_a_night_in_which_everybody_was_sent_once_is_right(night: Nights) -> None:
    found = night.audit()

    assert found == RIGHT
    assert found.is_right


def test_somebody_whom_braze_did_not_get_is_lost(night: Nights) -> None:
    night.requests.pop()

    found = night.audit()

    assert (found.sent, found.lost) == (2, 1)
    assert not found.is_right


def test_somebody_who_arrived_with_another_value_is_lost(night: Nights) -> None:
    night.people = {**night.people, "crm-1": {**night.people["crm-1"], "attribute_3": "of somebody else"}}

    assert night.audit().lost == 1


def test_somebody_who_was_sent_twice_without_a_kill_is_doubled(night: Nights) -> None:
    night.requests.append((3.0, "worker-2", ["crm-0"]))

    found = night.audit()

    assert (found.doubled, found.again) == (1, 0)
    assert not found.is_right


def test_somebody_whose_answer_the_kill_took_may_be_sent_again(night: Nights) -> None:
    night.requests.append((3.0, "worker-2", ["crm-0"]))
    night.kill("worker-1", 1.5, "crm-1")

    found = night.audit()

    assert (found.doubled, found.again) == (0, 1)
    assert found.is_right


def test_somebody_with_a_durable_receipt_is_doubled_also_after_a_kill(night: Nights) -> None:
    night.requests.append((3.0, "worker-2", ["crm-0"]))
    night.kill("worker-1", 1.5, "crm-0")

    assert night.audit().doubled == 1


def test_somebody_whom_a_worker_sent_after_its_kill_is_doubled(night: Nights) -> None:
    night.requests.append((3.0, "worker-2", ["crm-0"]))
    night.kill("worker-1", 0.5)

    assert night.audit().doubled == 1


def test_a_missing_a_second_and_a_bad_receipt_are_each_found(night: Nights) -> None:
    night.receipts = [("crm-0", "accepted"), ("crm-0", "accepted"), ("crm-1", "rejected")]

    assert night.audit().receipts == 3


def test_a_missing_and_a_wrong_row_of_the_ledger_are_found(night: Nights) -> None:
    del night.ledger["crm-0"]
    night.ledger["crm-1"]["attribute_0"] = '"something else"'

    assert night.audit().ledger == 2


def test_who_is_acknowledged_is_read_from_part_receipts(s3: Server, tmp_path: Path) -> None:
    part = tmp_path / "part.parquet"
    rows = f"('{_identifier('crm-1')}', 'accepted'), ('{_identifier('crm-2')}', 'unknown')"
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {rows}) AS t(identifier, outcome)) TO '{part}' (FORMAT parquet)")
    key = f"staging/{GOAL_ID}/work/run/delta-1/receipts/partition=0/1-00000.parquet"

    before = acknowledged(s3.url, tmp_path / "before.parquet")
    s3_client(s3.url).upload_file(str(part), BUCKET, key)
    after = acknowledged(s3.url, tmp_path / "after.parquet")

    assert duckdb.sql(f"FROM '{before}'").fetchall() == []
    assert duckdb.sql(f"FROM '{after}'").fetchall() == [("crm-1",)]


def test_the_tables_show_each_kill_and_two_workers_against_one(night: Nights) -> None:
    night.kill("worker-1", 1.5)
    outcome = night.outcome(night.folder)
    outcome.steps = {"upload": 12.0}

    shown = tables([(outcome, RIGHT)] * 3)

    assert "upload     worker-1" in shown
    assert "upload  12.0          12.0         1.00" in shown

"""A table that somebody gave a feature is told apart from a damaged one, before anything is sent."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError, UnsupportedTable
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.tables import Table
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.upkeep.recovery import recover_ledger
from tests.support.clock import in_clock_time
from tests.support.core import engine
from tests.support.nights import Night, profile
from tests.support.staging import LocalStaging
from tests.support.targets import Braze


def made(where: Path, kind: type[Table] = Ledger) -> Path:
    rows = pa.table({"identifier": ["x"], "partition": pa.array([0], pa.int32())})
    kind(str(where), {}).replace_partitions(rows.to_reader(), [0], transactions={})
    return where


def give(
    where: Path,
    *,
    versions: tuple[int, int] = (1, 2),
    reader: list[str] | None = None,
    writer: list[str] | None = None,
    properties: dict[str, str] | None = None,
    column: dict[str, Any] | None = None,
) -> None:
    """Change the head of a table as another engine would: in a commit of its own."""
    log = where / "_delta_log"
    actions = [json.loads(line) for line in (log / f"{0:020d}.json").read_text().splitlines()]
    head = next(action for action in actions if "metaData" in action)
    head["metaData"]["configuration"] = properties or {}
    schema = json.loads(head["metaData"]["schemaString"])
    for field in schema["fields"]:
        field.update({"nullable": (column or {}).get("nullable", True)})
        field["metadata"] = {key: value for key, value in (column or {}).items() if key != "nullable"}
    head["metaData"]["schemaString"] = json.dumps(schema)
    protocol = {"minReaderVersion": versions[0], "minWriterVersion": versions[1]}
    lists = {"readerFeatures": reader, "writerFeatures": writer}
    protocol |= {name: names for name, names in lists.items() if names is not None}  # type: ignore[misc]
    version = DeltaTable(str(where)).version() + 1
    (log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, [{"protocol": protocol}, head])))


MAPPED = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"}
FEATURES: dict[str, tuple[dict[str, Any], str]] = {
    "deletion vectors": (
        {"versions": (3, 7), "reader": ["deletionVectors"], "writer": ["deletionVectors"]},
        "DROP FEATURE deletionVectors",
    ),
    "column mapping by version": (
        {"versions": (2, 5), "properties": {"delta.columnMapping.mode": "name"}, "column": MAPPED},
        "DROP FEATURE columnMapping",
    ),
    "column mapping by name": (
        {
            "versions": (3, 7),
            "reader": ["columnMapping"],
            "writer": ["columnMapping"],
            "properties": {"delta.columnMapping.mode": "id"},
            "column": MAPPED,
        },
        "DROP FEATURE columnMapping",
    ),
    "checkpoints of another kind": (
        {"versions": (3, 7), "reader": ["v2Checkpoint"], "writer": ["v2Checkpoint"]},
        "DROP FEATURE v2Checkpoint",
    ),
    "a catalog that keeps the log": (
        {"versions": (3, 7), "reader": ["catalogManaged"], "writer": ["catalogManaged", "inCommitTimestamp"]},
        "catalogManaged, inCommitTimestamp",
    ),
    "a feature of tomorrow": (
        {"versions": (3, 7), "reader": ["timeless"], "writer": ["timeless"]},
        "DROP FEATURE timeless",
    ),
    "a feature for writers": ({"versions": (1, 7), "writer": ["rowTracking", "domainMetadata"]}, "rowTracking, domain"),
    "a protocol of tomorrow": ({"versions": (1, 8), "writer": []}, "reader version 1, writer version 8"),
    "identity columns by version": ({"versions": (1, 6)}, "DROP FEATURE identityColumns"),
    "append only": ({"properties": {"delta.appendOnly": "true"}}, r"UNSET TBLPROPERTIES \('delta.appendOnly'\)"),
    "a constraint": (
        {"versions": (1, 3), "properties": {"delta.constraints.short": "identifier <> 'y'"}},
        "DROP CONSTRAINT short",
    ),
    "a generated column": (
        {"versions": (1, 4), "column": {"delta.generationExpression": "'y'"}},
        r"a generated column \(identifier\)",
    ),
    "an invariant": ({"column": {"delta.invariants": "{}"}}, "an invariant on a column"),
    "not null": ({"column": {"nullable": False}}, "ALTER COLUMN identifier DROP NOT NULL"),
}


@pytest.mark.parametrize(("feature", "words"), FEATURES.values(), ids=FEATURES)
def test_a_feature_that_we_can_t_use_is_named_and_not_called_damage(
    feature: dict[str, Any], words: str, tmp_path: Path
) -> None:
    give(made(tmp_path / "ledger"), **feature)

    with pytest.raises(UnsupportedTable, match=words) as caught:
        Ledger(str(tmp_path / "ledger"), {}).open()

    assert str(tmp_path / "ledger") in str(caught.value)
    assert "`braze-blueconic recover" not in str(caught.value)


HARMLESS: dict[str, dict[str, Any]] = {
    "no mapping": {"versions": (2, 5), "properties": {"delta.columnMapping.mode": "none"}},
    "features that every table may have": {"versions": (1, 7), "writer": ["appendOnly", "invariants"]},
    "change data": {"versions": (1, 4), "properties": {"delta.enableChangeDataFeed": "true"}},
    "a property of somebody's own": {"properties": {"owner": "crm"}},
}


@pytest.mark.parametrize("feature", HARMLESS.values(), ids=HARMLESS)
def test_a_feature_that_changes_nothing_for_us_is_no_obstacle(feature: dict[str, Any], tmp_path: Path) -> None:
    give(made(tmp_path / "ledger"), **feature)
    ledger = Ledger(str(tmp_path / "ledger"), {})
    rows = pa.table({"identifier": ["y"], "partition": pa.array([0], pa.int32())})

    ledger.replace_partitions(rows.to_reader(), [0], transactions={})

    assert DeltaTable(ledger.uri).to_pyarrow_table()["identifier"].to_pylist() == ["y"]


def test_receipts_may_be_append_only(tmp_path: Path) -> None:
    give(made(tmp_path / "receipts", ReceiptTable), properties={"delta.appendOnly": "true"})

    assert ReceiptTable(str(tmp_path / "receipts"), {}).exists


def test_a_feature_is_found_where_only_a_checkpoint_tells_of_it(tmp_path: Path) -> None:
    where = made(tmp_path / "ledger")
    give(where, versions=(3, 7), reader=["deletionVectors"], writer=["deletionVectors"])
    DeltaTable(str(where)).create_checkpoint()
    for commit in (where / "_delta_log").glob("*.json"):
        commit.unlink()

    with pytest.raises(UnsupportedTable, match="deletionVectors"):
        Ledger(str(where), {}).open()


@pytest.mark.parametrize(
    "content", ["{", '{"protocol": {}}', '"text"', ""], ids=["half", "no versions", "text", "empty"]
)
def test_a_damaged_log_is_still_called_damaged(content: str, tmp_path: Path) -> None:
    where = made(tmp_path / "ledger")
    (where / "_delta_log" / f"{0:020d}.json").write_text(content)

    with pytest.raises(BrokenTable, match="its log"):
        Ledger(str(where), {}).open()


@pytest.mark.parametrize("table", ["ledger", "receipts", "runs"])
def test_nothing_is_sent_while_a_table_of_the_goal_has_such_a_feature(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
    braze = Braze()
    night(tmp_path, 1, braze).run()
    give(tmp_path / "staging" / "goal" / table, versions=(3, 7), reader=["timeless"], writer=["timeless"])
    sent = braze.requests

    with pytest.raises(UnsupportedTable, match=f"timeless from .*{table}"):
        night(tmp_path, 2, braze).run()

    assert braze.requests == sent


def test_recover_leaves_a_ledger_alone_that_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
    night(tmp_path, 1, Braze()).run()
    workspace = Workspace(LocalStaging(), GoalFolder(str(tmp_path / "staging"), "goal"), "recover", engine(tmp_path))
    ledger = tmp_path / "staging" / "goal" / "ledger"
    give(ledger, versions=(3, 7), reader=["timeless"], writer=["timeless"])

    with pytest.raises(SyncError, match="nothing to recover"):
        recover_ledger(workspace, partitions=2)

    assert sorted(path.name for path in ledger.parent.iterdir() if "broken" in path.name) == []


def night(home: Path, number: int, braze: Braze) -> Night:
    people = [profile(f"x-{who}", first_name="Ann", tier=str(number)) for who in range(4)]
    return Night(home, f"night-{number}", people, dt.datetime(2026, 11, number, tzinfo=dt.UTC), braze)

"""Tables for tests of the core: rows as dicts go in, the core works on files, rows as dicts come out.

The columns are written out here as the core's docstrings give them, not taken from its code.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.delta.identity import settle_identities
from airflow_provider_braze_blueconic.sync.delta.partition_delta import compute_delta
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField, MappingPlan, Matching
from airflow_provider_braze_blueconic.sync.mapping.snapshot import MappedCounts, map_snapshot
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule

__all__ = [
    "EXTERNAL_ID",
    "acknowledged",
    "day",
    "engine",
    "ledger_rows",
    "map_people",
    "map_values",
    "mapping",
    "person",
    "read_rows",
    "run_delta",
    "stored_ledger",
    "write_delta",
    "write_receipts",
    "write_rows",
    "write_seen",
    "write_snapshot_file",
]

_MOMENT = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())

EXTERNAL_ID = IdentifierLink("crm", '{"external_id":', "}")
"""The identifier link of the tests: the list column ``crm`` of the snapshot is Braze's ``external_id``."""

_SNAPSHOT_TYPES: Mapping[str, pa.DataType] = {
    "row": pa.int64(),
    "profile_id": pa.string(),
    "as_of": _MOMENT,
    "last_modified": _MOMENT,
    "consented": _TEXTS,
}
_LEDGER_TYPES: Mapping[str, pa.DataType] = {
    "identifier": pa.string(),
    "partition": pa.int32(),
    "as_of": _MOMENT,
    "in_segment": pa.bool_(),
    "run_key": pa.string(),
    "rejection": pa.string(),
    "attempts": pa.int32(),
    "refused_hash": pa.string(),
    "refused_as": pa.string(),
    "tried_at": _MOMENT,
    "unstuck": pa.int32(),
    "unstuck_hash": pa.string(),
    "unproven": pa.bool_(),
}
_DELTA_TYPES: Mapping[str, pa.DataType] = {
    "identifier": pa.string(),
    "kind": pa.string(),
    "as_of": _MOMENT,
    "to_send": pa.bool_(),
    "absent": pa.bool_(),
    "data_points": pa.int32(),
}
_RECEIPT_TYPES: Mapping[str, pa.DataType] = {
    "identifier": pa.string(),
    "outcome": pa.string(),
    "reason": pa.string(),
    "status": pa.int32(),
    "sent_at": _MOMENT,
    "refused_fields": _TEXTS,
}


def day(number: int) -> dt.datetime:
    """A day of November 2026, UTC."""
    return dt.datetime(2026, 11, number, tzinfo=dt.UTC)


def person(external_id: str) -> str:
    """The identifier of a person as the core keeps it."""
    return json.dumps({"external_id": external_id}, separators=(",", ":"), ensure_ascii=False)


def engine(folder: Path) -> Engine:
    """A small engine that works below a folder."""
    return Engine(folder / "engine", threads=1)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> Path:
    """Write rows as a Parquet file; a column that ``types`` does not know holds texts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys((*types, *(name for row in rows for name in row)))
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
    return path


def read_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Read Parquet files as rows, ordered by identifier."""
    rows = [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]
    return sorted(rows, key=lambda row: str(row["identifier"]))


# Snapshot and mapping


def write_snapshot_file(path: Path, people: Sequence[Mapping[str, Any]], *, first_row: int = 0) -> Path:
    """Write a part of a snapshot. What a person does not say gets a plain default; lists are list columns."""
    lists = {name: _TEXTS for one in people for name, value in one.items() if isinstance(value, list)}
    rows = [
        {"row": row, "profile_id": f"p{row}", "as_of": day(1), "last_modified": day(1), **one}
        for row, one in enumerate(people, start=first_row)
    ]
    return write_rows(path, rows, {"crm": _TEXTS, **_SNAPSHOT_TYPES, **lists})


def mapping(
    *fields: MappedField,
    identifiers: Sequence[IdentifierLink] = (EXTERNAL_ID,),
    clear_missing: bool = False,
    objectives: Sequence[str] = (),
    partitions: int = 1,
    matching: Matching | None = None,
) -> MappingPlan:
    """A mapping plan for people identified by ``crm``."""
    return MappingPlan(
        tuple(identifiers),
        fields,
        clear_missing=clear_missing,
        objectives=tuple(objectives),
        partitions=partitions,
        matching=matching,
    )


def map_people(
    folder: Path, people: Sequence[Mapping[str, Any]], plan: MappingPlan
) -> tuple[MappedCounts, dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Map people.

    :return: the counts, the mapped rows by identifier (without their partition), the skipped rows.
    """
    part = write_snapshot_file(folder / "snapshot.parquet", people)
    counts = map_snapshot(engine(folder), [part], plan, folder / "mapped")
    rows = read_rows((folder / "mapped").glob("partition=*/*.parquet"))
    mapped = {row["identifier"]: {k: v for k, v in row.items() if k not in ("partition", "row")} for row in rows}
    assert len(mapped) == len(rows)
    return counts, mapped, read_rows([folder / "mapped" / "skipped.parquet"])


def map_values(folder: Path, rule: ValueRule, values: Sequence[str | list[str]]) -> list[tuple[str | None, str | None]]:
    """Map one value a person: (JSON text, None), (None, reason), or (None, None) where there is nothing to say."""
    people = [{"crm": [str(row)], "v": [v] if isinstance(v, str) else v} for row, v in enumerate(values)]
    _, mapped, _ = map_people(folder, people, mapping(MappedField("target", "v", rule=rule)))
    found = []
    for row in range(len(values)):
        written = mapped[person(str(row))]
        reasons = [warning.split(":", 1)[1] for warning in written["warnings"] or []]
        assert len(reasons) <= 1
        found.append((written["field_target"], reasons[0] if reasons else None))
    return found


# Ledger and delta


def stored_ledger(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    newest: dt.datetime | None = None,
    partitions: int = 1,
    ledger: Ledger | None = None,
) -> Ledger:
    """Write a ledger as earlier runs may have left it.

    :param newest: version of the last committed data.
    :param ledger: the ledger, where it does not lie in the folder.
    """
    fields = dict.fromkeys(name for row in rows for name in row if name.startswith("field_") or name == "known_by")
    schema = pa.schema([*_LEDGER_TYPES.items(), *((name, pa.string()) for name in fields)])
    plain = {"partition": 0, "as_of": day(1), "in_segment": True, "run_key": "earlier", "attempts": 0}
    table = pa.Table.from_pylist([{**plain, **row} for row in rows], schema=schema)
    ledger = ledger or Ledger(str(folder / "ledger"), {})
    transactions = {"partitions": partitions}
    if newest is not None:
        transactions["as_of"] = int(newest.timestamp() * 1_000_000)
    reader = pa.RecordBatchReader.from_batches(schema, table.to_batches())
    ledger.replace_partitions(reader, range(partitions), transactions=transactions)
    return ledger


def ledger_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the ledger of a folder as it is now: identifier → row."""
    table = Ledger(str(folder / "ledger"), {}).open()
    assert table is not None
    rows = table.to_pyarrow_table().to_pylist()
    found = {row.pop("identifier"): row for row in rows}
    assert len(found) == len(rows), "an identifier is in the ledger twice"
    return found


def run_delta(
    folder: Path,
    mapped: Sequence[Mapping[str, Any]],
    ledger: Ledger,
    plan: DeltaPlan,
    *,
    skipped: Sequence[Mapping[str, Any]] | None = None,
    partition: int = 0,
    seen: Sequence[Seen] = (),
    records: Sequence[Mapping[str, Any]] = (),
) -> tuple[DeltaCounts, dict[str, dict[str, Any]]]:
    """Compute a delta.

    :param seen: see :func:`write_seen`.
    :param records: everybody who was read, as the mapping of a goal with several links leaves them.
    :return: the counts and the delta's rows by identifier.
    """
    texts = {"identifier": pa.string(), "reason": pa.string()}
    skipped_file = None if skipped is None else write_rows(folder / "skipped.parquet", skipped, texts)
    rows = [{"as_of": plan.as_of, **row} for row in mapped]
    files = [write_rows(folder / "mapped.parquet", rows, {"as_of": _MOMENT})] if rows else []
    out = folder / "delta.parquet"
    out.unlink(missing_ok=True)
    identities = None
    if records:
        known = [{"as_of": plan.as_of, **record} for record in records]
        types = {"sent_as": pa.string(), "identifiers": _TEXTS, "as_of": _MOMENT}
        file = write_rows(folder / "records.parquet", known, types)
        identities = settle_identities(engine(folder), [file], ledger=ledger, plan=plan, folder=folder / "identities")
    counts = compute_delta(
        engine(folder),
        partition=partition,
        mapped=files,
        skipped=skipped_file,
        ledger=ledger,
        plan=plan,
        out=out,
        seen=seen,
        identities=identities,
    )
    found = read_rows([out]) if out.exists() else []
    return counts, {row.pop("identifier"): row for row in found}


def write_seen(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    as_of: dt.datetime,
    settles_in: dt.timedelta = dt.timedelta(0),
    certain: Iterable[str] = (),
    whole: bool = False,
) -> Seen:
    """Write what another goal's read saw of the target, as the mapping leaves it.

    :param rows: ``identifier`` (of the person, or the condition by which the target finds them) and ``field_…``;
        ``row`` where several are one record, ``certain_…`` where a field is not certain of everybody.
    """
    certainty = {name: pa.bool_() for row in rows for name in row if name.startswith("certain_")}
    types = {"row": pa.int64(), "identifier": pa.string(), "as_of": _MOMENT, **certainty}
    file = write_rows(path, [{"row": number, "as_of": as_of, **row} for number, row in enumerate(rows)], types)
    return Seen(file, settles_in, frozenset(certain), whole)


def write_delta(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write the delta of a partition."""
    plain = {"kind": "insert", "as_of": day(1), "to_send": True, "data_points": 1}
    seldom = {"seen_as_of": _MOMENT, "sticks": pa.bool_(), "takes_over": pa.bool_(), "crossed": _TEXTS}
    there = {name: type_ for name, type_ in seldom.items() if any(name in row for row in rows)}
    return write_rows(path, [{**plain, **row} for row in rows], {**_DELTA_TYPES, **there})


def write_receipts(path: Path, receipts: Sequence[tuple[Any, ...]]) -> Path:
    """Write part receipts.

    :param receipts: see :func:`acknowledged`.
    """
    names = ("identifier", "outcome", "reason", "refused_fields", "status")
    rows = [
        {"reason": "", "sent_at": day(1) + dt.timedelta(seconds=number), **dict(zip(names, receipt, strict=False))}
        for number, receipt in enumerate(receipts)
    ]
    return write_rows(path, rows, _RECEIPT_TYPES)


def acknowledged(
    folder: Path,
    delta: Mapping[int, Sequence[Mapping[str, Any]]],
    receipts: Sequence[tuple[Any, ...]],
    *,
    delta_id: str = "d1",
    run_key: str = "run",
    as_of: dt.datetime | None = None,
    partitions: int = 1,
    policy: str = "",
    last_delta: int | None = None,
    settings: Mapping[str, int] | None = None,
) -> Acknowledged:
    """The outcome of an upload.

    :param delta: partition → delta rows.
    :param receipts: (identifier, outcome), with the reason, the refused fields and the status behind it where there are
        any.
    """
    name = f"{delta_id}-{len(receipts)}"
    parts = [write_receipts(folder / f"receipts-{name}.parquet", receipts)] if receipts else []
    files = {number: write_delta(folder / f"delta-{name}-{number}.parquet", some) for number, some in delta.items()}
    return Acknowledged(
        run_key=run_key,
        delta_id=delta_id,
        as_of=as_of or day(1),
        partitions=partitions,
        delta=files,
        receipts=parts,
        settings=settings or {},
        receipt_rows=len(receipts),
        policy=policy,
        last_delta=last_delta,
    )

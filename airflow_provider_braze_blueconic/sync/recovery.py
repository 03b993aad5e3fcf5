"""A ledger that is gone or broken: saying so before anything is sent again, and making it anew from the receipts.

The receipts table tells of every record what was sent and what became of it, so the last value of each field that was
accepted is what the target has acknowledged. What the receipts do not tell:

* ``in_segment`` is NULL until a run meets the person again, so who left since the last run does not count as a leaver.
* ``refused_hash`` is NULL, so people who rested are tried once more; ``unstuck`` is forgotten with it.
* ``known_by`` of an export is NULL until a run meets the person again. Who moved from one identifier to another has two
  rows that both say something, so where these differ the field is sent once more.
* ``unproven`` is NULL: who was accepted only while people were not to be created counts as that until they are accepted
  while they are, so that they are sent once more if creation is switched on later.
* What the ledger learnt without a sending, since the target was seen to hold it, is not there, and is sent if it is not
  seen again.
* Who has no receipt and may have been reached by an upload that was killed was in doubt in the ledger, and is not now.
  If the source is back at the value before, the target may hold the other one.
* Of a number that is added to with ``of: increase`` the level is the sum of what was added, also where it is not known
  whether it was. A counter that fell in between stood lower. So the level may be too high: the next increases may then
  add too little, never twice.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError
from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_column
from airflow_provider_braze_blueconic.sync.database import connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.receipts import ReceiptTable
from airflow_provider_braze_blueconic.sync.runs import RunTable
from airflow_provider_braze_blueconic.sync.tables import from_microseconds

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.delta import DeltaPlan
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.staging import GoalFolder

__all__ = ["Recovery", "recover_ledger", "refuse_lost_ledger", "refuse_other_direction", "refuse_vanished_ledger"]

Sum = Literal["value", "increase"]
"""How a number is added to, as ``of`` in a goal file."""

_DECIDED = "outcome IN ('accepted', 'rejected', 'not_found', 'no_consent')"
_NUMBER = "DECIMAL(38, 4)"
"""As exact as the delta's own sums."""


def refuse_lost_ledger(workspace: Workspace, *, people: int, plan: DeltaPlan) -> None:
    """Stop before everything is sent and paid for again because the ledger is gone.

    A goal that never committed a run is healthy without one: a first run, a dry run, a run that the guard stopped, and
    a first run that was killed leave neither receipts nor a successful run, or an open upload that is committed first.

    :param people: in the mapped snapshot.
    :raises SyncError: if receipts or runs show that there was a ledger.
    """
    folder, options = workspace.folder, workspace.staging.storage_options()
    if ReceiptTable(folder.receipts, options).exists:
        proof = f"{folder.receipts}/ shows what was sent"
    elif any(RunTable(folder.runs, options).reads()["committed"].to_pylist()):
        proof = f"{folder.runs}/ shows runs that were committed"
    else:
        return
    sums = [target for target in plan.targets if plan.merge(target) == "sum"]
    points = people * len(plan.billable.intersection(plan.targets))
    cost = [f"all {people:,} people"]
    if points:
        cost.append(f"about {points:,} data points")
    again = f", and add to {', '.join(sums)} what was added before" if sums else ""
    raise SyncError(
        f"{folder.goal_id}: the ledger {folder.ledger}/ is gone, though {proof}. Without it this run would send "
        f"{' and '.join(cost)} again{again}. Nothing was sent. {_ways_out(folder)}"
    )


def refuse_vanished_ledger(folder: GoalFolder) -> None:
    """Stop where a ledger was there when the delta was made: a new one would know only the people of this delta.

    :raises SyncError: always. The receipts are in their table by then, and the upload stays open, so nothing is lost.
    """
    raise SyncError(
        f"{folder.goal_id}: the ledger {folder.ledger}/ is gone since this delta was made. What the target answered is "
        f"kept in {folder.receipts}/. {_ways_out(folder)}"
    )


def refuse_other_direction(folder: GoalFolder, known: int | None, wanted: int | None) -> None:
    """Stop where the goal ran the other way before: its ledger knows other people, by other texts.

    :param known: direction in the ledger; ``None`` if it does not say.
    :param wanted: direction of the goal; ``None`` if it sends nothing this time.
    :raises SyncError: if they differ. Nothing is changed.
    """
    if known is not None and wanted is not None and known != wanted:
        raise SyncError(
            f"{folder.goal_id}: give the goal another id. The ledger {folder.ledger}/ belongs to a goal of the other "
            "direction, and knows other people by other values. Nothing was sent."
        )


def _ways_out(folder: GoalFolder) -> str:
    return (
        "Run `braze-blueconic recover <goal file>` to make the ledger anew from the receipts. Of an export goal a "
        "reconcile (`reconcile:` in the goal file) fills it from what Braze holds instead. Only if everything shall be "
        f"sent anew, remove {folder.receipts}/ and {folder.runs}/."
    )


@dataclass(frozen=True)
class Recovery:
    """What was found in the receipts, and what was made of it.

    :param receipts: receipts that were read.
    :param deltas: uploads that they belong to.
    :param first: the oldest of them, UTC.
    :param last: the newest of them, UTC.
    :param people: people in the new ledger.
    :param values: fields of them that are known.
    :param refused: people among them whom the target did not take the last time, or not whole.
    :param sums: fields that are added to, whose level may be too high.
    :param open_uploads: uploads that are left to the next run, which commits them by itself.
    :param as_of: version of the newest data that a run has committed.
    :param broken: why the ledger that was there could not be read; ``None`` if there was none.
    :param put_aside: where the files of that ledger are now; ``None`` if there were none, and in a dry run.
    :param written: the ledger was made.
    """

    receipts: int
    deltas: int
    first: dt.datetime
    last: dt.datetime
    people: int
    values: int
    refused: int
    sums: tuple[str, ...]
    open_uploads: int
    as_of: dt.datetime
    broken: str | None
    put_aside: str | None
    written: bool


def recover_ledger(
    workspace: Workspace, *, partitions: int, sums: Mapping[str, Sum] | None = None, dry_run: bool = False
) -> Recovery:
    """Make the ledger of a goal anew from its receipts table.

    A ledger that is there and can't be read is put aside first, into ``ledger-broken-<time>/`` of the goal. A kill in
    between leaves no ledger, and the same command goes on from there.

    :param partitions: that the new ledger is divided by.
    :param sums: target → how it is added to, of the goal as it is now.
    :param dry_run: only look; change nothing.
    :raises SyncError: if the ledger can be read, or there is no receipt to make one from.
    :raises WriterConflict: if a run made a ledger meanwhile; nothing was changed.
    """
    folder, sums = workspace.folder, sums or {}
    broken = _what_is_broken(workspace)
    receipts = ReceiptTable(folder.receipts, workspace.staging.storage_options())
    if not receipts.exists:
        raise SyncError(
            f"{folder.goal_id}: there are no receipts in {folder.receipts}/, so there is nothing to make a ledger "
            "from. Check the goal's `id` and `staging`; a goal that never sent anything needs no ledger."
        )
    waiting = _open_deltas(workspace)
    with workspace.local("recovery") as local, connect(workspace.engine) as connection:
        divided = _divide_receipts(connection, receipts, local / "receipts", partitions, waiting)
        if not divided:
            raise SyncError(
                f"{folder.goal_id}: all receipts in {folder.receipts}/ belong to an upload that the next run commits "
                "by itself. Let the goal run."
            )
        deltas = _load_deltas(connection, divided, RunTable(folder.runs, workspace.staging.storage_options()))
        files = []
        for partition, parts in sorted(divided.items()):
            files.append(local / f"ledger-{partition}.parquet")
            rows = _ledger_rows(connection, parts, partition, sums)
            connection.execute(f"COPY ({rows}) TO {literal(str(files[-1]))} (FORMAT parquet, COMPRESSION lz4_raw)")
        found = _count(connection, files)
        put_aside = None
        if not dry_run:
            put_aside = _put_aside(workspace)
            numbers = {delta_id: receipts.transaction(f"delta:{delta_id}") or 0 for delta_id in deltas}
            workspace.ledger().rebuild(files, partitions=partitions, as_of=found["as_of"], deltas=numbers)
    return Recovery(
        deltas=len(deltas),
        sums=tuple(target for target, of in sums.items() if of == "increase"),
        open_uploads=len(waiting),
        broken=broken,
        put_aside=put_aside,
        written=not dry_run,
        **found,
    )


def _what_is_broken(workspace: Workspace) -> str | None:
    """Say why the ledger can't be read; ``None`` if there is none.

    :raises SyncError: if all of it can be read.
    """
    ledger = workspace.ledger()
    try:
        with ledger.reading():
            rows = ledger.rows()
            if rows is None:
                return None
            people = sum(batch.num_rows for batch in rows)
    except BrokenTable as error:
        return str(error)
    raise SyncError(
        f"{workspace.folder.goal_id}: the ledger {ledger.uri}/ is there and can be read ({people:,} people), so there "
        "is nothing to recover. To make it anew all the same, move that folder away first."
    )


def _open_deltas(workspace: Workspace) -> list[str]:
    """Name the deltas that the next run commits by itself, and more exactly than their receipts could tell."""
    staging = workspace.staging
    waiting = []
    for staged in staging.list_objects(workspace.folder.open_uploads):
        delta = json.loads(staging.read_bytes(staged.uri))
        there = {item.uri for item in staging.list_objects(f"{delta['uri']}/")}
        if all(f"{delta['uri']}/partition={partition}.parquet" in there for partition in delta["partitions"]):
            waiting.append(str(delta["delta_id"]))
    return waiting


def _divide_receipts(
    connection: duckdb.DuckDBPyConnection, table: ReceiptTable, out: Path, partitions: int, waiting: Sequence[str]
) -> dict[int, list[Path]]:
    """Copy the receipts into local files by partition, so that only one of them has to be in memory.

    :param waiting: deltas whose receipts are left out.
    :return: partition → files.
    """
    wanted = ["identifier", "run_key", "delta_id", "outcome", "reason", "sent_at", "refused_fields", "fields"]
    rows = table.rows([*wanted, "matching"])
    # Only an import tells by what it asked, and receipts of before do not.
    asked = "" if "matching" in table.columns() else ", NULL::VARCHAR AS matching"
    out.mkdir(parents=True)
    connection.register("receipt_rows", rows)
    left_out = "".join(f" AND delta_id <> {literal(delta_id)}" for delta_id in waiting)
    with table.reading():
        connection.execute(
            f"COPY (SELECT *{asked}, {partition_sql('identifier', partitions)} AS partition FROM receipt_rows "
            f"WHERE TRUE{left_out}) TO {literal(str(out))} (FORMAT parquet, PARTITION_BY (partition))"
        )
    connection.unregister("receipt_rows")
    divided: dict[int, list[Path]] = {}
    for path in sorted(out.rglob("*.parquet")):
        divided.setdefault(int(path.parent.name.removeprefix("partition=")), []).append(path)
    return divided


def _load_deltas(
    connection: duckdb.DuckDBPyConnection, divided: Mapping[int, Sequence[Path]], runs: RunTable
) -> list[str]:
    """Load the deltas with their versions into ``deltas``, and say which they are.

    A delta is as old as the read of its run; where the run was killed before its report, as its first sending, which is
    later and so keeps the same data out.
    """
    connection.register("run_rows", runs.reads())
    everything = parquet_source([path for parts in divided.values() for path in parts])
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE deltas AS
        SELECT delta_id, receipts, first, last, coalesce(
            (SELECT min_by(r.read_started_at, r.reported_at) FROM run_rows AS r
             WHERE r.run_key = d.run_key AND r.reported_at >= d.last),
            first
        ) AS as_of
        FROM (
            SELECT delta_id, any_value(run_key) AS run_key, count(*) AS receipts, min(sent_at) AS first,
                max(sent_at) AS last
            FROM {everything} GROUP BY delta_id
        ) AS d
        """
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE confirmed AS SELECT max(read_started_at) AS as_of FROM run_rows WHERE committed"
    )
    connection.unregister("run_rows")
    return [delta_id for (delta_id,) in connection.execute("SELECT delta_id FROM deltas ORDER BY as_of").fetchall()]


def _ledger_rows(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], partition: int, sums: Mapping[str, Sum]
) -> str:
    """SQL for the rows of one partition of the ledger."""
    # Of a delta the best receipt of a person counts, as for the ledger: accepted over not taken over unknown.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE told AS
        SELECT identifier, delta_id, best.*, d.as_of FROM (
            SELECT identifier, delta_id, min_by(
                {{'outcome': outcome, 'reason': reason, 'refused_fields': refused_fields, 'fields': fields,
                  'run_key': run_key, 'sent_at': sent_at, 'matching': matching}},
                (CASE outcome WHEN 'accepted' THEN 0 WHEN 'unknown' THEN 2 ELSE 1 END, sent_at)
            ) AS best
            FROM {parquet_source(parts, union_by_name=True)} GROUP BY identifier, delta_id
        ) JOIN deltas AS d USING (delta_id)
        """
    )
    _split_fields(connection)
    keys = [key for (key,) in connection.execute("SELECT DISTINCT key FROM sent ORDER BY key").fetchall()]
    fields = [f"{_known_sql(key, sums.get(key))} AS {quote(field_column(key))}" for key in keys]
    known = ", ".join(["identifier", *fields])
    has_level = " OR ".join(f"v.{quote(field_column(key))} IS NOT NULL" for key in keys) or "FALSE"
    whole = "(outcome = 'accepted' AND coalesce(len(refused_fields), 0) = 0)"
    # Counted from the last time that the record was taken whole; the same values refused again are one more attempt.
    return f"""
        WITH known AS (SELECT {known} FROM sent GROUP BY identifier),
        ordered AS (
            SELECT *, {whole} AS whole, row_number() OVER last_first AS place,
                sum({whole}::INTEGER) OVER last_first AS taken_since
            FROM told WHERE {_DECIDED}
            WINDOW last_first AS (PARTITION BY identifier ORDER BY sent_at DESC, delta_id DESC)
        ),
        books AS (
            SELECT identifier,
                max_by(as_of, sent_at) FILTER (WHERE outcome = 'accepted') AS as_of,
                any_value(run_key) FILTER (WHERE place = 1) AS run_key,
                bool_or(whole) FILTER (WHERE place = 1) AS whole,
                any_value(reason) FILTER (WHERE place = 1) AS reason,
                any_value(CASE outcome WHEN 'accepted' THEN 'fields' ELSE outcome END) FILTER (WHERE place = 1)
                    AS refused_as,
                any_value(as_of) FILTER (WHERE place = 1) AS tried_at,
                any_value(fields) FILTER (WHERE place = 1) AS tried,
                any_value(matching) FILTER (WHERE place = 1) AS known_by,
                list(fields) FILTER (WHERE taken_since = 0) AS failed
            FROM ordered GROUP BY identifier
        )
        SELECT identifier, {partition:d}::INTEGER AS partition, b.as_of, NULL::BOOLEAN AS in_segment, b.run_key,
            CASE WHEN NOT b.whole THEN b.reason END AS rejection,
            coalesce(len([f FOR f IN b.failed IF f IS NOT DISTINCT FROM b.tried]), 0)::INTEGER AS attempts,
            NULL::VARCHAR AS refused_hash,
            CASE WHEN NOT b.whole THEN b.refused_as END AS refused_as,
            CASE WHEN NOT b.whole THEN b.tried_at END AS tried_at,
            b.known_by,
            v.* EXCLUDE (identifier)
        FROM books AS b FULL JOIN known AS v USING (identifier)
        WHERE b.identifier IS NOT NULL OR {has_level}
        """


def _known_sql(key: str, sum_of: Sum | None) -> str:
    """SQL for what the target is known to hold of a field, over the rows of ``sent`` of one person."""
    mine = f"key = {literal(key)}"
    taken = f"outcome = 'accepted' AND NOT coalesce(list_contains(refused_fields, {literal(key)}), FALSE)"
    # What may have been added must not be added again; of other fields the target may hold what was sent last.
    reached = f"{mine} AND (({taken}) OR outcome = 'unknown')"
    if sum_of == "value":
        return f"max_by(value, sent_at) FILTER (WHERE {reached})"
    if sum_of == "increase":
        number = f"coalesce(TRY_CAST(json_extract_string(value, '$[0]') AS {_NUMBER}), 0)"
        # Never below what the ledger knew: what was set before the field became a sum may be negative.
        level = f"(sum(greatest({number}, 0)) FILTER (WHERE {reached}))"
        plain = f"regexp_replace(regexp_replace({level}::{_NUMBER}::VARCHAR, '0+$', ''), '\\.$', '')"
        return f"CASE WHEN {level} IS NOT NULL THEN concat('[\"', {plain}, '\"]') END"
    told = f"CASE outcome WHEN 'unknown' THEN {literal(IN_DOUBT)} ELSE value END"
    return f"max_by({told}, sent_at) FILTER (WHERE {reached})"


def _split_fields(connection: duckdb.DuckDBPyConnection) -> None:
    """Split what was sent into ``sent``, a row a person, delta and field, with its ``key`` and ``value``.

    A value is compared as text later, so it must be the very text that was sent. DuckDB writes what it read in its own
    way; where that is another (``1e5``, an escaped letter), the texts are cut out one by one.
    """
    import pyarrow as pa

    pairs = "json_transform(fields, '\"MAP(VARCHAR, JSON)\"')"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE split AS
        SELECT identifier, outcome, refused_fields, sent_at, fields,
            [{{'key': e.key, 'value': coalesce(e.value::VARCHAR, 'null')}} FOR e IN map_entries({pairs})] AS entries
        FROM told WHERE outcome IN ('accepted', 'unknown') AND fields IS NOT NULL
        """
    )
    again = "concat('{', array_to_string([to_json(e.key)::VARCHAR || ':' || e.value FOR e IN entries], ','), '}')"
    odd = connection.execute(f"SELECT DISTINCT fields FROM split WHERE fields IS DISTINCT FROM {again}").fetchall()
    cut = [(text, key, value) for (text,) in odd for key, value in _texts(text).items()]
    schema = pa.schema([("fields", pa.string()), ("key", pa.string()), ("value", pa.string())])
    connection.register("cut", pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in cut], schema))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE sent AS
        SELECT identifier, outcome, refused_fields, sent_at, e.key AS key, e.value AS value
        FROM (SELECT * EXCLUDE (entries), unnest(entries) AS e FROM split WHERE fields NOT IN (SELECT fields FROM cut))
        UNION ALL
        SELECT identifier, outcome, refused_fields, sent_at, key, value FROM split JOIN cut USING (fields)
        """
    )
    connection.unregister("cut")


def _texts(fields: str) -> dict[str, str]:
    """Cut the values out of a JSON object without spaces, as they are written: ``{"a":1e5}`` → ``{"a": "1e5"}``."""
    decoder = json.JSONDecoder()
    texts: dict[str, str] = {}
    at = 1
    while fields[at : at + 1] == '"':
        key, colon = decoder.raw_decode(fields, at)
        _, end = decoder.raw_decode(fields, colon + 1)
        texts[key] = fields[colon + 1 : end]
        at = end + 1
    return texts


def _count(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, Any]:
    rows = parquet_source(files, union_by_name=True)
    described = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
    fields = [name for name in described if name.startswith(FIELD_PREFIX)]
    values = " + ".join(f"count(nullif({quote(name)}, {literal(IN_DOUBT)}))" for name in fields) or "0"
    people, refused, known = connection.execute(f"SELECT count(*), count(refused_as), {values} FROM {rows}").fetchall()[
        0
    ]
    receipts, first, last, as_of = connection.execute(
        "SELECT sum(receipts)::BIGINT, epoch_us(min(first)), epoch_us(max(last)), "
        "epoch_us(greatest(max(as_of), (SELECT as_of FROM confirmed))) FROM deltas"
    ).fetchall()[0]
    return {
        "people": people,
        "refused": refused,
        "values": known,
        "receipts": receipts,
        "first": from_microseconds(first),
        "last": from_microseconds(last),
        "as_of": from_microseconds(as_of),
    }


def _put_aside(workspace: Workspace) -> str | None:
    """Move what is left of a ledger out of the way; a copy of all comes first, so that nothing is lost by a kill."""
    staging, folder = workspace.staging, workspace.folder
    there = [item.uri for item in staging.list_objects(f"{folder.ledger}/")]
    if not there:
        return None
    aside = f"{folder.root}/ledger-broken-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    for uri in there:
        staging.copy_object(uri, f"{aside}/{uri.removeprefix(f'{folder.ledger}/')}")
    staging.delete(there)
    return aside

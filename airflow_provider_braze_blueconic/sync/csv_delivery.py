"""Delivery of a delta as one CSV file, for BlueConic's own Amazon S3 connection to read.

A line of column names, then a row a person: first the properties by which BlueConic finds the person, then the target
fields in the goal's order; the same columns in every file, so that one goal of that connection reads them all. UTF-8
without a byte order mark; quotes only round what needs them, a space at an edge included: BlueConic's best practices
for CSV files, read 2026-11. Lines end in a bare line feed, which those do not settle and RFC 4180 has as carriage
return and line feed: who knows only the one form fails on a file of one line, in plain sight, while who knows only the
other would take a carriage return for a part of the last value.

An empty cell says nothing, or clears where that connection is told so (``set_or_clear``): the file has no third form.
So a person of whom a clearing field can't be said is left out, and not cleared by accident. A value that holds the
separator would be split in two; that field is left out.
"""

from __future__ import annotations

import datetime as dt
import gzip
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.columns import field_column, increase_column
from airflow_provider_braze_blueconic.sync.csv_files import DONE_SUFFIX
from airflow_provider_braze_blueconic.sync.database import connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.fence import Fence, Superseded, superseded
from airflow_provider_braze_blueconic.sync.pipeline import (
    Workspace,
    attempt,
    delta_uri,
    is_overtaken,
    mark_open,
    recover_uploads,
    upload_ref,
)
from airflow_provider_braze_blueconic.sync.receipts import OPEN_INTENT, Outcome, PartReceipts, Receipt
from airflow_provider_braze_blueconic.sync.references import DeltaRef, UploadRef
from airflow_provider_braze_blueconic.sync.space import SPACE_CLASS
from airflow_provider_braze_blueconic.sync.staging import Staging, fetch_folder, fresh_id
from airflow_provider_braze_blueconic.sync.upload import Tally

if TYPE_CHECKING:
    import duckdb

__all__ = ["CsvFormat", "Delivery", "deliver_csv", "delivery_uri"]

log = logging.getLogger(__name__)

_ROWS_PER_BATCH = 20_000
_NEEDS_QUOTES = rf'["\r\n]|^[{SPACE_CLASS}]|[{SPACE_CLASS}]$'
_SEPARATOR_INSIDE = "a value holds the separator"
_SEVERAL = "several values, and no separator"
_EMPTY = "a value is empty text, which a cell can't tell from no value"
_WOULD_CLEAR = ": its value can't stand in the file, and an empty cell would clear it"


@dataclass(frozen=True)
class CsvFormat:
    """How the file is written.

    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` can't write a field of several values.
    :param gzip: compress the file; its name then ends in ``.csv.gz``.
    """

    delimiter: str = ","
    multi_value_separator: str | None = "|"
    gzip: bool = False

    @property
    def suffix(self) -> str:
        return ".csv.gz" if self.gzip else ".csv"

    def cell(self, text: str) -> str:
        """Write a text as a cell; for the column names."""
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if self.delimiter in text else text

    def cell_sql(self, value: str) -> str:
        """SQL for the cell of a text."""
        needs = f"regexp_matches({value}, {literal(_NEEDS_QUOTES)}) OR contains({value}, {literal(self.delimiter)})"
        return (
            f"""CASE WHEN {needs} THEN concat('"', replace({value}, '"', '""'), '"') ELSE coalesce({value}, '') END"""
        )

    def fault_sql(self, values: str) -> str:
        """SQL for why a list of texts can't be one cell; NULL if it can."""
        if self.multi_value_separator is None:
            several = f"WHEN len({values}) > 1 THEN {literal(_SEVERAL)}"
            return f"CASE {several} WHEN {values}[1] = '' THEN {literal(_EMPTY)} END"
        inside = f"[v FOR v IN {values} IF contains(v, {literal(self.multi_value_separator)})]"
        empty = f"WHEN list_contains({values}, '') THEN {literal(_EMPTY)}"
        return f"CASE WHEN len({inside}) > 0 THEN {literal(_SEPARATOR_INSIDE)} {empty} END"

    def joined_sql(self, values: str) -> str:
        """SQL for the one text of a list of texts; NULL for no text."""
        return f"nullif(array_to_string({values}, {literal(self.multi_value_separator or '')}), '')"


@dataclass(frozen=True)
class Delivery:
    """What became of a delivery.

    :param uploads: a reference for each partition that was to be sent, for the report.
    :param uri: the file; ``None`` if there was nothing to write.
    :param rows: rows of the file; 0 if it lay there already.
    :param left_out: target field and reason → people of whom it was left out.
    """

    uploads: tuple[UploadRef, ...]
    uri: str | None
    rows: int
    left_out: Mapping[str, int]


def delivery_uri(folder: str, goal_id: str, delta: DeltaRef, format_: CsvFormat) -> str:
    """Name the file of a delta: the same in every attempt."""
    as_of = dt.datetime.fromisoformat(delta["as_of"]).astimezone(dt.UTC)
    return f"{folder.rstrip('/')}/{goal_id}_{as_of:%Y%m%dT%H%M%SZ}_{delta['delta_id']}{format_.suffix}"


def deliver_csv(
    workspace: Workspace,
    delta: DeltaRef,
    *,
    partitions: Sequence[int],
    links: Sequence[str],
    targets: Mapping[str, str],
    folder: str,
    format_: CsvFormat,
    target_staging: Staging,
) -> Delivery:
    """Write what a delta has to send as one CSV file, whole or not at all, and the receipts of all its people.

    The order, and what a kill leaves:

    1. the attempt's object, and the mark that an upload is open, as in every upload;
    2. the file on the local disk;
    3. an intent for each person to whose numbers something is added: a file that was read twice would add it twice;
    4. the file in its place, in one piece. From here on it may be read, and renamed or removed by its reader;
    5. a receipt for each person.

    The next attempt looks for the file under its name, with and without ``.done``, and for any accepted receipt.
    If it finds one of them, the file was delivered and only the missing receipts are written. Else it writes the same
    file again; only, people with an intent are left out and get the outcome ``unknown``, since their row may have been
    read from a file that is gone. Those outcomes are written before the file, so that a third attempt knows who is not
    in it. An attempt that still lives when the next one begins writes no file any more.

    :param partitions: those to send, as the guard let them pass; none writes nothing.
    :param links: properties by which BlueConic finds a person.
    :param targets: target field → merge strategy, in the goal's order.
    :param folder: S3 folder of the file.
    :param target_staging: access to that folder.
    """
    began = dt.datetime.now(dt.UTC)
    if not partitions:
        return Delivery((), None, 0, {})
    uri = delivery_uri(folder, workspace.folder.goal_id, delta, format_)
    tallies = {partition: Tally() for partition in partitions}
    books: dict[int, _Books] = {}
    rows = 0
    with workspace.local("deliver") as local, connect(workspace.engine) as connection:
        # Whatever goes wrong once there are books, the file may be in its place by then: it is the same as a kill.
        with (
            attempt(workspace, delta, tallies, began=began, receipts=lambda: len(books)) as fence,
            _nothing_placed_if_superseded(books),
        ):
            fence.wait_for_older()
            _load(connection, workspace, delta, partitions, links, targets, format_, local)
            is_delivered = _is_delivered(connection, target_staging, uri)
            # What another run was told and never committed may be newer than this delta.
            recover_uploads(workspace, but=delta["delta_id"])
            if not is_delivered and is_overtaken(workspace, delta):
                log.warning("%s: not delivered, since another run was committed after this delta was made",
                            workspace.folder.goal_id)  # fmt: skip
                return Delivery(tuple(upload_ref(each, tally, began) for each, tally in tallies.items()), None, 0, {})
            mark_open(workspace, delta)
            books |= {each: _Books(workspace, delta, each, began, local, tally) for each, tally in tallies.items()}
            if not is_delivered:
                _settle(connection, books, "open AND NOT told", "unknown", reason=OPEN_INTENT)
                connection.execute("UPDATE people SET told = TRUE WHERE open")
                rows = _write_file(connection, _header(links, targets, format_), local / "file", format_)
                if rows:
                    _put(connection, books, local / "file", uri, target_staging, fence)
                    tallies[partitions[0]].requests = 1
            _settle(connection, books, "NOT told AND refusal IS NOT NULL", "rejected")
            _settle(connection, books, "NOT told AND refusal IS NULL", "accepted")
        left_out = _count_left_out(connection)
    uploads = tuple(upload_ref(partition, tally, began) for partition, tally in tallies.items())
    is_there = rows > 0 or is_delivered
    return Delivery(uploads, uri if is_there else None, rows, left_out)


@contextmanager
def _nothing_placed_if_superseded(books: dict[int, _Books]) -> Iterator[None]:
    """Drop the books of an attempt that ended before it placed a file: all that it wrote is durable."""
    try:
        yield
    except Superseded:
        books.clear()
        raise


def _properties(links: Sequence[str], targets: Mapping[str, str]) -> list[str]:
    """Name the columns of the file. A property that is both stands once, as the link that finds the person."""
    return list(dict.fromkeys((*links, *targets)))


def _header(links: Sequence[str], targets: Mapping[str, str], format_: CsvFormat) -> str:
    return format_.delimiter.join(format_.cell(name) for name in _properties(links, targets))


def _load(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    delta: DeltaRef,
    partitions: Sequence[int],
    links: Sequence[str],
    targets: Mapping[str, str],
    format_: CsvFormat,
    local: Path,
) -> None:
    """Load everybody to be sent into ``people``, with the finished line and what earlier attempts left.

    Columns: ``partition``, ``identifier``, ``line``, ``left_out`` (targets), ``why`` (target and reason), ``refusal``
    (why the whole person is left out), ``adds`` (something is added to a number), ``told`` (has an outcome),
    ``accepted``, ``open`` (has an intent that nothing followed).
    """
    for number, partition in enumerate(partitions):
        file = local / f"delta-{partition}.parquet"
        workspace.staging.download_file(delta_uri(delta, partition), file)
        parts = fetch_folder(workspace.staging, _receipts_uri(delta, partition), local / f"told-{partition}")
        columns = {
            name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {parquet_source([file])}").fetchall()
        }
        rows = _rows_sql(f"(SELECT * FROM {parquet_source([file])} WHERE to_send)", columns, links, targets, format_)
        into = "INSERT INTO people" if number else "CREATE TEMP TABLE people AS"
        connection.execute(
            f"""
            {into}
            SELECT {partition:d} AS partition, r.*, coalesce(t.told, FALSE) AS told,
                coalesce(t.accepted, FALSE) AS accepted, coalesce(t.open, FALSE) AS open
            FROM ({rows}) AS r LEFT JOIN ({_told_sql(parts)}) AS t ON t.identifier = r.identifier
            """
        )
        file.unlink()


def _told_sql(parts: Sequence[Path]) -> str:
    if not parts:
        return "SELECT NULL::VARCHAR AS identifier, FALSE AS told, FALSE AS accepted, FALSE AS open WHERE FALSE"
    return f"""
        SELECT identifier, bool_or(outcome NOT IN ('intended', 'withdrawn')) AS told,
            bool_or(outcome = 'accepted') AS accepted,
            count(*) FILTER (WHERE outcome = 'intended') > count(*) FILTER (WHERE outcome = 'withdrawn') AS open
        FROM {parquet_source(parts, union_by_name=True)} GROUP BY identifier
        """


def _rows_sql(
    source: str, columns: set[str], links: Sequence[str], targets: Mapping[str, str], format_: CsvFormat
) -> str:
    """SQL for the lines of the people of a source."""
    lists, faults, whys, cells, refusals, adds = [], [], [], [], [], ["FALSE"]
    for number, name in enumerate(_properties(links, targets)):
        values, fault, is_link = f"v{number}", f"f{number}", name in links
        merge = targets.get(name)
        column = (increase_column if merge == "sum" else field_column)(name)
        lists.append(f"{_link_sql(name) if is_link else _values_sql(column, columns)} AS {values}")
        faults.append(f"{format_.fault_sql(values)} AS {fault}")
        joined = f"CASE WHEN {fault} IS NULL THEN {format_.joined_sql(values)} END"
        cells.append(f"{joined} AS c{number}")
        if is_link:
            refusals.append(f"{literal(name + ': ')} || {fault}")
            continue
        if merge == "sum":
            adds.append(f"{values} IS NOT NULL")
        elif merge == "set_or_clear":
            silent = "TRUE" if column not in columns else f"{quote(column)} IS NULL"
            refusals.append(f"CASE WHEN {fault} IS NOT NULL OR {silent} THEN {literal(name + _WOULD_CLEAR)} END")
        whys.append(f"CASE WHEN {fault} IS NOT NULL THEN {literal(name)} END")
    line = f" || {literal(format_.delimiter)} || ".join(format_.cell_sql(f"c{n}") for n in range(len(cells)))
    left = f"[w FOR w IN [{', '.join(whys)}] IF w IS NOT NULL]" if whys else "[]::VARCHAR[]"
    # Which reason counts where there are several does not matter: one keeps the person out.
    return f"""
        SELECT identifier, {line} AS line, {left} AS left_out, {_reasons_sql(links, targets)} AS why,
            coalesce({", ".join([*refusals, "NULL::VARCHAR"])}) AS refusal, {" OR ".join(adds)} AS adds
        FROM (
            SELECT *, {", ".join(cells)} FROM (
                SELECT *, {", ".join(faults)} FROM (SELECT *, {", ".join(lists)} FROM {source})
            )
        )
        """


def _reasons_sql(links: Sequence[str], targets: Mapping[str, str]) -> str:
    """SQL for ``<target>: <reason>`` of each field that is left out."""
    named = [
        f"{literal(name + ': ')} || f{number}"
        for number, name in enumerate(_properties(links, targets))
        if name not in links
    ]
    return f"[w FOR w IN [{', '.join(named)}] IF w IS NOT NULL]" if named else "[]::VARCHAR[]"


def _link_sql(name: str) -> str:
    """SQL for the values by which a person is found in one property, out of the request's ``matching``."""
    conditions = "flatten(matching::JSON::STRUCT(id VARCHAR, value VARCHAR)[][])"
    return f"list_sort(list_distinct([c.value FOR c IN {conditions} IF c.id = {literal(name)}]))"


def _values_sql(column: str, columns: set[str]) -> str:
    """SQL for the texts of a JSON list; NULL where nothing is said, and where the field is to be cleared."""
    if column not in columns:
        return "NULL::VARCHAR[]"
    return f"CASE WHEN {quote(column)} <> 'null' THEN {quote(column)}::JSON::VARCHAR[] END"


def _is_delivered(connection: duckdb.DuckDBPyConnection, staging: Staging, uri: str) -> bool:
    if connection.execute("SELECT count(*) FROM people WHERE accepted").fetchall()[0][0]:
        return True
    return _is_there(staging, uri)


def _is_there(staging: Staging, uri: str) -> bool:
    there = {staged.uri for staged in staging.list_objects(uri)}
    return uri in there or uri + DONE_SUFFIX in there


def _write_file(connection: duckdb.DuckDBPyConnection, header: str, path: Path, format_: CsvFormat) -> int:
    """Write the lines of everybody who is to be in the file, always in the same order, and count them."""
    rows = 0
    with _open(path, format_) as file:
        file.write(f"{header}\n".encode())
        wanted = "SELECT line FROM people WHERE NOT told AND refusal IS NULL ORDER BY partition, identifier"
        for batch in connection.sql(wanted).to_arrow_reader(_ROWS_PER_BATCH):
            lines = batch.column("line").to_pylist()
            file.write(("\n".join(lines) + "\n").encode() if lines else b"")
            rows += len(lines)
    return rows


@contextmanager
def _open(path: Path, format_: CsvFormat) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        if not format_.gzip:
            yield file
            return
        # Without a name and a time inside, the same rows are the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)


def _put(
    connection: duckdb.DuckDBPyConnection,
    books: Mapping[int, _Books],
    path: Path,
    uri: str,
    staging: Staging,
    fence: Fence,
) -> None:
    adding = "adds AND NOT told AND refusal IS NULL"
    _settle(connection, books, adding, "intended", is_end=False)
    # Between the intents and the file: a newer attempt finds the former, or this one finds the newer.
    if not fence.is_newest():
        _settle(connection, books, adding, "withdrawn", is_end=False)
        raise superseded(fence.label)
    try:
        staging.upload_file(path, uri)
    except SyncError:
        # S3 shows an object from the moment it is written. What is not there when its request has failed was refused
        # or never arrived, so nobody has to be held; and should it show later, the next attempt finds it.
        if not _is_there(staging, uri):
            _settle(connection, books, adding, "withdrawn", is_end=False)
        raise


def _settle(
    connection: duckdb.DuckDBPyConnection,
    books: Mapping[int, _Books],
    condition: str,
    outcome: Outcome,
    *,
    reason: str = "",
    is_end: bool = True,
) -> None:
    """Write a receipt for everybody of whom a condition holds; all of them are durable when this returns.

    :param is_end: it is the last word on the person in this attempt.
    """
    for partition, kept in books.items():
        rows = connection.sql(
            f"SELECT identifier, left_out, refusal FROM people WHERE partition = {partition:d} AND {condition}"
        ).to_arrow_reader(_ROWS_PER_BATCH)
        now = dt.datetime.now(dt.UTC)
        for batch in rows:
            columns = (batch.column(name).to_pylist() for name in ("identifier", "left_out", "refusal"))
            kept.receipts.add(
                Receipt(
                    identifier,
                    outcome,
                    refusal or reason if outcome != "accepted" else "",
                    None,
                    now,
                    tuple(left_out) if outcome == "accepted" and left_out else None,
                )
                for identifier, left_out, refusal in zip(*columns, strict=True)
            )
            count = kept.receipts.flush()
            if is_end:
                kept.count(outcome, count)


def _count_left_out(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows = connection.execute(
        "SELECT w, count(*) FROM (SELECT unnest(why) AS w FROM people WHERE refusal IS NULL) GROUP BY w ORDER BY w"
    ).fetchall()
    return dict(rows)


def _receipts_uri(delta: DeltaRef, partition: int) -> str:
    return f"{delta['uri']}/receipts/partition={partition}"


class _Books:
    """The receipts of one partition."""

    def __init__(
        self, workspace: Workspace, delta: DeltaRef, partition: int, began: dt.datetime, local: Path, tally: Tally
    ) -> None:
        uri = _receipts_uri(delta, partition)
        self.tally = tally
        self.receipts = PartReceipts(
            local / f"receipts-{partition}",
            attempt=f"{began:%Y%m%dT%H%M%S}-{fresh_id()}",
            publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
        )

    def count(self, outcome: Outcome, people: int) -> None:
        setattr(self.tally, outcome, getattr(self.tally, outcome) + people)

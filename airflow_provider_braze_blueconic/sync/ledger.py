"""The ledger: what the target has acknowledged, a row a person, and the one function that moves it.

Columns: ``identifier`` (JSON text, as in a request), ``partition``, ``as_of`` (UTC, version of the acknowledged
data), ``in_segment`` (present in the last complete read), ``run_key`` (last run that changed the row),
``rejection``, ``attempts``, ``refused_hash``, ``refused_as`` and ``tried_at`` (of records that the target did not take,
or not whole), ``unstuck`` and ``unstuck_hash`` (how often values were put right that the target was seen not to hold
any more, and which), ``unproven`` (accepted only while the target was not to create people, so that it may not have
them), ``known_by`` (who the row's person is), and one ``field_…`` column a target field with its JSON text; NULL means
that the target's value is not known.

``known_by`` is there where a goal needs it. Of an export with several links it is a JSON list of the identifiers by
which the person was known, ``[]`` once the person has moved to another row; of an import the ``matching`` by which
BlueConic was asked last. NULL says nothing: the ledger is older than the column.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.columns import (
    FIELD_PREFIX,
    INCREASE_PREFIX,
    NOTED_PREFIX,
    field_name,
)
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.doubt import CREATES, IN_DOUBT, NO_DOUBTS, Doubts, doubts_of
from airflow_provider_braze_blueconic.sync.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.receipts import best_receipts
from airflow_provider_braze_blueconic.sync.staging import fresh_id
from airflow_provider_braze_blueconic.sync.tables import Table, from_microseconds, microseconds

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "ABSENT",
    "HELD_REASONS",
    "KNOWN_BY_NOBODY",
    "QUARANTINED_REASONS",
    "Acknowledged",
    "Ledger",
    "delta_number",
    "sent_hash_sql",
]

HELD_REASONS = ("not_found", "no_consent", "fields")
"""What ``refused_as`` says of records that the target would not take today either, while nothing changes: it knows no
such person, the person did not consent, or it refused single fields of a record that it took."""

QUARANTINED_REASONS = ("rejected", "fields", "unknown")
"""What ``refused_as`` says of records that rest after too many attempts with the same values. ``unknown`` are those of
which the target's answer did not tell; where no answer came at all, nothing is held against the record."""

ABSENT = "absent"
"""What ``refused_as`` says of people whom the target acknowledged, and whom a read of everybody did not meet there."""

_BOOKS: Mapping[str, str] = {
    "identifier": "VARCHAR",
    "as_of": "TIMESTAMPTZ",
    "in_segment": "BOOLEAN",
    "run_key": "VARCHAR",
    "rejection": "VARCHAR",
    "attempts": "INTEGER",
    "refused_hash": "VARCHAR",
    "refused_as": "VARCHAR",
    "tried_at": "TIMESTAMPTZ",
    "unstuck": "INTEGER",
    "unstuck_hash": "VARCHAR",
    "unproven": "BOOLEAN",
    "known_by": "VARCHAR",
}
"""Columns beside the fields, and their types."""

KNOWN_BY_NOBODY = "[]"
"""What ``known_by`` says of a row whose person moved to another one. What it knew of the target counts there."""

_AS_OF = "as_of"
"""Application transaction that holds the newest committed ``as_of`` in microseconds since 1970. People whose values
did not change keep the ``as_of`` of their row, so the row alone can't tell that a newer read confirmed it."""


_NOT_THERE = "the target does not have this person, though it acknowledged them"

_FIRST_FAILURE = 400
"""HTTP status from which an answer tells of a failure."""

_UNCLEAR = f"coalesce(c.outcome = 'unknown' AND c.status < {_FIRST_FAILURE}, FALSE)"
"""SQL that tells whether the target took the request and did not say what became of the record. If that comes back
every night, it is the record; where there was no answer, or a failure, it may be anything."""

_PARTITIONS = "partitions"
"""Application transaction that holds the number of partitions that the rows are divided by."""


_LAST = "last"
"""Application transaction that holds the number of the delta that moved the ledger last."""

_RELEASED = "released"
"""Application transaction that holds when people were last released, in microseconds since 1970."""

_LINKS = "links"
"""Application transaction that holds a fingerprint of the identifier links of the last run that read everybody."""

_RELEASE: Mapping[str, str] = {
    "attempts": "0",
    "refused_hash": "NULL",
    "unstuck": "NULL",
    "unstuck_hash": "NULL",
    "refused_as": f"nullif(refused_as, {literal(ABSENT)})",
}
"""SQL for the books of people who are released: why and when they were refused stays, for who asks."""

_FORGOTTEN = ", ".join(
    f"CASE WHEN identifier IN (SELECT identifier FROM released) THEN {value} ELSE {name} END AS {name}"
    for name, value in _RELEASE.items()
)


@dataclass(frozen=True)
class Acknowledged:
    """The outcome of one upload, ready to be put into the ledger.

    :param run_key: the run.
    :param delta_id: the delta that was uploaded.
    :param as_of: version of the data that was uploaded.
    :param partitions: number of partitions of the ledger.
    :param delta: partition → local delta file.
    :param receipts: local receipt files of that delta.
    :param receipt_rows: number of receipts in them.
    :param policy: fingerprint of what decides, beside the values, whether the target takes a record.
    :param links: fingerprint of the identifier links, if everybody was read by them.
    :param broken_off: partitions of which an attempt was killed, so that what has no receipt may have been sent.
    :param settings: what the goal was set to: name → number; see :mod:`.doubt`.
    :param last_delta: number of the delta that had moved the ledger last when this one was made.
    :param late: another delta has moved the ledger since.
    :param otherwise: and what decides how values are sent is another by now, so that what these did is in doubt.
    """

    run_key: str
    delta_id: str
    as_of: dt.datetime
    partitions: int
    delta: dict[int, Path]
    receipts: Sequence[Path]
    receipt_rows: int
    policy: str = ""
    links: int | None = None
    broken_off: frozenset[int] = frozenset()
    settings: Mapping[str, int] = dataclasses.field(default_factory=dict)
    last_delta: int | None = None
    late: bool = False
    otherwise: bool = False


def delta_number(delta_id: str) -> int:
    """Return the number by which the ledger remembers a delta."""
    return int(hashlib.sha256(delta_id.encode()).hexdigest()[:12], 16)


class Ledger(Table):
    """The ledger of one goal."""

    replaces = True

    @property
    def links(self) -> int | None:
        """Fingerprint of the links by which the last run that read everybody knew people; ``None`` if it left none."""
        return self.transaction(_LINKS)

    @property
    def last_delta(self) -> int | None:
        """Number of the delta that moved the ledger last; ``None`` before the first one."""
        return self.transaction(_LAST)

    @property
    def released_at(self) -> dt.datetime | None:
        """When people were last released from their rest, UTC; ``None`` if nobody ever was."""
        number = self.transaction(_RELEASED)
        return None if number is None else from_microseconds(number)

    def newest_as_of(self) -> dt.datetime | None:
        """Return the version of the newest data that a run has committed, UTC."""
        number = self.transaction(_AS_OF)
        return None if number is None else from_microseconds(number)

    def doubts(self, settings: Mapping[str, int]) -> Doubts:
        """Say what settings other than those of the last commit put in doubt of everybody.

        :param settings: name → number.
        """
        doubts = doubts_of(settings, known=self.transaction)
        known = self.columns()
        fields, forgotten = (
            tuple(field for field in some if field in known) for some in (doubts.fields, doubts.forgotten)
        )
        return replace(doubts, fields=fields, forgotten=forgotten)

    def load(
        self,
        connection: duckdb.DuckDBPyConnection,
        partition: int,
        targets: Sequence[str],
        *,
        partitions: int | None = None,
        doubts: Doubts = NO_DOUBTS,
        with_known_by: bool = False,
    ) -> None:
        """Load one partition into the temporary table ``ledger``.

        :param targets: field columns that must be there; those the table does not have yet are NULL.
        :param partitions: by how many partitions to divide; ``None`` for what the table is divided by. For another
            number than that, all rows are looked through.
        :param doubts: what changed settings put in doubt, on top of what the table says.
        :param with_known_by: also if the table does not have that column yet.
        """
        present = self.columns()
        fields = [*targets, *(name for name in present if name.startswith(FIELD_PREFIX) and name not in targets)]
        types = {**_BOOKS, **dict.fromkeys(fields, "VARCHAR")}
        if not with_known_by and "known_by" not in present:
            del types["known_by"]
        table = self.open()
        if table is None:
            columns = [f"NULL::{type_} AS {quote(name)}" for name, type_ in types.items()]
            connection.execute(f"CREATE OR REPLACE TEMP TABLE ledger AS SELECT {', '.join(columns)} LIMIT 0")
            return
        columns = [
            quote(name) if name in present else f"NULL::{type_} AS {quote(name)}" for name, type_ in types.items()
        ]
        if partitions in (None, self.transaction(_PARTITIONS) or partitions):
            rows = table.to_pyarrow_dataset(file_pruning_predicate=[("partition", "=", partition)])
            here = f"partition = {partition:d}"
        else:
            rows = table.to_pyarrow_dataset()
            here = f"{partition_sql('identifier', partitions)} = {partition:d}"
        connection.register("ledger_rows", rows)
        try:
            with self.reading():
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE ledger AS SELECT {', '.join(columns)} FROM ledger_rows WHERE {here}"
                )
        finally:
            connection.unregister("ledger_rows")
        doubts.apply(connection)
        if doubts.elsewhere:
            # What another target refused, did not have or did not keep says nothing of this one.
            released = ", ".join(f"{book} = {value}" for book, value in _RELEASE.items())
            connection.execute(f"UPDATE ledger SET {released}")

    @contextmanager
    def narrow(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Iterator[str]:
        """Give SQL for some columns of all rows, of all partitions, for the time of a block.

        :param columns: of the books or fields; those that the table does not have yet are NULL.
        """
        present = self.columns()
        types = [(name, _BOOKS.get(name, "VARCHAR")) for name in columns]
        texts = [quote(name) if name in present else f"NULL::{type_} AS {quote(name)}" for name, type_ in types]
        table = self.open()
        if table is None:
            yield f"(SELECT {', '.join(texts)} WHERE FALSE)"
            return
        connection.register("ledger_rows", table.to_pyarrow_dataset())
        try:
            with self.reading():
                yield f"(SELECT {', '.join(texts)} FROM ledger_rows)"
        finally:
            connection.unregister("ledger_rows")

    @property
    def remedy(self) -> str:
        """What to do when the ledger can't be read."""
        return (
            "If the bucket keeps old versions of its objects, bring those files back; else run "
            "`braze-blueconic recover <goal file>`, which puts the broken ledger aside and makes it anew from the "
            "receipts. An older version of the table would forget what was acknowledged since, and send it again."
        )

    def rebuild(self, files: Sequence[Path], *, partitions: int, as_of: dt.datetime, deltas: Mapping[str, int]) -> None:
        """Make a ledger that is not there from rows that were found elsewhere, in one commit.

        :param files: local Parquet files with the ledger's columns; columns that are not in them are NULL.
        :param partitions: that the rows are divided by.
        :param as_of: version of the newest data that a run has committed.
        :param deltas: id of each delta that is in the rows → its receipts, so that it is not committed once more.
        :raises WriterConflict: if another run made a ledger meanwhile; nothing was changed.
        """
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        names = [name for file in files for name in pq.read_schema(file).names]
        fields = list(dict.fromkeys(name for name in names if name.startswith(FIELD_PREFIX)))
        # One more than the receipts: see commit().
        transactions = {f"delta:{delta_id}": receipts + 1 for delta_id, receipts in deltas.items()}
        transactions |= {_AS_OF: microseconds(as_of), _PARTITIONS: partitions}
        schema = _schema(fields, with_known_by="known_by" in names)
        rows = ds.dataset(list(files), schema=schema, format="parquet").scanner(batch_size=50_000)
        self.replace_partitions(rows.to_reader(), range(partitions), transactions=transactions)

    def release(self, engine: Engine, identifiers: Sequence[str]) -> int:
        """Forget how often the target refused people, so that the next run tries them again; in one commit.

        :param identifiers: JSON texts, as in the ledger.
        :return: of how many partitions rows were changed.
        :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        fields = [name for name in self.columns() if name.startswith(FIELD_PREFIX)]
        number = partition_sql("identifier", self.transaction(_PARTITIONS) or 1)
        with _work_folder(engine) as folder, connect(engine) as connection:
            connection.register("released", pa.table({"identifier": pa.array(identifiers, pa.string())}))
            partitions = connection.execute(f"SELECT DISTINCT {number} FROM released ORDER BY 1").fetchall()
            files = []
            for (partition,) in partitions:
                self.load(connection, partition, fields)
                files.append(folder / f"released-{partition}.parquet")
                rows = f"SELECT {partition:d}::INTEGER AS partition, * REPLACE ({_FORGOTTEN}) FROM ledger"
                connection.execute(f"COPY ({rows}) TO {literal(str(files[-1]))} (FORMAT parquet, COMPRESSION lz4_raw)")
            if files:
                schema = _schema(fields, with_known_by="known_by" in self.columns())
                rows = ds.dataset(files, schema=schema, format="parquet").scanner(batch_size=50_000)
                self.replace_partitions(
                    rows.to_reader(),
                    [partition for (partition,) in partitions],
                    transactions={_RELEASED: microseconds(dt.datetime.now(dt.UTC))},
                )
        return len(partitions)

    def commit(self, engine: Engine, outcome: Acknowledged) -> bool:
        """Move the ledger to what the target acknowledged. Nothing else moves it.

        Doing it twice with the same receipts is doing it once; with more receipts, only what came on top counts.

        :return: whether there was anything to commit.
        :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed.
        """
        name = f"delta:{outcome.delta_id}"
        done = self.transaction(name)
        # One more than the receipts, so that a delta without any still counts as committed.
        number = outcome.receipt_rows + 1
        if done is not None and done >= number:
            return False
        newest = self.newest_as_of()
        as_of = max(outcome.as_of, newest) if newest else outcome.as_of
        own = delta_number(outcome.delta_id)
        # Only answers that came after another run had taken over: what that run knows of a person is as new or newer.
        outcome = replace(outcome, late=self.last_delta not in (None, own, outcome.last_delta))
        divided_by = self.transaction(_PARTITIONS) or outcome.partitions
        doubts = self.doubts(outcome.settings)
        if outcome.late:
            # The ledger is the newer run's, and so are its settings; only what came late is in doubt by the others.
            outcome = replace(outcome, otherwise=bool(doubts))
            doubts = NO_DOUBTS
        # A goal may get other partitions while an upload is open; then the newer run's number stays.
        divided_anew = divided_by != outcome.partitions and not outcome.late
        transactions = {name: number, _AS_OF: microseconds(as_of), _LAST: own}
        transactions[_PARTITIONS] = outcome.partitions if divided_anew else divided_by
        if not outcome.late:
            transactions |= outcome.settings
            transactions |= {} if outcome.links is None else {_LINKS: outcome.links}
        everybody = self.exists and bool(doubts or divided_anew)
        if not outcome.delta and not everybody:
            if self.exists:
                self.append(_no_rows(), transactions=transactions)
            else:
                # Not append: a table is made with its partitions or never has them.
                self.replace_partitions(_no_rows().to_reader(), [0], transactions=transactions)
            return True
        with _work_folder(engine) as folder:
            if divided_by != outcome.partitions and outcome.late:
                outcome = _divide_delta(engine, outcome, divided_by, folder)
            partitions = range(outcome.partitions) if everybody else sorted(outcome.delta)
            rows = _write_moved_rows(self, engine, outcome, partitions, doubts, folder)
            if everybody:
                self.replace_all(rows, transactions=transactions)
            else:
                self.replace_partitions(rows, partitions, transactions=transactions)
        return True


def _divide_delta(engine: Engine, outcome: Acknowledged, partitions: int, folder: Path) -> Acknowledged:
    """Divide the delta as the ledger is divided now: a goal may get other partitions while an upload is open.

    Which partitions were broken off is lost; of what comes late it does not count.
    """
    source = parquet_source(list(outcome.delta.values()), union_by_name=True)
    divided: dict[int, Path] = {}
    with connect(engine) as connection:
        number = partition_sql("identifier", partitions)
        for (partition,) in connection.execute(f"SELECT DISTINCT {number} FROM {source}").fetchall():
            divided[partition] = folder / f"delta-{partition}.parquet"
            here = f"SELECT * FROM {source} WHERE {number} = {partition:d}"
            connection.execute(f"COPY ({here}) TO {literal(str(divided[partition]))} (FORMAT parquet)")
    return replace(outcome, delta=divided, partitions=partitions)


@contextmanager
def _work_folder(engine: Engine) -> Iterator[Path]:
    folder = engine.folder / f"ledger-{fresh_id()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _schema(fields: Sequence[str], *, with_known_by: bool = False) -> pa.Schema:
    """Schema of the table; what only some goals need is not in the tables of the others."""
    import pyarrow as pa

    known_by = [("known_by", pa.string())] if with_known_by else []
    return pa.schema(
        [
            ("identifier", pa.string()),
            ("partition", pa.int32()),
            ("as_of", pa.timestamp("us", tz="UTC")),
            ("in_segment", pa.bool_()),
            ("run_key", pa.string()),
            ("rejection", pa.string()),
            ("attempts", pa.int32()),
            ("refused_hash", pa.string()),
            ("refused_as", pa.string()),
            ("tried_at", pa.timestamp("us", tz="UTC")),
            ("unstuck", pa.int32()),
            ("unstuck_hash", pa.string()),
            ("unproven", pa.bool_()),
            *known_by,
            *((field, pa.string()) for field in fields),
        ]
    )


def _no_rows() -> pa.Table:
    return _schema([]).empty_table()


def _write_moved_rows(
    ledger: Ledger, engine: Engine, outcome: Acknowledged, partitions: Sequence[int], doubts: Doubts, folder: Path
) -> pa.RecordBatchReader:
    """Write the new rows of the touched partitions to local files, one partition in memory at a time, and stream them.

    By way of files, because delta-rs reads the stream inside its own runtime, where it can't be asked for the old
    rows at the same time.
    """
    import pyarrow.dataset as ds

    fields = [name for name in ledger.columns() if name.startswith(FIELD_PREFIX)]
    with_known_by = "known_by" in ledger.columns()
    with connect(engine) as connection:
        for file in outcome.delta.values():
            described = connection.execute(f"DESCRIBE SELECT * FROM {parquet_source([file])}").fetchall()
            names = [name for name, *_ in described]
            fields += [name for name in names if name.startswith(FIELD_PREFIX) and name not in fields]
            with_known_by = with_known_by or "known_by" in names
        files = []
        for partition in partitions:
            ledger.load(
                connection,
                partition,
                fields,
                partitions=outcome.partitions,
                doubts=doubts,
                with_known_by=with_known_by,
            )
            files.append(folder / f"moved-{partition}.parquet")
            if partition in outcome.delta:
                sums = _load_outcomes(connection, outcome, partition, fields)
                moved = _moved_sql(fields, partition, outcome, sums, with_known_by=with_known_by)
            else:
                moved = f"SELECT {partition:d}::INTEGER AS partition, * FROM ledger"
            connection.execute(f"COPY ({moved}) TO {literal(str(files[-1]))} (FORMAT parquet, COMPRESSION lz4_raw)")
    schema = _schema(fields, with_known_by=with_known_by)
    return ds.dataset(files, schema=schema, format="parquet").scanner(batch_size=50_000).to_reader()


def _load_outcomes(
    connection: duckdb.DuckDBPyConnection, outcome: Acknowledged, partition: int, fields: Sequence[str]
) -> list[str]:
    """Load the delta of a partition with its outcomes into ``outcome``: one row a person.

    Beside what was to be sent (``field_…``) it holds what the ledger learns whatever became of the sending
    (``noted_…``): what was seen in the target; of a sum whose outcome is unknown the value that was tried, since it may
    have been added and must not be added again (the receipts table says what is in doubt); of other fields that may
    have been written that they are in doubt.

    :return: the fields that are added to.
    """
    delta = parquet_source([outcome.delta[partition]])
    described = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {delta}").fetchall()}
    columns = [quote(field) if field in described else f"NULL::VARCHAR AS {quote(field)}" for field in fields]
    # Of a number that is added to, what has no receipt was not sent: its intent would be there.
    untold = "unknown" if partition in outcome.broken_off and not outcome.late else "unsent"
    doubted = f"(d.to_send AND coalesce(r.outcome, {literal(untold)}) = 'unknown')"
    for field in fields:
        noted, increase = (prefix + field.removeprefix(FIELD_PREFIX) for prefix in (NOTED_PREFIX, INCREASE_PREFIX))
        known = [f"d.{quote(noted)}"] if noted in described else []
        if increase in described:
            tried = f"r.outcome = 'unknown' AND d.{quote(increase)} IS NOT NULL"
            known.append(f"CASE WHEN {tried} THEN d.{quote(field)} END")
        elif field in described:
            known.append(f"CASE WHEN {doubted} AND d.{quote(field)} IS NOT NULL THEN {literal(IN_DOUBT)} END")
        columns.append(f"coalesce({', '.join([*known, 'NULL::VARCHAR'])}) AS {quote(noted)}")
    seen_as_of = "d.seen_as_of" if "seen_as_of" in described else "NULL::TIMESTAMPTZ"
    repair_hash = "d.repair_hash" if "repair_hash" in described else "NULL::VARCHAR"
    sticks = "coalesce(d.sticks, FALSE)" if "sticks" in described else "FALSE"
    absent = "d.absent" if "absent" in described else "NULL::BOOLEAN"
    takes_over = "coalesce(d.takes_over, FALSE)" if "takes_over" in described else "FALSE"
    crossed = "d.crossed" if "crossed" in described else "NULL::VARCHAR[]"
    # Deltas of before did not look at how the target finds people, so what they were told proves nothing of it.
    known_by, matching = "NULL::VARCHAR", "NULL::VARCHAR"
    if "known_by" in described:
        known_by, matching = "d.known_by", "d.matching" if "matching" in described else matching
    if outcome.receipts:
        receipts = best_receipts(outcome.receipts)
    else:
        receipts = (
            "SELECT NULL::VARCHAR AS identifier, NULL::VARCHAR AS outcome, NULL::VARCHAR AS reason, "
            "NULL::INTEGER AS status, NULL::VARCHAR[] AS refused_fields LIMIT 0"
        )
    # Rows that have nothing to send only keep our own books (who is in the segment) and need no receipt.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE outcome AS
        SELECT d.identifier, d.kind, d.as_of, d.to_send, {seen_as_of} AS seen_as_of,
            {repair_hash} AS repair_hash, {sticks} AS sticks, {absent} AS absent,
            {takes_over} AS takes_over, {crossed} AS crossed, {known_by} AS known_by, {matching} AS matching,
            {", ".join(["r.reason", "r.status", "r.refused_fields", *columns])},
            {doubted} AS doubted, coalesce(r.outcome, CASE WHEN d.to_send THEN 'unsent' ELSE 'noted' END) AS outcome
        FROM {delta} AS d LEFT JOIN ({receipts}) AS r ON r.identifier = d.identifier
        """
    )
    return [field for field in fields if INCREASE_PREFIX + field.removeprefix(FIELD_PREFIX) in described]


def sent_hash_sql(
    fields: Sequence[str],
    policy: str,
    *,
    prefix: str = "",
    only: str = "TRUE",
    values: Mapping[str, str] | None = None,
) -> str:
    """SQL for the fingerprint of what is sent of a record: the same for the same fields, values and policy.

    :param fields: field columns, in any order.
    :param prefix: of the relation, with its dot.
    :param only: SQL with ``{name}`` for a target's name as a literal: which fields count.
    :param values: field column → SQL for its value, where that is not the column itself.
    """
    values = values or {}
    sent = ", ".join(
        f"CASE WHEN {only.replace('{name}', literal(field_name(field)))} "
        f"THEN {literal(field + ':')} || {values.get(field, prefix + quote(field))} END"
        for field in sorted(fields)
    )
    return f"md5(concat_ws('|', {literal(policy)}{', ' + sent if sent else ''}))"


def _moved_sql(
    fields: Sequence[str], partition: int, outcome: Acknowledged, sums: Container[str], *, with_known_by: bool
) -> str:
    """SQL for a partition after the run: acknowledged fields move, everything else stays."""
    run_key = literal(outcome.run_key)
    accepted = "c.outcome = 'accepted'"
    partly = f"({accepted} AND len(c.refused_fields) > 0)"
    whole = f"({accepted} AND coalesce(len(c.refused_fields), 0) = 0)"
    refused = f"(c.outcome IN ('rejected', 'not_found', 'no_consent') OR {_UNCLEAR})"
    failed = f"({refused} OR {partly})"
    # Whoever moved is not tried here any more, so nothing is held against them either.
    settled = f"({whole} OR c.kind = 'move')"
    # Where the target finds somebody else now, the same values are news.
    elsewhere = "coalesce(c.matching <> l.known_by, FALSE)" if with_known_by else "FALSE"
    known_by = f", {_known_by_sql(accepted, refused, late=outcome.late)} AS known_by" if with_known_by else ""
    # Of a record that was taken without some fields, these alone are what was refused.
    missing = f"({refused} OR list_contains(c.refused_fields, {{name}}))"
    refused_hash = sent_hash_sql(fields, outcome.policy, prefix="c.", only=missing)
    creates = outcome.settings.get(CREATES)
    # Where nobody is created, an answer does not tell that there is somebody.
    proves = f"coalesce({accepted} AND c.kind <> 'leave', FALSE)" if creates else "FALSE"
    listed = f"coalesce(c.absent, l.refused_as = {literal(ABSENT)} AND NOT {proves}, FALSE)"
    absent = f"({listed} AND c.kind IS DISTINCT FROM 'move')"
    unproven = "l.unproven"
    if creates is not None:
        unproven = f"CASE WHEN {proves} THEN FALSE WHEN {accepted} THEN coalesce(l.unproven, TRUE) ELSE l.unproven END"
    as_of = "c.as_of, c.seen_as_of, l.as_of" if outcome.late else "c.as_of, c.seen_as_of"
    # A second commit of the same run meets its own rows.
    again = f"l.run_key = {run_key}"
    moved = []
    for field in fields:
        taken = f"{accepted} AND NOT coalesce(list_contains(c.refused_fields, {literal(field_name(field))}), FALSE)"
        noted = f"c.{quote(NOTED_PREFIX + field.removeprefix(FIELD_PREFIX))}"
        new, known = f"c.{quote(field)}", f"l.{quote(field)}"
        if outcome.late and field in sums:
            # Taken back, a counter would grow a second time.
            value = f"coalesce({known}, CASE WHEN {taken} THEN {new} END, {noted})"
        else:
            # Nobody can tell whether a late answer's value came before or after the newer one.
            differs = "TRUE" if outcome.otherwise else f"{known} <> {new}"
            told = f"CASE WHEN {differs} THEN {literal(IN_DOUBT)} ELSE {new} END" if outcome.late else new
            value = f"CASE WHEN {taken} AND {new} IS NOT NULL THEN {told} ELSE coalesce({noted}, {known}) END"
            crossed = f"list_contains(c.crossed, {literal(field)})"
            value = f"CASE WHEN {crossed} THEN {literal(IN_DOUBT)} ELSE {value} END"
        moved.append(f"{value} AS {quote(field)}")
    nothing_learnt = " AND ".join(
        ["outcome = 'unsent'"]
        + [f"{quote(NOTED_PREFIX + field.removeprefix(FIELD_PREFIX))} IS NULL" for field in fields]
        + ["NOT takes_over", "(known_by IS NULL OR identifier NOT IN (SELECT identifier FROM ledger))"]
    )
    moves = "FALSE" if outcome.late else "c.kind = 'move'"
    return f"""
        SELECT
            coalesce(l.identifier, c.identifier) AS identifier,
            {partition:d}::INTEGER AS partition,
            CASE WHEN {accepted} THEN greatest({as_of}) ELSE greatest(l.as_of, c.seen_as_of) END AS as_of,
            CASE
                WHEN {moves} OR (c.kind = 'leave' AND c.outcome IN ('accepted', 'noted')) THEN FALSE
                WHEN c.kind IS NULL OR c.kind IN ('leave', 'move', 'known') THEN l.in_segment
                WHEN c.outcome = 'unsent' AND NOT c.doubted AND NOT c.takes_over THEN l.in_segment
                ELSE TRUE
            END AS in_segment,
            CASE WHEN {accepted} OR {refused} THEN {run_key} ELSE l.run_key END AS run_key,
            CASE
                WHEN {failed} THEN c.reason
                WHEN {absent} THEN CASE WHEN c.absent THEN {literal(_NOT_THERE)} ELSE l.rejection END
                WHEN {settled} OR l.refused_as = {literal(ABSENT)} THEN NULL
                ELSE l.rejection
            END AS rejection,
            CASE
                WHEN {settled} THEN 0
                WHEN {failed} AND {elsewhere} THEN 1
                WHEN {failed} AND l.refused_hash = {refused_hash} AND {again} THEN l.attempts
                WHEN {failed} AND l.refused_hash = {refused_hash} THEN coalesce(l.attempts, 0) + 1
                WHEN {failed} THEN 1
                ELSE coalesce(l.attempts, 0)
            END::INTEGER AS attempts,
            CASE WHEN {settled} THEN NULL WHEN {failed} THEN {refused_hash} ELSE l.refused_hash END AS refused_hash,
            CASE
                WHEN {partly} THEN 'fields'
                WHEN {refused} THEN c.outcome
                WHEN {absent} THEN {literal(ABSENT)}
                WHEN {settled} THEN NULL
                ELSE nullif(l.refused_as, {literal(ABSENT)})
            END AS refused_as,
            CASE
                WHEN {failed} OR c.absent THEN c.as_of
                WHEN {absent} THEN l.tried_at
                WHEN {settled} OR l.refused_as = {literal(ABSENT)} THEN NULL
                ELSE l.tried_at
            END AS tried_at,
            CASE
                WHEN c.sticks OR c.kind = 'move' THEN NULL
                WHEN {accepted} AND c.repair_hash = l.unstuck_hash AND {again} THEN l.unstuck
                WHEN {accepted} AND c.repair_hash = l.unstuck_hash THEN coalesce(l.unstuck, 0) + 1
                WHEN {accepted} AND c.repair_hash IS NOT NULL THEN 1
                ELSE l.unstuck
            END::INTEGER AS unstuck,
            CASE
                WHEN c.sticks OR c.kind = 'move' THEN NULL
                WHEN {accepted} THEN coalesce(c.repair_hash, l.unstuck_hash)
                ELSE l.unstuck_hash
            END AS unstuck_hash,
            {unproven} AS unproven
            {known_by}
            {"".join(f", {column}" for column in moved)}
        FROM ledger AS l FULL JOIN (SELECT * FROM outcome WHERE NOT ({nothing_learnt})) AS c
            ON c.identifier = l.identifier
        WHERE l.identifier IS NOT NULL OR c.kind NOT IN ('move', 'known')
        """


def _known_by_sql(accepted: str, refused: str, *, late: bool) -> str:
    """SQL for who a row's person is known to be.

    By what BlueConic finds a person counts once it was asked by it, so that somebody whom no request reached is still
    somebody else. An answer of somebody who has moved since shows that the row says something again.
    """
    asked = f"(({accepted} OR {refused}) AND c.matching IS NOT NULL)"
    revived = f"({accepted} AND l.known_by = {literal(KNOWN_BY_NOBODY)})"
    if late:
        # What a newer run knows of a person is newer.
        newest = "coalesce(l.known_by, c.known_by)"
        return (
            f"CASE WHEN {revived} THEN c.known_by WHEN {asked} THEN coalesce(l.known_by, c.matching) ELSE {newest} END"
        )
    learnt = "coalesce(c.known_by, l.known_by)"
    return f"CASE WHEN {asked} THEN c.matching WHEN {revived} THEN c.known_by ELSE {learnt} END"

"""Which person is the same as in the last run, by whatever identifier.

That decides which rows of the ledger moved to another identifier, and which are still there.

A record of an export goal with several links is known by all its identifiers and sent by one of them. So the ledger's
row of a person may lie under another identifier than the one by which the person is sent today. Whether both find the
same user, only the target knows. What follows keeps everybody's values either way:

* A row whose identifier belongs to a record that is sent as somebody else has *moved*. It leaves the list without
  anything being cleared, and its fields are in doubt there. Where the two identifiers hold different values, the field
  is in doubt under the new one too, and so it is sent.
* A row whose identifier belongs to a record that was skipped is still there.
* A row that no record names any more, but that shares another identifier with a record (the ledger's ``known_by``), is
  treated the same, unless that record has another value of the row's own kind.
* With another value of the same kind (a new ``external_id``), the row has left. The record that took its place is in
  doubt as above. Braze may find one user by two ids of a kind, so what leavers get may reach the same user: the fields
  that it touches stay in doubt under the new identifier even once they are accepted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.identifiers import load_identifiers
from airflow_provider_braze_blueconic.sync.delta.moves import find_moves
from airflow_provider_braze_blueconic.sync.delta.names import collect_names
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.takeovers import collect_takeovers
from airflow_provider_braze_blueconic.sync.engine.columns import field_name, noted_column
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_known
from airflow_provider_braze_blueconic.sync.state.known_by import KNOWN_BY_NOBODY
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows

if TYPE_CHECKING:
    import duckdb

__all__ = ["Identities", "settle_identities"]


@dataclass(frozen=True)
class Identities:
    """What the records that were read mean for the rows of the ledger, in files that all partitions share.

    :param news: Parquet file of people of whom the ledger learns something: ``identifier``, ``partition``, ``known_by``
        (NULL if it stays), ``mapped``, ``taken`` (the person takes another row's place), ``as_of`` (of another row of
        the person), ``crossed`` (field columns that stay in doubt whatever the target says) and a ``field_…`` column of
        those in doubt.
    :param present: Parquet file of rows that are not sent as themselves and have not left: ``identifier``,
        ``partition``, ``moved``.
    :param fields: field columns of ``news``.
    :param moved: how many rows moved.
    """

    news: Path
    present: Path
    fields: tuple[str, ...]
    moved: int

    def told_of(self, partition: int) -> str:
        """SQL for the identifiers of a partition of which the files say anything."""
        return " UNION ALL ".join(
            f"SELECT identifier FROM {parquet_source([file])} WHERE partition = {partition:d}"
            for file in (self.news, self.present)
        )

    def load(self, connection: duckdb.DuckDBPyConnection, partition: int) -> None:
        """Load what concerns a partition into ``news`` and ``present``, and put the table ``ledger`` in doubt.

        What another row of the person acknowledged is acknowledged of the person: no older data may go over it.
        """
        for name, file in (("news", self.news), ("present", self.present)):
            here = f"SELECT * EXCLUDE (partition) FROM {parquet_source([file])} WHERE partition = {partition:d}"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {here}")
        doubted = [f"{quote(column)} = coalesce(n.{quote(column)}, ledger.{quote(column)})" for column in self.fields]
        connection.execute(
            f"UPDATE ledger SET {', '.join(['as_of = greatest(ledger.as_of, n.as_of)', *doubted])} "
            "FROM news AS n WHERE n.as_of IS NOT NULL AND n.identifier = ledger.identifier"
        )
        columns = ", ".join(["identifier", "as_of", *map(quote, self.fields)])
        connection.execute(
            f"INSERT INTO ledger BY NAME SELECT {columns} FROM news "
            "WHERE as_of IS NOT NULL AND identifier NOT IN (SELECT identifier FROM ledger)"
        )

    def collect(self, connection: duckdb.DuckDBPyConnection, *, as_of: dt.datetime) -> None:
        """Add to ``delta`` the rows that moved, and those of skipped records whose other identifiers are new.

        Nothing is sent for them.

        :param as_of: version of the read.
        """
        books = f"{literal(as_of.isoformat())}::TIMESTAMPTZ AS as_of, FALSE AS to_send, 0 AS data_points"
        known = f"SELECT identifier, 'known' AS kind, {books}, known_by FROM news WHERE NOT mapped"
        connection.execute(f"INSERT INTO delta BY NAME {known}")
        if not self.moved:
            return
        noted = [
            f"{doubt_known(f'l.{quote(column)}')} AS {quote(noted_column(field_name(column)))}"
            for column in self.fields
        ]
        connection.execute(
            f"""
            INSERT INTO delta BY NAME
            SELECT {", ".join(["l.identifier", "'move' AS kind", books, f"{literal(KNOWN_BY_NOBODY)} AS known_by"])}
                {"".join(f", {text}" for text in noted)}
            FROM ledger AS l JOIN present AS p ON p.identifier = l.identifier WHERE p.moved
            """
        )


def settle_identities(
    engine: Engine, records: Sequence[Path], *, ledger: LedgerRows, plan: DeltaPlan, folder: Path
) -> Identities | None:
    """Compare the identifiers of all records that were read with the rows of the ledger, of all partitions.

    A person's old row and new row lie in different partitions, so this is worked out once, before the first of them.

    :param records: what the mapping wrote of every record; see :func:`~.fields.map_snapshot`.
    :param folder: gets the files.
    :return: ``None`` where there is nothing to compare: the goal has one link, or the whole read is stale.
    """
    if not records or plan.is_stale(ledger.newest_as_of()):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    news, present = folder / "news.parquet", folder / "present.parquet"
    with connect(engine) as connection:
        load_identifiers(connection, records, ledger, plan)
        find_moves(connection, plan)
        _write_present(connection, plan, present)
        collect_names(connection)
        fields = collect_takeovers(connection, ledger, plan)
        _write_news(connection, plan, fields, news)
        moved = connection.execute("SELECT count(DISTINCT old) FROM moves").fetchall()[0][0]
    return Identities(news, present, fields, int(moved))


def _write_present(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, path: Path) -> None:
    connection.execute(
        f"""
        COPY (
            SELECT identifier, {partition_sql("identifier", plan.partitions)} AS partition,
                identifier IN (SELECT old FROM moves) AS moved
            FROM (
                SELECT identifier FROM listed WHERE identifier NOT IN (SELECT identifier FROM sent)
                UNION SELECT old FROM shared WHERE same
            )
            WHERE identifier IN (SELECT identifier FROM books)
            ORDER BY partition
        ) TO {literal(str(path))} (FORMAT parquet)
        """
    )


def _write_news(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, fields: Sequence[str], path: Path) -> None:
    columns = "".join(f", t.{quote(column)}" for column in fields)
    connection.execute(
        f"""
        COPY (
            SELECT identifier, {partition_sql("identifier", plan.partitions)} AS partition, k.known_by,
                coalesce(t.taken, FALSE) AS taken, coalesce(k.mapped, TRUE) AS mapped, t.as_of, t.crossed{columns}
            FROM learnt AS k FULL JOIN others AS t USING (identifier)
            ORDER BY partition
        ) TO {literal(str(path))} (FORMAT parquet)
        """
    )

"""Who is the same person as last time: which rows of the ledger moved to another identifier, and which are still there.

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

from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_column, field_name, noted_column
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.ledger import KNOWN_BY_NOBODY, Ledger
from airflow_provider_braze_blueconic.sync.partitions import partition_sql

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.delta import DeltaPlan

__all__ = ["Identities", "settle_identities"]

_REMEMBERED = 20
"""How many identifiers a row remembers at least; more only if the record has more today. A link whose value changes
with every visit would let the ledger grow for ever."""

_FOUND_BY_SEVERAL = ("external_id", "user_alias")
"""Identifiers of which one Braze user may have several: an id that was renamed finds the user until it is removed
(docs "External ID migration"), and a user may have any number of aliases (docs "User profile lifecycle"), read
2026-11. A user has one ``braze_id``, one ``email`` and one ``phone``."""

_LIVE = f"(b.known_by IS DISTINCT FROM {literal(KNOWN_BY_NOBODY)} OR b.in_segment)"
"""SQL that tells whether a row of ``b`` still says something of its own: a row that moved does not."""


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
        in_doubt = literal(IN_DOUBT)
        noted = [
            f"CASE WHEN l.{quote(column)} IS NOT NULL THEN {in_doubt} END AS {quote(noted_column(field_name(column)))}"
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
    engine: Engine, records: Sequence[Path], *, ledger: Ledger, plan: DeltaPlan, folder: Path
) -> Identities | None:
    """Compare the identifiers of all records that were read with the rows of the ledger, of all partitions.

    A person's old row and new row lie in different partitions, so this is worked out once, before the first of them.

    :param records: what the mapping wrote of every record; see :func:`~.mapping.map_snapshot`.
    :param folder: gets the files.
    :return: ``None`` where there is nothing to compare: the goal has one link, or the whole read is stale.
    """
    if not records or plan.is_stale(ledger.newest_as_of()):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    news, present = folder / "news.parquet", folder / "present.parquet"
    with connect(engine) as connection:
        _load(connection, records, ledger, plan)
        _find_moves(connection, plan)
        _write_present(connection, plan, present)
        _collect_known_by(connection)
        fields = _collect_doubts(connection, ledger, plan)
        _write_news(connection, plan, fields, news)
        moved = connection.execute("SELECT count(DISTINCT old) FROM moves").fetchall()[0][0]
    return Identities(news, present, fields, int(moved))


def _kind_sql(identifier: str) -> str:
    """SQL for the kind of an identifier: its key, and of an alias also its label."""
    label = f"regexp_extract({identifier}, '\"alias_label\":(.*)\\}}\\}}$', 1)"
    return f"concat(regexp_extract({identifier}, '^\\{{\"([a-z_]+)\":', 1), {label})"


def _load(connection: duckdb.DuckDBPyConnection, records: Sequence[Path], ledger: Ledger, plan: DeltaPlan) -> None:
    """Load the records into ``records``, their identifiers into ``listed``, and the ledger's books into ``books``."""
    connection.execute(
        f"""
        CREATE TEMP TABLE records AS
        SELECT row_number() OVER () AS record, sent_as, identifiers, as_of FROM {parquet_source(records)}
        """
    )
    # Only files have records of several ages.
    as_of = "as_of" if plan.confirms else "max(as_of) OVER (PARTITION BY coalesce(sent_as, record::VARCHAR)) AS as_of"
    connection.execute(
        "CREATE TEMP TABLE listed AS SELECT record, sent_as, as_of, unnest(identifiers) AS identifier "
        f"FROM (SELECT record, sent_as, {as_of}, identifiers FROM records)"
    )
    connection.execute("CREATE TEMP TABLE sent AS SELECT DISTINCT sent_as AS identifier FROM records")
    connection.execute("DELETE FROM sent WHERE identifier IS NULL")
    with ledger.narrow(connection, ("identifier", "known_by", "in_segment", "as_of")) as rows:
        connection.execute(f"CREATE TEMP TABLE books AS SELECT * FROM {rows}")


def _find_moves(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> None:
    """Find out which rows went where.

    ``shared``: rows that no record names, with each record that shares another identifier, and whether it has no other
    value of the row's kind (``same``).
    ``moves``: ``old`` and ``new`` identifier of the same person.
    ``older``: the same, where the data are older than what the row acknowledged, so that nothing is sent and nobody
    moves.
    ``replaced``: the same, where the old one has left.
    """
    fresh = "TRUE" if plan.allow_stale else "coalesce(r.as_of >= b.as_of, TRUE)"
    kind = _kind_sql("b.identifier")
    connection.execute(
        f"""
        CREATE TEMP TABLE shared AS
        SELECT b.identifier AS old, r.record, r.sent_as, {fresh} AS fresh,
            len([x FOR x IN w.identifiers IF {_kind_sql("x")} = {kind} AND NOT list_contains(b.known, x)]) = 0 AS same
        FROM (
            SELECT *, unnest(known) AS key FROM (
                SELECT identifier, as_of, known_by::JSON::VARCHAR[] AS known FROM books AS b
                WHERE {_LIVE} AND known_by IS NOT NULL AND identifier NOT IN (SELECT identifier FROM listed)
            )
        ) AS b
        JOIN listed AS r ON r.identifier = b.key
        JOIN records AS w ON w.record = r.record
        """
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE found AS
        SELECT DISTINCT b.identifier AS old, r.sent_as AS new, {fresh} AS fresh
        FROM books AS b JOIN listed AS r ON r.identifier = b.identifier
        WHERE r.sent_as <> b.identifier AND {_LIVE} AND b.identifier NOT IN (SELECT identifier FROM sent)
        UNION
        SELECT old, sent_as, fresh FROM shared WHERE sent_as IS NOT NULL AND same
        """
    )
    connection.execute("CREATE TEMP TABLE older AS SELECT DISTINCT old, new FROM found WHERE NOT fresh")
    connection.execute(
        "CREATE TEMP TABLE moves AS SELECT DISTINCT old, new FROM found WHERE new NOT IN (SELECT new FROM older)"
    )
    # Who was on the list as somebody else before did not take the place of a row that is not named any more.
    connection.execute(
        """
        CREATE TEMP TABLE replaced AS
        SELECT DISTINCT s.old, s.sent_as AS new
        FROM shared AS s LEFT JOIN books AS n ON n.identifier = s.sent_as
        WHERE s.sent_as IS NOT NULL AND s.fresh AND n.in_segment IS DISTINCT FROM TRUE
            AND s.old NOT IN (SELECT old FROM shared WHERE same) AND s.sent_as NOT IN (SELECT new FROM older)
        """
    )


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


def _collect_known_by(connection: duckdb.DuckDBPyConnection) -> None:
    """Collect into ``learnt`` whose identifiers are not all known yet: ``identifier``, ``known_by``, ``mapped``.

    Who moved stays known by what the old row was known by: the person may come back under any of it.
    """
    known = "coalesce(b.known_by::JSON::VARCHAR[], [])"
    nobody = literal(KNOWN_BY_NOBODY)
    # Most people are known already by exactly what they have, and texts compare faster than lists.
    connection.execute(
        f"""
        CREATE TEMP TABLE new_names AS
        SELECT r.sent_as AS identifier
        FROM records AS r LEFT JOIN books AS b ON b.identifier = r.sent_as
        WHERE r.sent_as IS NOT NULL AND b.known_by IS DISTINCT FROM to_json(r.identifiers)::VARCHAR
            AND (b.known_by = {nobody} OR NOT list_has_all(list_append({known}, r.sent_as), r.identifiers))
        UNION SELECT new FROM moves
        """
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE named AS
        SELECT sent_as AS identifier, TRUE AS mapped, TRUE AS own, unnest(identifiers) AS name
        FROM records WHERE sent_as IN (SELECT identifier FROM new_names)
        UNION ALL
        SELECT m.new, TRUE, FALSE, unnest(list_append({known}, m.old))
        FROM moves AS m JOIN books AS b ON b.identifier = m.old
        UNION ALL
        SELECT identifier, FALSE, TRUE, name FROM (
            SELECT l.identifier, unnest(r.identifiers) AS name
            FROM (
                SELECT identifier, record FROM listed WHERE sent_as IS NULL
                UNION SELECT old, record FROM shared WHERE sent_as IS NULL AND same
            ) AS l
            JOIN records AS r ON r.record = l.record
            JOIN books AS b ON b.identifier = l.identifier
            WHERE {_LIVE} AND l.identifier NOT IN (SELECT identifier FROM sent)
                AND l.identifier NOT IN (SELECT old FROM moves)
        )
        -- Of a skipped record it is not known which of several values of a kind is the person's.
        WHERE {_kind_sql("name")} <> {_kind_sql("identifier")}
        """
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE learnt AS
        SELECT identifier, mapped, to_json(list_slice(
            list_concat(own, list_sort([x FOR x IN list_distinct(all_names) IF NOT list_contains(own, x)])),
            1, greatest(len(own), {_REMEMBERED})
        ))::VARCHAR AS known_by
        FROM (
            SELECT t.*, list_concat(t.names, {known}, [t.identifier]) AS all_names
            FROM (
                SELECT identifier, bool_or(mapped) AS mapped, list(DISTINCT name) AS names,
                    coalesce(list_sort(list(DISTINCT name) FILTER (WHERE own)), []) AS own
                FROM named GROUP BY identifier
            ) AS t
            LEFT JOIN books AS b ON b.identifier = t.identifier
            WHERE b.known_by = {nobody} OR NOT list_has_all(list_append({known}, t.identifier), t.names)
        )
        """
    )


def _collect_doubts(connection: duckdb.DuckDBPyConnection, ledger: Ledger, plan: DeltaPlan) -> tuple[str, ...]:
    """Collect into ``others`` what is in doubt of the people who take another row's place.

    Two identifiers that hold the same value leave no doubt: whichever the user was written by last, that is the value.

    :return: the field columns.
    """
    fields: tuple[str, ...] = ()
    kinds = ("moves", "replaced", "older")
    pairs = " UNION ALL ".join(f"SELECT old, new, {literal(kind)} AS kind FROM {kind}" for kind in kinds)
    connection.execute(f"CREATE TEMP TABLE pairs AS {pairs}")
    wanted = "FALSE"
    if connection.execute("SELECT count(*) FROM pairs").fetchall()[0][0]:
        fields = tuple(name for name in ledger.columns() if name.startswith(FIELD_PREFIX))
        wanted = "identifier IN (SELECT old FROM pairs UNION ALL SELECT new FROM pairs)"
    told = [field_column(target) for target in plan.leavers or {}] if plan.complete else []
    crossed = "NULL::VARCHAR[]"
    if told and fields:
        beginnings = ", ".join(literal(f'{{"{name}"') for name in _FOUND_BY_SEVERAL)
        touched = ", ".join(literal(column) for column in told)
        is_crossed = f"p.kind = 'replaced' AND o.in_segment AND split_part(p.old, ':', 1) IN ({beginnings})"
        crossed = f"CASE WHEN bool_or({is_crossed}) THEN [{touched}] END"
    taken = "NOT bool_or(p.kind = 'older')"
    doubts = [
        f"CASE WHEN bool_or(o.{column} IS NOT NULL AND o.{column} IS DISTINCT FROM n.{column}) AND {taken} "
        f"THEN {literal(IN_DOUBT)} END AS {column}"
        for column in map(quote, fields)
    ]
    with ledger.narrow(connection, ("identifier", "in_segment", "as_of", *fields)) as rows:
        connection.execute(f"CREATE TEMP TABLE rows AS SELECT * FROM {rows} WHERE {wanted}")
    connection.execute(
        f"""
        CREATE TEMP TABLE others AS
        SELECT p.new AS identifier, {taken} AS taken, max(o.as_of) AS as_of, {crossed} AS crossed
            {"".join(f", {text}" for text in doubts)}
        FROM pairs AS p JOIN rows AS o ON o.identifier = p.old LEFT JOIN rows AS n ON n.identifier = p.new
        GROUP BY p.new
        """
    )
    return fields


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

"""Quiet people: those of whom nothing can differ, so that neither side of them is looked at.

Of everybody the mapping leaves the fingerprint of their values, whether it mapped these or recognised the record. Where
the ledger's row has the same fingerprint, the person is on the list, and nothing else is known of them since, they are
set aside in the table ``quiet``. On most nights that is nearly everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.identity import Identities
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import VALUES, hashed_sql, same_hashes_sql
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows

if TYPE_CHECKING:
    import duckdb

__all__ = ["QUIET", "MapLater", "People", "load_mapped", "set_aside_quiet"]

MapLater = Callable[[Path, Path], Sequence[Path]]
"""(Parquet file with the rows of records, folder) → files with their mapped values."""

QUIET = "SELECT identifier FROM quiet"
"""SQL for the identifiers of the quiet people."""


@dataclass(frozen=True)
class People:
    """Everybody in a partition, where values were mapped of some alone.

    :param files: what the mapping left of them.
    :param later: maps the values of the others.
    """

    files: Sequence[Path]
    later: MapLater


def set_aside_quiet(
    connection: duckdb.DuckDBPyConnection,
    partition: int,
    people: People | None,
    ledger: LedgerRows,
    plan: DeltaPlan,
    identities: Identities | None,
    held: Sequence[Path] | None,
) -> int:
    """Find the quiet people of a partition, into the table ``quiet``.

    :param people: everybody in the partition; ``None`` where nobody may be set aside.
    :param identities: who of the ledger is who of the read; ``None`` where people have one identifier.
    :param held: local copies of the ledger's files, where there are any.
    :return: how many they are.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE quiet (identifier VARCHAR)")
    if people is None or not people.files or not ledger.exists:
        return 0
    compared = [*(["known_by"] if plan.finds_by_matching else []), *sorted(plan.columns)]
    elsewhere = identities.told_of(partition) if identities is not None else "SELECT NULL WHERE FALSE"
    hashes = hashed_sql([quote(name) for name in compared], VALUES)
    columns = ["identifier", "in_segment", *compared]
    with ledger.partition_rows(connection, partition, columns, partitions=plan.partitions, files=held) as rows:
        known = f"SELECT identifier, {hashes} FROM {rows} WHERE in_segment"
        connection.execute(
            f"""
            INSERT INTO quiet
            SELECT p.identifier
            FROM (SELECT identifier, {", ".join(VALUES)} FROM {parquet_source(people.files)}) AS p
            JOIN ({known}) AS l ON l.identifier = p.identifier AND {same_hashes_sql("l", "p", VALUES)}
            WHERE p.identifier NOT IN ({elsewhere})
            """
        )
    return int(connection.execute("SELECT count(*) FROM quiet").fetchall()[0][0])


def load_mapped(
    connection: duckdb.DuckDBPyConnection,
    mapped: Sequence[Path],
    people: People | None,
    plan: DeltaPlan,
    folder: Path,
) -> None:
    """Give the mapped snapshot of the partition's people who are not quiet the name ``mapped``.

    :param mapped: files of those whose values were mapped.
    :param people: everybody; ``None`` where everybody's values were mapped.
    :param folder: gets the files of those whose values are mapped now.
    """
    if people is not None and people.files:
        mapped = [*mapped, *_mapped_later(connection, mapped, people, folder)]
    if not mapped:
        fields = "".join(f", NULL::VARCHAR AS {quote(column)}" for column in plan.columns)
        nobody = f"SELECT NULL::VARCHAR AS identifier, NULL::TIMESTAMPTZ AS as_of{fields} LIMIT 0"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS {nobody}")
        return
    others = f"SELECT * FROM {parquet_source(mapped)} WHERE identifier NOT IN ({QUIET})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS {others}")


def _mapped_later(
    connection: duckdb.DuckDBPyConnection, mapped: Sequence[Path], people: People, folder: Path
) -> Sequence[Path]:
    """Map the values of the people who were recognised, and are not quiet."""
    there = f"SELECT row FROM {parquet_source(mapped)}" if mapped else "SELECT NULL WHERE FALSE"
    wanted = (
        f"SELECT row FROM {parquet_source(people.files)} WHERE row NOT IN ({there}) AND identifier NOT IN ({QUIET})"
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rows.parquet"
    rows = connection.execute(f"COPY ({wanted}) TO {literal(str(file))} (FORMAT parquet)").fetchall()[0][0]
    return people.later(file, folder) if rows else ()

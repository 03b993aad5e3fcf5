"""The files of a mapped snapshot: the values of each person, mapped a chunk of records at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import RECORD, VALUES, hashed_sql
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.recognised import PEOPLE, people_columns, same_people_sql
from airflow_provider_braze_blueconic.sync.mapping.values import mapped_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["value_columns", "value_files", "write_values"]

_VALUES_AT_ONCE = 10_000_000
"""Values in a chunk: what is mapped lies in memory until it is written."""

_MOST_CHUNKS = 16
"""However many people: each chunk is a file in each partition."""

_FIELDS_AT_ONCE = 50
"""Fields that one statement maps: from some hundred on, the time of planning it grows faster than they do."""


def value_files(folder: Path) -> list[Path]:
    """List the files with the values of a mapped snapshot, of all partitions."""
    return sorted(folder.glob("partition=*/*.parquet"))


def value_columns(plan: MappingPlan) -> list[str]:
    """Name the columns whose values the ledger is compared with, in the order of their fingerprint."""
    matching = ["matching"] if plan.matching is not None else []
    return [*matching, *sorted(field_column(field.target) for field in plan.fields)]


def write_values(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    plan: MappingPlan,
    lookups: Mapping[str, str],
    folder: Path,
    *,
    leaves_people: bool,
    with_same: bool = False,
    ends: Sequence[int] = (),
) -> None:
    """Map the records that are not in the table ``skipped``.

    By way of a table (which spills to disk when memory runs short): picking the partitions out of it takes half the
    time of DuckDB's own PARTITION_BY.

    :param lookups: target field → relation of its vocabulary.
    :param leaves_people: write the people too.
    :param with_same: among them those in the table ``same``, who were recognised.
    :param ends: the last ``row`` of each row group, where the source is read from files.
    """
    for partition in range(plan.partitions):
        (folder / f"partition={partition}").mkdir()
        if leaves_people:
            (folder / PEOPLE / f"partition={partition}").mkdir(parents=True)
    for number, chunk in enumerate(_chunks(connection, source, plan, ends)):
        _map_chunk(connection, chunk, plan, lookups, with_fingerprint=leaves_people)
        values = f"SELECT * EXCLUDE ({', '.join(RECORD)}) FROM mapped" if leaves_people else "SELECT * FROM mapped"
        _copy(connection, values, plan, folder, f"mapped-{number}.parquet")
        if leaves_people:
            people = _people_sql(plan)
            if with_same and number == 0:
                people = f"{people} UNION ALL {same_people_sql(plan)}"
            _copy(connection, people, plan, folder / PEOPLE, f"people-{number}.parquet")
        connection.execute("DROP TABLE mapped")


def _map_chunk(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    plan: MappingPlan,
    lookups: Mapping[str, str],
    *,
    with_fingerprint: bool,
) -> None:
    """Map the records of a source into the table ``mapped``, a group of fields at a time.

    What a statement works out in between lies in memory for each of its fields, however few the records are.
    """
    groups = [
        range(first, min(first + _FIELDS_AT_ONCE, len(plan.fields)))
        for first in range(0, max(1, len(plan.fields)), _FIELDS_AT_ONCE)
    ]
    for number, group in enumerate(groups):
        wanted = mapped_sql(source, plan, lookups, fields=group, with_fingerprint=with_fingerprint and not number)
        name = f"mapped_{number}" if len(groups) > 1 else "mapped"
        connection.execute(f"CREATE TEMP TABLE {name} AS {wanted}")
    if len(groups) > 1:
        _join_groups(connection, plan, groups)


def _join_groups(connection: duckdb.DuckDBPyConnection, plan: MappingPlan, groups: Sequence[range]) -> None:
    names = [f"mapped_{number}" for number in range(len(groups))]
    columns = [
        f"{name}.{quote(field_column(plan.fields[number].target))}"
        for name, group in zip(names, groups, strict=True)
        for number in group
    ]
    warned = " OR ".join(f"{name}.warnings IS NOT NULL" for name in names)
    warnings = ", ".join(f"coalesce({name}.warnings, [])" for name in names)
    there = [quote(field_column(plan.fields[number].target)) for number in groups[0]]
    joins = " ".join(f"JOIN {name} ON {name}.row = mapped_0.row" for name in names[1:])
    connection.execute(
        f"""
        CREATE TEMP TABLE mapped AS
        SELECT mapped_0.* EXCLUDE ({", ".join([*there, "warnings"])}),
            CASE WHEN {warned} THEN flatten([{warnings}]) END AS warnings, {", ".join(columns)}
        FROM mapped_0 {joins}
        """
    )
    for name in names:
        connection.execute(f"DROP TABLE {name}")


def _chunks(
    connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan, ends: Sequence[int]
) -> Iterator[str]:
    """Cut a source by ``row`` into sources of so many values each.

    :param ends: the last ``row`` of each row group, where it is read from files.
    """
    records = connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
    chunks = min(_MOST_CHUNKS, -(-records * max(1, len(plan.fields)) // _VALUES_AT_ONCE))
    if chunks <= 1:
        yield source
        return
    shares = [number / chunks for number in range(1, chunks)]
    cuts = connection.execute(f"SELECT quantile_disc(row, {shares}) FROM {source}").fetchall()[0][0]
    # What lies across a cut is read for both sides of it.
    cuts = sorted({min((end for end in ends if end >= cut), default=cut) for cut in cuts} - {max(ends, default=None)})
    for after, until in zip([None, *cuts], [*cuts, None], strict=True):
        bounds = [f"row > {after:d}"] if after is not None else []
        bounds += [f"row <= {until:d}"] if until is not None else []
        yield f"(SELECT * FROM {source} WHERE {' AND '.join(bounds)})"


def _people_sql(plan: MappingPlan) -> str:
    columns = [quote(name) for name in people_columns(plan) if name not in VALUES]
    columns.append(hashed_sql([quote(name) for name in value_columns(plan)], VALUES))
    source = "mapped"
    if plan.tells_identities:
        source = "(SELECT m.*, i.known AS identifiers FROM mapped AS m JOIN identity AS i ON i.row = m.row)"
    return f"SELECT {', '.join(columns)}, partition FROM {source}"


def _copy(connection: duckdb.DuckDBPyConnection, rows: str, plan: MappingPlan, folder: Path, name: str) -> None:
    """Write rows into a file a partition.

    :param rows: SQL for them, with their ``partition``.
    """
    for partition in range(plan.partitions):
        path = literal(str(folder / f"partition={partition}" / name))
        here = f"SELECT * FROM ({rows}) WHERE partition = {partition:d}"
        connection.execute(f"COPY ({here}) TO {path} (FORMAT parquet, COMPRESSION lz4_raw)")

"""From a snapshot to the mapped snapshot: one row a person, one column a target field, values as JSON texts.

A mapped value is the JSON text that the target will get, ``null`` to clear the field, or SQL NULL to say nothing.
A person without a usable identifier is skipped with a reason; of a person who occurs twice the latest modified
record counts; a value that the target would not store is left out with a reason, and the rest of the person goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source, quote
from airflow_provider_braze_blueconic.sync.mapping.identifiers import identify
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.recognised import people_files, recognise
from airflow_provider_braze_blueconic.sync.mapping.value_files import value_files, write_values
from airflow_provider_braze_blueconic.sync.mapping.values import mapped_sql
from airflow_provider_braze_blueconic.sync.mapping.vocabularies import create_lookups, load_domains
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule

if TYPE_CHECKING:
    import duckdb

__all__ = ["MappedCounts", "map_rows", "map_snapshot", "map_text"]


@dataclass(frozen=True)
class MappedCounts:
    """What mapping did.

    :param people: rows of the mapped snapshot.
    :param skipped: reason → records that were not mapped.
    :param warnings: (target field, reason) → people whose value was left out or cut down.
    """

    people: int
    skipped: Mapping[str, int]
    warnings: Mapping[tuple[str, str], int]


def map_snapshot(
    engine: Engine, parts: Sequence[Path], plan: MappingPlan, folder: Path, *, known: Sequence[Path] | None = None
) -> MappedCounts:
    """Write the mapped snapshot of a goal.

    :param parts: snapshot files: ``row``, ``profile_id``, ``as_of``, ``last_modified``, ``consented``, and the
        columns that the plan names.
    :param folder: gets ``partition=<p>/*.parquet`` (``row``, ``identifier``, ``as_of``, ``last_modified``,
        ``warnings``, ``matching`` where the plan has one, one ``field_…`` column a target field),
        ``skipped.parquet`` (``row``, ``identifier``, ``reason``; each of several identifiers on a line of its own), and
        where there are several links ``identities/records.parquet``: of every record that was read, mapped or skipped,
        ``identifiers`` (all of them, over all links and values), ``sent_as`` (the one by which the person is sent; NULL
        if the person is skipped) and ``as_of``.
    :param known: the people of an earlier run by the same plan; may be none. Then the folder also gets
        ``people/partition=<p>/*.parquet`` (see :mod:`.recognised`), and of records among them no values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connect(engine) as connection:
        # Parts of one snapshot may differ: an attribute that few people have first shows in a late part.
        source = parquet_source(parts, union_by_name=True)
        recognises = bool(known)
        if known:
            source = recognise(connection, source, plan, known)
        load_domains(connection, source, plan)
        skipped = identify(connection, source, plan, folder, with_same=recognises)
        joins = create_lookups(connection, source, plan.fields)
        write_values(
            connection,
            source,
            plan,
            joins,
            folder,
            leaves_people=known is not None,
            with_same=recognises,
            ends=_row_group_ends(parts),
        )
        people, warnings = _count(connection, plan, folder)
    return MappedCounts(people=people, skipped=skipped, warnings=warnings)


def _row_group_ends(parts: Sequence[Path]) -> list[int]:
    """Tell the last ``row`` of each row group of a snapshot's files."""
    import pyarrow.parquet as pq

    ends = []
    for part in parts:
        footer = pq.read_metadata(part)
        row = footer.schema.names.index("row")
        groups = (footer.row_group(group).column(row).statistics for group in range(footer.num_row_groups))
        ends += [group.max for group in groups if group is not None and group.has_min_max]
    return ends


def map_rows(engine: Engine, parts: Sequence[Path], plan: MappingPlan, rows: Path, folder: Path) -> list[Path]:
    """Map the values of some records whose people are known already.

    :param parts: snapshot files.
    :param rows: Parquet file with their ``row``.
    :param folder: gets ``partition=<p>/*.parquet``.
    :return: the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connect(engine) as connection:
        wanted = f"SELECT row FROM {parquet_source([rows])}"
        picked = f"SELECT * FROM {parquet_source(parts, union_by_name=True)} WHERE row IN ({wanted})"
        connection.execute(f"CREATE TEMP TABLE picked AS {picked}")
        connection.execute("CREATE TEMP TABLE skipped (row BIGINT)")
        load_domains(connection, "picked", plan)
        joins = create_lookups(connection, "picked", plan.fields)
        write_values(connection, "picked", plan, joins, folder, leaves_people=False)
    return value_files(folder)


def map_text(rule: ValueRule, text: str) -> tuple[str | None, str | None]:
    """Bring one text into the target's form, as if it stood in a snapshot: what a goal fixes is compared with that.

    :return: (JSON text, None), (None, reason), or (None, None) for a text of which nothing is left.
    """
    from tempfile import gettempdir

    field = MappedField("value", "value", rule=rule, unpacks=True)
    link = IdentifierLink("profile_id", "", "", is_list=False)
    plan = MappingPlan((link,), (field,), clear_missing=False, objectives=(), partitions=1)
    with connect(Engine(Path(gettempdir()), threads=1)) as connection:
        connection.execute(
            """
            CREATE TEMP TABLE one AS
            SELECT 0::BIGINT AS row, '-' AS profile_id, NULL::TIMESTAMPTZ AS as_of, NULL::TIMESTAMPTZ AS last_modified,
                [?::VARCHAR] AS value
            """,
            [text],
        )
        connection.execute("CREATE TEMP TABLE skipped (row BIGINT)")
        load_domains(connection, "one", plan)
        joins = create_lookups(connection, "one", plan.fields)
        select = f"SELECT {quote(field_column(field.target))}, warnings FROM ({mapped_sql('one', plan, joins)})"
        found, warnings = connection.execute(select).fetchall()[0]
    return found, warnings[0].split(":", 1)[1] if warnings else None


def _count(
    connection: duckdb.DuckDBPyConnection, plan: MappingPlan, folder: Path
) -> tuple[int, Mapping[tuple[str, str], int]]:
    """Count the people, and the warnings about them."""
    files = people_files(folder) or value_files(folder)
    if not files:
        return 0, {}
    mapped = parquet_source(files)
    people = connection.execute(f"SELECT count(*) FROM {mapped}").fetchall()[0][0]
    rows = connection.execute(
        f"SELECT w, count(*) FROM (SELECT unnest(warnings) AS w FROM {mapped} WHERE warnings IS NOT NULL) GROUP BY w"
    ).fetchall()
    counted: dict[tuple[str, str], int] = {}
    for code, count in rows:
        number, reason = code.split(":", 1)
        counted[plan.fields[int(number)].target, reason] = count
    return people, dict(sorted(counted.items()))

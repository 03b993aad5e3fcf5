"""Records that an earlier run has mapped, with the same values in them: they need not be mapped again.

Beside the values that it maps, a run leaves its *people*: of every mapped record its identifier, its fingerprint, and
that of its values. The next run recognises a record by its fingerprint and goes by the people of the last one. Whether
the values are still what the target has, the delta decides by their fingerprint; see :mod:`~..delta.quiet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import RECORD, VALUES, record_sql, same_hashes_sql
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan

if TYPE_CHECKING:
    import duckdb

__all__ = ["PEOPLE", "people_columns", "people_files", "recognise", "same_people_sql"]

PEOPLE = "people"
"""Folder in a mapped snapshot, with a folder a partition."""

_WORTH_IT = 0.5
"""Share of the records to recognise from which the others are mapped apart."""


def people_columns(plan: MappingPlan) -> list[str]:
    """Name the columns of people: ``identifiers`` are all identifiers of a record, where a person may have several."""
    several = ["identifiers"] if plan.tells_identities else []
    return ["row", "identifier", "as_of", "last_modified", "warnings", *several, *RECORD, *VALUES]


def people_files(folder: Path) -> list[Path]:
    """List the files of the people of a mapped snapshot; none where it has none."""
    return sorted(folder.glob(f"{PEOPLE}/partition=*/*.parquet"))


def recognise(connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan, known: Sequence[Path]) -> str:
    """Tell the records that an earlier run has mapped from the others, and leave them in the table ``same``.

    :param known: people of that run, in a folder a partition; of a plan with the same fingerprint.
    :return: the other records, as a source; ``source`` itself where there are few to recognise.
    """
    columns = [name for name in people_columns(plan) if name not in ("row", "as_of", "last_modified")]
    before = f"SELECT {', '.join([*map(quote, columns), 'partition'])} FROM {_partitioned(known)}"
    connection.execute(
        f"""
        CREATE TEMP TABLE same AS
        SELECT r.row, r.profile_id, r.as_of, r.last_modified, k.*
        FROM (SELECT row, profile_id, as_of, last_modified, {record_sql(plan)} FROM {source}) AS r
        JOIN ({before}) AS k ON {same_hashes_sql("r", "k", RECORD)}
        """
    )
    counted = f"SELECT (SELECT count(*) FROM same), (SELECT count(*) FROM {source})"
    recognised, records = connection.execute(counted).fetchall()[0]
    if recognised < records * _WORTH_IT:
        connection.execute("DELETE FROM same")
        return source
    others = f"SELECT * FROM {source} WHERE row NOT IN (SELECT row FROM same)"
    connection.execute(f"CREATE TEMP TABLE others AS {others}")
    return "others"


def _partitioned(files: Sequence[Path]) -> str:
    listed = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{'partition': INTEGER}})"


def same_people_sql(plan: MappingPlan) -> str:
    """SQL for the people who were recognised, and not skipped, with their ``partition``."""
    columns = ", ".join([*map(quote, people_columns(plan)), "partition"])
    return f"SELECT {columns} FROM same WHERE row NOT IN (SELECT row FROM skipped)"

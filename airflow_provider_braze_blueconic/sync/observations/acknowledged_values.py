"""What another goal wanted to write of people whose values it did not map again: what was acknowledged of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import VALUES, hashed_sql, same_hashes_sql
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger

__all__ = ["acknowledged_files"]


def acknowledged_files(
    engine: Engine, values: Sequence[Path], people: Sequence[Path], ledger: Ledger, folder: Path
) -> list[Path]:
    """Write the values of people who were recognised, where they are what the goal's target acknowledged.

    Of the others nothing is said, as of people who were skipped: the goal itself maps them when it compares.

    :param values: files of the mapped snapshot.
    :param people: files of everybody in it.
    :param ledger: of the goal that mapped.
    :param folder: gets the file.
    :return: none where there is no ledger.
    :raises BrokenTable: the ledger can't be read.
    :raises UnsupportedTable: the ledger has a feature that this package can't use.
    """
    if not ledger.exists:
        return []
    file = folder / "acknowledged.parquet"
    with connect(engine) as connection:
        mapped = parquet_source(values)
        names = column_names(connection, f"SELECT * FROM {mapped}")
        fields = sorted(name for name in names if name.startswith(FIELD_PREFIX))
        compared = [*(["known_by"] if "matching" in names else []), *fields]
        with ledger.narrow(connection, ["identifier", *compared]) as rows:
            known = f"SELECT *, {hashed_sql([quote(name) for name in compared], VALUES)} FROM {rows}"
            told = ", ".join(
                ["p.row", "p.identifier", "p.as_of", "p.last_modified", *(f"l.{quote(f)}" for f in fields)]
            )
            acknowledged = f"""
                SELECT {told} FROM {parquet_source(people)} AS p
                JOIN ({known}) AS l ON l.identifier = p.identifier AND {same_hashes_sql("l", "p", VALUES)}
                WHERE p.row NOT IN (SELECT row FROM {mapped})
                """
            connection.execute(f"COPY ({acknowledged}) TO {literal(str(file))} (FORMAT parquet)")
    return [file]

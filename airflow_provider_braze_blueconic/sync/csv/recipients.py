"""The people of a delivery, in the table ``people``: their lines, and their receipts from earlier attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_braze_blueconic.sync.csv.layout import FileLayout
from airflow_provider_braze_blueconic.sync.engine.database import parquet_source
from airflow_provider_braze_blueconic.sync.store.paths import delta_file, receipts_folder
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["Recipient", "Recipients"]

_ROWS_PER_BATCH = 20_000


class Recipient(NamedTuple):
    """One person of a delivery.

    :param left_out: targets that are left out of the line.
    :param refusal: why the whole person is left out; ``None`` if not.
    """

    identifier: str
    left_out: list[str]
    refusal: str | None


class Recipients:
    """Everybody to be sent.

    Columns of ``people``: those of :meth:`~.layout.FileLayout.rows_sql`, ``partition``, ``told`` (has an outcome),
    ``accepted``, ``open`` (has an intent that nothing followed).
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def load(
        self, workspace: Workspace, delta: DeltaRef, partitions: Sequence[int], layout: FileLayout, local: Path
    ) -> None:
        """Load some partitions of a delta, with what earlier attempts left."""
        for number, partition in enumerate(partitions):
            file = local / f"delta-{partition}.parquet"
            workspace.staging.download_file(delta_file(delta["uri"], partition), file)
            parts = fetch_folder(
                workspace.staging, receipts_folder(delta["uri"], partition), local / f"told-{partition}"
            )
            source = parquet_source([file])
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            rows = layout.rows_sql(f"(SELECT * FROM {source} WHERE to_send)", {name for name, *_ in described})
            into = "INSERT INTO people" if number else "CREATE TEMP TABLE people AS"
            self._connection.execute(
                f"""
                {into}
                SELECT {partition:d} AS partition, r.*, coalesce(t.told, FALSE) AS told,
                    coalesce(t.accepted, FALSE) AS accepted, coalesce(t.open, FALSE) AS open
                FROM ({rows}) AS r LEFT JOIN ({_told_sql(parts)}) AS t ON t.identifier = r.identifier
                """
            )
            file.unlink()

    def has_any_accepted(self) -> bool:
        """Tell whether an earlier attempt wrote that anybody was accepted."""
        return bool(self._connection.execute("SELECT count(*) FROM people WHERE accepted").fetchall()[0][0])

    def leave_out_the_held(self) -> None:
        """Take those for told whose intent nothing followed: their row may have been read from a file that is gone."""
        self._connection.execute("UPDATE people SET told = TRUE WHERE open")

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines of everybody who is to be in the file, always in the same order, in batches."""
        wanted = "SELECT line FROM people WHERE NOT told AND refusal IS NULL ORDER BY partition, identifier"
        for batch in self._connection.sql(wanted).to_arrow_reader(_ROWS_PER_BATCH):
            yield batch.column("line").to_pylist()

    def batches(self, partition: int, condition: str) -> Iterator[list[Recipient]]:
        """Yield the people of a partition of whom a condition holds, in batches.

        :param condition: SQL over ``people``.
        """
        rows = self._connection.sql(
            f"SELECT identifier, left_out, refusal FROM people WHERE partition = {partition:d} AND {condition}"
        ).to_arrow_reader(_ROWS_PER_BATCH)
        for batch in rows:
            columns = (batch.column(name).to_pylist() for name in Recipient._fields)
            yield list(map(Recipient._make, zip(*columns, strict=True)))

    def count_left_out(self) -> dict[str, int]:
        """Count people by the target field that is left out of their lines, and why."""
        rows = self._connection.execute(
            "SELECT w, count(*) FROM (SELECT unnest(why) AS w FROM people WHERE refusal IS NULL) GROUP BY w ORDER BY w"
        ).fetchall()
        return dict(rows)


def _told_sql(parts: Sequence[Path]) -> str:
    if not parts:
        return "SELECT NULL::VARCHAR AS identifier, FALSE AS told, FALSE AS accepted, FALSE AS open WHERE FALSE"
    return f"""
        SELECT identifier, bool_or(outcome NOT IN ('intended', 'withdrawn')) AS told,
            bool_or(outcome = 'accepted') AS accepted,
            count(*) FILTER (WHERE outcome = 'intended') > count(*) FILTER (WHERE outcome = 'withdrawn') AS open
        FROM {parquet_source(parts, union_by_name=True)} GROUP BY identifier
        """

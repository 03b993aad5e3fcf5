"""The ledger: what the target has acknowledged, a row for each person.

:mod:`.ledger_columns` tells what its columns mean. It moves by :meth:`Ledger.commit` alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged, delta_number
from airflow_provider_braze_blueconic.sync.state.changed_settings import NO_DOUBTS, Doubts
from airflow_provider_braze_blueconic.sync.state.ledger_columns import no_rows
from airflow_provider_braze_blueconic.sync.state.ledger_files import stream_files, work_folder
from airflow_provider_braze_blueconic.sync.state.ledger_rows import (
    AS_OF,
    LAST,
    LINKS,
    PARTITIONS,
    RELEASED,
    LedgerRows,
)
from airflow_provider_braze_blueconic.sync.state.moved_rows import move_rows
from airflow_provider_braze_blueconic.sync.state.release import FORGOTTEN
from airflow_provider_braze_blueconic.sync.state.table_rows import write_file
from airflow_provider_braze_blueconic.sync.store.tables import microseconds

__all__ = ["Ledger"]


class Ledger(LedgerRows):
    """The ledger of one goal."""

    def rebuild(self, files: Sequence[Path], *, partitions: int, as_of: dt.datetime, deltas: Mapping[str, int]) -> None:
        """Make a ledger that is not there from rows that were found elsewhere, in one commit.

        :param files: local Parquet files with the ledger's columns; columns that are not in them are NULL.
        :param partitions: that the rows are divided by.
        :param as_of: version of the newest data that a run has committed.
        :param deltas: id of each delta that is in the rows → its receipts, so that it is not committed once more.
        :raises WriterConflict: if another run made a ledger meanwhile; nothing was changed.
        """
        import pyarrow.parquet as pq

        names = [name for file in files for name in pq.read_schema(file).names]
        fields = list(dict.fromkeys(name for name in names if name.startswith(FIELD_PREFIX)))
        transactions = dict(_committed(delta_id, receipts) for delta_id, receipts in deltas.items())
        transactions |= {AS_OF: microseconds(as_of), PARTITIONS: partitions}
        rows = stream_files(files, fields, with_known_by="known_by" in names)
        self.replace_partitions(rows, range(partitions), transactions=transactions)

    def release(self, engine: Engine, identifiers: Sequence[str]) -> int:
        """Forget how often the target refused people, so that the next run tries them again; in one commit.

        :param identifiers: JSON texts, as in the ledger.
        :return: of how many partitions rows were changed.
        :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed.
        """
        import pyarrow as pa

        fields = self.fields()
        number = partition_sql("identifier", self.transaction(PARTITIONS) or 1)
        forgotten = ", ".join(
            f"CASE WHEN identifier IN (SELECT identifier FROM released) THEN {value} ELSE {name} END AS {name}"
            for name, value in FORGOTTEN.items()
        )
        with work_folder(engine) as folder, connect(engine) as connection:
            connection.register("released", pa.table({"identifier": pa.array(identifiers, pa.string())}))
            found = connection.execute(f"SELECT DISTINCT {number} FROM released ORDER BY 1").fetchall()
            partitions = [partition for (partition,) in found]
            files = []
            for partition in partitions:
                self.load(connection, partition, fields)
                rows = f"SELECT {partition:d}::INTEGER AS partition, * REPLACE ({forgotten}) FROM ledger"
                files.append(folder / f"released-{partition}.parquet")
                write_file(connection, rows, files[-1], fields=len(fields))
            if files:
                self.replace_partitions(
                    stream_files(files, fields, with_known_by="known_by" in self.columns()),
                    partitions,
                    transactions={RELEASED: microseconds(dt.datetime.now(dt.UTC))},
                )
        return len(partitions)

    def commit(self, engine: Engine, outcome: Acknowledged) -> bool:
        """Move the ledger to what the target acknowledged. Nothing else moves it.

        Doing it twice with the same receipts is doing it once; with more receipts, only what came on top counts.

        :return: whether there was anything to commit.
        :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed.
        """
        name, number = _committed(outcome.delta_id, outcome.receipt_rows)
        done = self.transaction(name)
        if done is not None and done >= number:
            return False
        outcome, doubts = self._as_it_comes(outcome)
        known = self.transaction(PARTITIONS) or outcome.partitions
        # A goal may get other partitions while an upload is open; then the newer run's number stays.
        partitions = known if outcome.late else outcome.partitions
        transactions = {name: number, **self._remembered(outcome), PARTITIONS: partitions}
        everybody = self.exists and bool(doubts or partitions != known)
        if outcome.delta or everybody:
            self._move(engine, outcome, doubts, transactions, everybody=everybody)
        else:
            self._remember(transactions)
        return True

    def _as_it_comes(self, outcome: Acknowledged) -> tuple[Acknowledged, Doubts]:
        """Tell whether an outcome comes late, and what changed settings put in doubt of everybody."""
        # Only answers that came after another run had taken over: what that run knows of a person is as new or newer.
        late = self.last_delta not in (None, delta_number(outcome.delta_id), outcome.last_delta)
        doubts = self.doubts(outcome.settings)
        if late:
            # The ledger is the newer run's, and so are its settings; only what came late is in doubt by the others.
            return replace(outcome, late=True, otherwise=bool(doubts)), NO_DOUBTS
        return replace(outcome, late=False), doubts

    def _remembered(self, outcome: Acknowledged) -> dict[str, int]:
        """What the ledger remembers of a run beside its rows: name of a transaction → number."""
        newest = self.newest_as_of()
        as_of = max(outcome.as_of, newest) if newest else outcome.as_of
        if outcome.late:
            # A number of its own: the ledger has moved, and this delta stays overtaken however often it is cleared.
            return {AS_OF: microseconds(as_of), LAST: delta_number(f"{outcome.delta_id}~late")}
        remembered = {AS_OF: microseconds(as_of), LAST: delta_number(outcome.delta_id)}
        links = {} if outcome.links is None else {LINKS: outcome.links}
        return {**remembered, **outcome.settings, **links}

    def _move(
        self,
        engine: Engine,
        outcome: Acknowledged,
        doubts: Doubts,
        transactions: Mapping[str, int],
        *,
        everybody: bool,
    ) -> None:
        """Commit the rows of the partitions that are in the delta, or of all of them."""
        with work_folder(engine) as folder:
            if outcome.partitions != transactions[PARTITIONS]:
                outcome = outcome.divided(engine, transactions[PARTITIONS], folder)
            partitions = range(outcome.partitions) if everybody else sorted(outcome.delta)
            files, schema = move_rows(self, engine, outcome, partitions, doubts, folder)
            self.replace_with_files(files, schema, None if everybody else partitions, transactions=transactions)

    def _remember(self, transactions: Mapping[str, int]) -> None:
        """Commit a run that leaves every row as it is."""
        if self.exists:
            self.append(no_rows(), transactions=transactions)
        else:
            # Not append: a table is made with its partitions or never has them.
            self.replace_partitions(no_rows().to_reader(), [0], transactions=transactions)


def _committed(delta_id: str, receipts: int) -> tuple[str, int]:
    """Name the transaction by which a delta is committed, and its number."""
    # One more than the receipts, so that a delta without any still counts as committed.
    return f"delta:{delta_id}", receipts + 1

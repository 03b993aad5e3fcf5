"""What one upload adds to the ledger."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.state.receipt_parts import parts_by_partition

__all__ = ["Acknowledged", "delta_number"]


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
    :param settings: what the goal was set to: name → number; see :mod:`.settings`.
    :param last_delta: number of the delta that had moved the ledger last when this one was made.
    :param late: another delta has moved the ledger since.
    :param otherwise: and what decides how values are sent is another by now, so that what these did is in doubt.
    :param is_divided_anew: the delta was divided by another number of partitions after its upload.
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
    is_divided_anew: bool = False

    def receipts_of(self, partition: int) -> Sequence[Path]:
        """Name the files among which the receipts of a partition's people are."""
        parts = None if self.is_divided_anew else parts_by_partition(self.receipts)
        return self.receipts if parts is None else parts.get(partition, ())

    def divided(self, engine: Engine, partitions: int, folder: Path) -> Acknowledged:
        """Divide the delta as the ledger is divided now: a goal may get other partitions while an upload is open.

        Which partitions were broken off is lost; of what comes late it does not count.

        :param folder: gets the files of the delta.
        """
        source = parquet_source(list(self.delta.values()), union_by_name=True)
        divided: dict[int, Path] = {}
        with connect(engine) as connection:
            number = partition_sql("identifier", partitions)
            for (partition,) in connection.execute(f"SELECT DISTINCT {number} FROM {source}").fetchall():
                divided[partition] = folder / f"delta-{partition}.parquet"
                here = f"SELECT * FROM {source} WHERE {number} = {partition:d}"
                connection.execute(f"COPY ({here}) TO {literal(str(divided[partition]))} (FORMAT parquet)")
        return replace(self, delta=divided, partitions=partitions, is_divided_anew=True)


def delta_number(delta_id: str) -> int:
    """Return the number by which the ledger remembers a delta."""
    return int(hashlib.sha256(delta_id.encode()).hexdigest()[:12], 16)

"""Local files with rows of the ledger, on their way into the table."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.state.ledger_columns import ledger_schema
from airflow_provider_braze_blueconic.sync.store.paths import fresh_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["stream_files", "work_folder"]


@contextmanager
def work_folder(engine: Engine) -> Iterator[Path]:
    """Give a local folder for the time of a block."""
    folder = engine.folder / f"ledger-{fresh_id()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stream_files(files: Sequence[Path], fields: Sequence[str], *, with_known_by: bool) -> pa.RecordBatchReader:
    """Stream the rows of files; columns that are not in them are NULL.

    :param fields: field columns.
    """
    import pyarrow.dataset as ds

    schema = ledger_schema(fields, with_known_by=with_known_by)
    return ds.dataset(list(files), schema=schema, format="parquet").scanner(batch_size=50_000).to_reader()

"""Where one task works: a folder of the machine, the goal's folder in the bucket, and the way between them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, fresh_id
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """Where one task works.

    :param staging: object store.
    :param folder: the goal's URIs.
    :param run_key: the run.
    :param engine: local folder and limits of DuckDB.
    """

    staging: Staging
    folder: GoalFolder
    run_key: str
    engine: Engine

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Give a local folder for the time of a block."""
        folder = self.engine.folder / f"{name}-{fresh_id()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, local: Path, uri: str) -> None:
        """Upload all files of a local folder below a URI and remove them."""
        for path in sorted(local.rglob("*.parquet")):
            self.staging.upload_file(path, f"{uri}/{path.relative_to(local).as_posix()}")
            path.unlink()

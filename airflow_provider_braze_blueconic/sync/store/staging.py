"""The seam to S3: what the core needs of an object store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["StagedFile", "Staging", "fetch_folder"]


class StagedFile(Protocol):
    """An object in the store as it was listed. ``modified`` is aware."""

    @property
    def uri(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> dt.datetime: ...


class Staging(Protocol):
    """What the core needs of an object store."""

    def upload_file(self, local: Path, uri: str) -> int: ...
    def download_file(self, uri: str, local: Path) -> int: ...
    def list_objects(self, prefix_uri: str) -> Sequence[StagedFile]: ...
    def read_bytes(self, uri: str) -> bytes: ...
    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool: ...
    def copy_object(self, source_uri: str, target_uri: str) -> None: ...
    def delete(self, uris: Iterable[str]) -> None: ...
    def storage_options(self) -> dict[str, str]: ...


def fetch_folder(staging: Staging, prefix_uri: str, folder: Path, *, suffix: str = ".parquet") -> list[Path]:
    """Copy the files below a prefix into a local folder, one by one.

    :return: local paths, in the order of their URIs.
    """
    prefix = prefix_uri.rstrip("/") + "/"
    paths = []
    for staged in sorted(staging.list_objects(prefix), key=lambda item: item.uri):
        if staged.uri.endswith(suffix):
            local = folder / staged.uri.removeprefix(prefix)
            local.parent.mkdir(parents=True, exist_ok=True)
            staging.download_file(staged.uri, local)
            paths.append(local)
    return paths

"""The seam to S3: what the core needs of an object store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

__all__ = ["StagedFile", "Staging", "fetch_folder"]

_SMALL_BYTES = 8 * 1024**2
"""Up to here a file takes one request, most of which is waiting; a larger one comes in parts side by side."""

_AT_ONCE = 4
"""Small files that are fetched side by side: receipts come in many."""


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
    """Copy the files below a prefix into a local folder: small ones some at once, large ones one by one.

    :return: local paths, in the order of their URIs.
    """
    prefix = prefix_uri.rstrip("/") + "/"
    found = [staged for staged in staging.list_objects(prefix) if staged.uri.endswith(suffix)]
    sizes = {staged.uri: staged.size for staged in found}
    paths = {uri: folder / uri.removeprefix(prefix) for uri in sorted(sizes)}
    for parent in {path.parent for path in paths.values()}:
        parent.mkdir(parents=True, exist_ok=True)
    small = [uri for uri in paths if sizes[uri] <= _SMALL_BYTES]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(staging.download_file, small, [paths[uri] for uri in small]):
            pass
    for uri in paths.keys() - set(small):
        staging.download_file(uri, paths[uri])
    return list(paths.values())

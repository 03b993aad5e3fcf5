"""The files of a table's log, by delta-rs's own access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

__all__ = ["TableLog"]

_AT_ONCE = 8
"""Files that are read side by side: each is small, and waits for the network."""


class TableLog:
    """The files of a table's log.

    Not as a file system of Arrow's, nor by listing: in deltalake 1.6 both wait for the network with Python's lock held.

    :param storage_options: for delta-rs.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        from deltalake.fs import DeltaStorageHandler

        self._uri = uri
        self._options = dict(storage_options)
        self._files = DeltaStorageHandler(uri, self._options)

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """Read those that are there."""
        from deltalake.fs import DeltaStorageHandler

        paths = [f"_delta_log/{name}" for name in names]
        there = self._files.get_file_info(paths)
        sizes = {info.path: int(info.size) for info in there if info.is_file}
        # With its size told, a file is opened without asking for it.
        files = DeltaStorageHandler(self._uri, self._options, sizes)

        def content(path: str) -> bytes:
            read: bytes = files.open_input_file(path).read()
            return read

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = [path for path in paths if path in sizes]
            return {path.rpartition("/")[2]: read for path, read in zip(found, pool.map(content, found), strict=True)}

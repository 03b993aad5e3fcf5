"""A staging area on the local disk, for tests and benches of the core that need no S3."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class LocalFile:
    uri: str
    size: int
    modified: dt.datetime


class LocalStaging:
    """Takes plain paths for URIs; counts what it is asked, so that a test can look."""

    def upload_file(self, local: Path, uri: str) -> int:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, uri)
        return local.stat().st_size

    def download_file(self, uri: str, local: Path) -> int:
        local.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(uri, local)
        return local.stat().st_size

    def list_objects(self, prefix_uri: str) -> Sequence[LocalFile]:
        # Any text is a prefix, as in S3, and not only a folder.
        folder = Path(prefix_uri) if prefix_uri.endswith("/") else Path(prefix_uri).parent
        found = []
        for path in sorted(folder.rglob("*")):
            if str(path).startswith(prefix_uri) and path.suffix != _UNFINISHED:
                with suppress(FileNotFoundError):  # somebody else removed it
                    entry = path.stat()
                    if stat.S_ISREG(entry.st_mode):
                        modified = dt.datetime.fromtimestamp(entry.st_mtime, dt.UTC)
                        found.append(LocalFile(str(path), entry.st_size, modified))
        return found

    def copy_object(self, source_uri: str, target_uri: str) -> None:
        self.upload_file(Path(source_uri), target_uri)

    def read_bytes(self, uri: str) -> bytes:
        return Path(uri).read_bytes()

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        # Whole or not at all, and of several writers one is first, as in S3.
        path = Path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{uuid.uuid4().hex}{_UNFINISHED}")
        unfinished.write_bytes(data)
        if not if_absent:
            unfinished.replace(path)
            return True
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        return True

    def delete(self, uris: Iterable[str]) -> None:
        for uri in uris:
            Path(uri).unlink(missing_ok=True)

    def storage_options(self) -> dict[str, str]:
        return {}

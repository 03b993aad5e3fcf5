"""The CSV files of a source in S3: what is there, and which version of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_braze_blueconic.sync.csv.file_pattern import DONE_SUFFIX, FilePattern
from airflow_provider_braze_blueconic.sync.store.staging import StagedFile, Staging

__all__ = ["CsvFile", "SourceStaging", "count_done_files", "file_version", "list_csv_files"]

log = logging.getLogger(__name__)


class SourceStaging(Staging, Protocol):
    """What reading CSV files needs of an object store: more than the core, which never renames."""

    def copy_object(self, source_uri: str, target_uri: str) -> None: ...


@dataclass(frozen=True)
class CsvFile:
    """One version of a CSV file.

    :param size: bytes.
    :param modified: when it was written, UTC.
    :param dated: date in its name, without a zone, if the pattern has one.
    :param etag: what the store calls this version; empty where it has no word for it.
    """

    uri: str
    size: int
    modified: dt.datetime
    dated: dt.datetime | None
    etag: str = ""

    @property
    def as_of(self) -> dt.datetime:
        """How old the data are, UTC: the date in the name, if there is one, but never later than the file itself.

        The date is taken as UTC, since the name tells no zone, and midnight stands for a name without hours: this
        keeps the order of the files, and in doubt data look older than they are, which loses against newer values
        and never overwrites them. East of Greenwich midnight UTC is later than the local one: there the moment at
        which the file was written is the limit, which also catches a name with a date to come, next to which the
        files of years would look old.
        """
        if self.dated is None:
            return self.modified
        return min(self.dated.replace(tzinfo=dt.UTC), self.modified)

    @property
    def fingerprint(self) -> str:
        """Name of this version: another file under the same name is another version.

        Times in S3 are whole seconds, so another file of the same size may have the same one: the ETag tells.
        """
        return self._fingerprint(self.etag)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Names by which this version may be known: without the ETag, which older marks don't have, too."""
        return frozenset({self._fingerprint(self.etag), self._fingerprint("")})

    def _fingerprint(self, etag: str) -> str:
        version = [self.uri, str(self.size), self.modified.astimezone(dt.UTC).isoformat(), *([etag] if etag else [])]
        return hashlib.sha256("\n".join(version).encode()).hexdigest()


def list_csv_files(source: SourceStaging, pattern: FilePattern) -> list[CsvFile]:
    """List the files that a pattern means, oldest data first."""
    found = []
    for listed in source.list_objects(pattern.prefix):
        try:
            is_meant, dated = pattern.match(listed.uri)
        except ValueError:
            log.warning("%s is ignored: the digits in place of the date aren't a date", listed.uri)
            continue
        if is_meant:
            found.append(file_version(listed, dated))
    return sorted(found, key=lambda file: (file.dated or file.as_of, file.modified, file.uri))


def count_done_files(source: SourceStaging, pattern: FilePattern) -> int:
    """Count the files that a pattern would mean if they were not done."""
    return sum(
        listed.uri.endswith(DONE_SUFFIX) and pattern.means(listed.uri.removesuffix(DONE_SUFFIX))
        for listed in source.list_objects(pattern.prefix)
    )


def file_version(listed: StagedFile, dated: dt.datetime | None = None) -> CsvFile:
    """Describe the version of a file that a listing shows.

    :param dated: date in its name.
    """
    modified = listed.modified.astimezone(dt.UTC)
    return CsvFile(listed.uri, listed.size, modified, dated, str(getattr(listed, "etag", "")))

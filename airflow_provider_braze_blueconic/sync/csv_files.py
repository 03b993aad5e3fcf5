"""The CSV files of a source in S3: which of them a run reads, and which are finished.

A pattern such as ``s3://bucket/out/profiles_%Y-%m-%d*.csv`` names them: ``*`` stands for any characters but ``/``, and
the codes for the date of the data. A run reads the files of its own date, also when it is run again or backfilled, and
the earlier ones that no run has finished yet. A file that is not finished is read again, which only costs the reading:
what was acknowledged is not sent again.

::

    <staging>/<goal id>/files/<fingerprint>.json  everything in this version of the file was acknowledged
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import re
import zoneinfo
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.sync.staging import StagedFile, Staging

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import SnapshotRef

__all__ = [
    "DONE_SUFFIX",
    "CsvFile",
    "FileChoice",
    "FilePattern",
    "SourceStaging",
    "choose_files",
    "count_done_files",
    "finished_files",
    "list_csv_files",
    "mark_files_finished",
    "run_day",
]

log = logging.getLogger(__name__)

DONE_SUFFIX = ".done"
"""What BlueConic's own S3 connection adds to a file that it has read: support article "Amazon Web Services S3",
read 2026-11."""

_FOLDER_MARKERS = ("/", "_$folder$")  # Amazon's console and SDKs; Hadoop and what is built on it
_CODES: Mapping[str, str] = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
}
_TOKEN = re.compile(r"%(.?)|\*+|[^%*]+", re.DOTALL)


class SourceStaging(Staging, Protocol):
    """What reading CSV files needs of an object store: more than the core, which never renames."""

    def copy_object(self, source_uri: str, target_uri: str) -> None: ...


class ConditionalStaging(Protocol):
    """What a store can do besides whose listings tell an ETag."""

    def move_object(self, source_uri: str, target_uri: str, *, etag: str) -> bool: ...


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


@dataclass(frozen=True)
class FilePattern:
    """A pattern of file names.

    :param text: as in the goal.
    :param prefix: what all names begin with.
    :param is_dated: the names tell the date of the data.
    """

    text: str
    prefix: str
    is_dated: bool
    _expression: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> FilePattern:
        """Read a pattern.

        :raises ValueError: with a sentence that says what is wrong.
        """
        parts: list[str] = []
        prefix, literal_so_far = "", True
        named: list[str] = []
        for token in _TOKEN.finditer(text):
            code = token[1]
            if code is None and not token[0].startswith("*"):
                literal: str | None = token[0]
            else:
                literal = "%" if code == "%" else None
            if literal is not None:
                parts.append(re.escape(literal))
                prefix += literal if literal_so_far else ""
                continue
            literal_so_far = False
            if code is None:
                parts.append("[^/]*")
            elif code not in _CODES:
                raise ValueError(
                    f'"%{code}" is not a part of a date. Possible: {", ".join(f"%{known}" for known in _CODES)}; '
                    'write "%%" for a percent sign.'
                )
            elif code in named:
                parts.append(f"(?P={code})")
            else:
                named.append(code)
                parts.append(f"(?P<{code}>{_CODES[code]})")
        missing = [f"%{code}" for code in "Ymd" if code not in named]
        if named and missing:
            raise ValueError(f"a date needs %Y, %m and %d; {' and '.join(missing)} is missing.")
        return cls(text, prefix, bool(named), re.compile("".join(parts), re.DOTALL))

    def means(self, uri: str) -> bool:
        """Tell whether a file is meant, whatever the date in its name.

        The empty object by which a console or a tool marks a folder is no file.
        """
        return self._expression.fullmatch(uri) is not None and not uri.endswith((DONE_SUFFIX, *_FOLDER_MARKERS))

    def match(self, uri: str) -> tuple[bool, dt.datetime | None]:
        """Tell whether a file is meant, and the date in its name.

        :raises ValueError: the name has digits in the place of the date that are no date.
        """
        found = self._expression.fullmatch(uri)
        if found is None or not self.means(uri):
            return False, None
        if not self.is_dated:
            return True, None
        part = {code: int(digits) for code, digits in found.groupdict().items()}
        return True, dt.datetime(  # noqa: DTZ001  the name tells no zone
            part["Y"], part["m"], part["d"], part.get("H", 0), part.get("M", 0), part.get("S", 0)
        )


@dataclass(frozen=True)
class FileChoice:
    """What a run reads.

    :param files: in the order in which they are read: of two rows about one person, the later one counts.
    :param late: how many of them are of an earlier date than the run's.
    :param expected: the file that the run is about is among them, or it is about none in particular.
    """

    files: tuple[CsvFile, ...]
    late: int
    expected: bool


def run_day(logical_date: dt.datetime | None, timezone: str) -> dt.date | None:
    """Return the day that a run is about, in the goal's time zone; ``None`` for a run without a logical date."""
    return None if logical_date is None else logical_date.astimezone(zoneinfo.ZoneInfo(timezone)).date()


def list_csv_files(source: SourceStaging, pattern: FilePattern) -> list[CsvFile]:
    """List the files that a pattern means, oldest data first."""
    found = []
    for listed in source.list_objects(pattern.prefix):
        try:
            is_meant, dated = pattern.match(listed.uri)
        except ValueError:
            log.warning("%s is left out: the digits in the place of the date are no date", listed.uri)
            continue
        if is_meant:
            found.append(_version(listed, dated))
    return sorted(found, key=lambda file: (file.dated or file.as_of, file.modified, file.uri))


def count_done_files(source: SourceStaging, pattern: FilePattern) -> int:
    """Count the files that a pattern would mean if they were not done."""
    return sum(
        listed.uri.endswith(DONE_SUFFIX) and pattern.means(listed.uri.removesuffix(DONE_SUFFIX))
        for listed in source.list_objects(pattern.prefix)
    )


def choose_files(
    files: Sequence[CsvFile], *, day: dt.date | None, finished: Collection[str], everything: bool = False
) -> FileChoice:
    """Choose what a run reads.

    With a date in the names and a day: the files of that day, finished or not (it is run again on purpose), and what
    no run has finished of the days before. The files of later days belong to later runs. Else all that is not finished.

    :param files: oldest data first.
    :param day: what the run is about.
    :param finished: fingerprints.
    :param everything: also what was finished, of the days up to the run's.
    """
    chosen = []
    late = own = 0
    for file in files:
        waits = everything or file.fingerprints.isdisjoint(finished)
        if day is None or file.dated is None:
            chosen += [file] if waits else []
        elif file.dated.date() == day:
            own += 1
            chosen.append(file)
        elif file.dated.date() < day and waits:
            late += 1
            chosen.append(file)
    is_about_one = day is not None and any(file.dated is not None for file in files)
    return FileChoice(tuple(chosen), late, bool(own) if is_about_one else bool(chosen))


def finished_files(workspace: Workspace) -> set[str]:
    """Return the fingerprints of the file versions that are finished."""
    prefix = _marks(workspace)
    return {staged.uri.removeprefix(prefix).removesuffix(".json") for staged in workspace.staging.list_objects(prefix)}


def mark_files_finished(
    workspace: Workspace, snapshot: SnapshotRef, *, source: SourceStaging | None = None, done: bool = False
) -> int:
    """Remember that everything in a run's files was acknowledged, and say how many files they were; twice is once.

    To be called when a run ended with everybody accepted, never after a dry run.

    The marks come first: a kill between them leaves a file that is read again. A kill before the renaming leaves a
    finished file with its old name, which is not read again either; running the step again renames it.

    :param source: where the files lie; needed for ``done``.
    :param done: add ``.done`` to the files' names. A file that was replaced since it was read keeps its name, since
        what it holds now was not read.
    """
    if snapshot["read"] != "files":
        return 0
    entries: list[dict[str, Any]] = json.loads(workspace.staging.read_bytes(f"{snapshot['uri']}/files.json"))
    for entry in entries:
        mark = {**entry, "run_key": workspace.run_key, "finished_at": dt.datetime.now(dt.UTC).isoformat()}
        workspace.staging.write_bytes(
            f"{_marks(workspace)}{entry['fingerprint']}.json", json.dumps(mark).encode(), if_absent=True
        )
    if done and source is not None:
        for entry in entries:
            _rename(source, entry)
    return len(entries)


def _version(listed: StagedFile, dated: dt.datetime | None = None) -> CsvFile:
    modified = listed.modified.astimezone(dt.UTC)
    return CsvFile(listed.uri, listed.size, modified, dated, str(getattr(listed, "etag", "")))


def _rename(source: SourceStaging, entry: Mapping[str, Any]) -> None:
    """Rename a file. A copy comes first, so that a kill leaves the file twice and never not at all.

    A store that names versions does both only for the one that was read: what comes in between is not renamed unread.
    """
    uri = entry["uri"]
    there = next((listed for listed in source.list_objects(uri) if listed.uri == uri), None)
    if there is None:
        return
    now = _version(there)
    is_moved = entry["fingerprint"] in now.fingerprints
    try:
        if is_moved and now.etag:
            is_moved = cast("ConditionalStaging", source).move_object(uri, uri + DONE_SUFFIX, etag=now.etag)
        elif is_moved:
            source.copy_object(uri, uri + DONE_SUFFIX)
            source.delete([uri])
    except FileNotFoundError:
        raise TransientError(f"{uri} was removed while it was renamed.") from None
    if not is_moved:
        log.warning("%s keeps its name: it was replaced since it was read, and is read again", uri)


def _marks(workspace: Workspace) -> str:
    return f"{workspace.folder.root}/files/"

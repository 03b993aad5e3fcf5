"""The snapshot of CSV files: rows of delimited text, written as Parquet parts in the columns of a segment's snapshot.

A row that can't be read is counted and kept in ``rejects.jsonl`` with its file and line, and the rest goes on; what is
wrong with a file as a whole (its columns, its encoding) ends the run before anything is sent.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import logging
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import (
    GoalError,
    LimitExceeded,
    Problem,
    TransientError,
)
from airflow_provider_braze_blueconic.sync.characters import repaired_text, text_array
from airflow_provider_braze_blueconic.sync.csv_files import (
    DONE_SUFFIX,
    CsvFile,
    FilePattern,
    SourceStaging,
    choose_files,
    count_done_files,
    finished_files,
    list_csv_files,
    run_day,
)
from airflow_provider_braze_blueconic.sync.near_names import nearest
from airflow_provider_braze_blueconic.sync.parts import PartWriter, Progress
from airflow_provider_braze_blueconic.sync.rejects import Rejects
from airflow_provider_braze_blueconic.sync.snapshot import profile_schema
from airflow_provider_braze_blueconic.sync.space import trimmed

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import SnapshotRef

__all__ = ["CsvReading", "read_csv_files"]

log = logging.getLogger(__name__)

_ROWS_PER_PART = 50_000
_CHARACTERS_PER_PART = 64_000_000
"""A part is also full at so much text, whatever the rows are like: it is held in memory."""
_LARGEST_CELL = 16 * 1024 * 1024
"""Characters of one cell. A quote that is never closed makes the rest of the file one cell: it ends there at the
latest."""
_REJECTED_TEXT = 2_000
"""Characters of a rejected row that are kept."""
_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_DELIMITERS = ",;\t|"
_WHERE = "source.s3_csv"
_COLUMN_NAME = re.compile(r"[^\W\d]\w*(?:[ .-]\w+)*")
"""What a name of a column that the goal does not know looks like, unlike an address or a number."""

_NO_DATA = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Version of a snapshot without files. It knows nothing, so no data may look older than it."""


@dataclass(frozen=True)
class CsvReading:
    """How a goal's CSV files are found and read.

    :param pattern: the files; see :mod:`~airflow_provider_braze_blueconic.sync.csv_files`.
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` takes each cell as one value.
    :param required: fail where the run finds no file.
    :param broken_percent: share of the rows, in percent, that may be unreadable.
    """

    pattern: FilePattern
    delimiter: str = ","
    multi_value_separator: str | None = None
    required: bool = False
    broken_percent: float = 1.0


def read_csv_files(
    workspace: Workspace,
    reading: CsvReading,
    *,
    source: SourceStaging,
    columns: Mapping[str, str],
    logical_date: dt.datetime | None,
    timezone: str = "UTC",
    everything: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    rows_per_part: int = _ROWS_PER_PART,
) -> SnapshotRef:
    """Read the files that a run is about into a snapshot, one file on disk and one part in memory at a time.

    Beside the parts stands ``files.json``, the list of the files, for
    :func:`~airflow_provider_braze_blueconic.sync.csv_files.mark_files_finished`.

    :param columns: columns that the goal needs → the place in the goal that names each; a column without a place is
        taken along where it is there.
    :param logical_date: the run's; ``None`` if it has none.
    :param timezone: the goal's.
    :param everything: read finished files too.
    :param should_stop: asked once in a while; a true answer ends the read, and what it returns is of no use.
    :return: ``complete`` is false: a file of changes says nothing of who is absent.
    :raises GoalError: with what is wrong with each of the files.
    :raises LimitExceeded: more rows than ``broken_percent`` can't be read.
    :raises TransientError: no file is there, and the goal requires one.
    """
    day = run_day(logical_date, timezone)
    listed = list_csv_files(source, reading.pattern)
    finished = finished_files(workspace)
    choice = choose_files(listed, day=day, finished=finished, everything=everything)
    goal_id = workspace.folder.goal_id
    if reading.required and not choice.expected:
        raise TransientError(_nothing_found(goal_id, reading, source, day, len(listed)))
    if not choice.files:
        known = sum(not file.fingerprints.isdisjoint(finished) for file in listed)
        log.info("%s: no file to read for %s; %s files are there, %s of them finished", goal_id,
                 reading.pattern.text, len(listed), known)  # fmt: skip
    uri = workspace.folder.step(workspace.run_key, "snapshot")
    with workspace.local("snapshot") as local:
        written = PartWriter(local, lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"))
        parts = _Parts(list(columns), written, rows_per_part=rows_per_part)
        rejects = Rejects(local / "rejects.jsonl", longest=_REJECTED_TEXT)
        with rejects:
            entries = _read_all(
                choice.files, reading, columns, source=source, parts=parts, rejects=rejects, local=local,
                label=goal_id, should_stop=should_stop,
            )  # fmt: skip
        parts.flush()
        rejects_uri = f"{uri}/{rejects.path.name}"
        if rejects.count:
            workspace.staging.upload_file(rejects.path, rejects_uri)
    workspace.staging.write_bytes(f"{uri}/files.json", json.dumps(entries, indent=1).encode())
    _check_share(goal_id, reading, rows=parts.rows, rejects=rejects, rejects_uri=rejects_uri)
    if choice.late:
        log.info("%s: %s of %s files are of an earlier date", goal_id, choice.late, len(choice.files))
    reference: dict[str, Any] = {
        "uri": uri,
        "profiles": parts.rows,
        "segment_id": "",
        "segment_name": reading.pattern.text,
        "segment_size": None,
        "read": "files",
        "complete": False,
        "as_of": max((file.as_of for file in choice.files), default=_NO_DATA).isoformat(),
        "bytes": written.bytes,
        "property_types": {},
        "files": len(choice.files),
    }
    if parts.repaired:
        reference["repaired"] = parts.repaired
    if rejects.count:
        reference |= {"broken_lines": rejects.count, "rejects_uri": rejects_uri}
    return cast("SnapshotRef", reference)


def _nothing_found(goal_id: str, reading: CsvReading, source: SourceStaging, day: dt.date | None, listed: int) -> str:
    of_day = f" of {day.isoformat()}" if day is not None and reading.pattern.is_dated else ""
    done = count_done_files(source, reading.pattern)
    renamed = f" {done:,} more end in {DONE_SUFFIX}, since they were read before." if done else ""
    return (
        f"{goal_id}: no file{of_day} was found for {reading.pattern.text}, and the goal says required: true. "
        f"{listed:,} other files of that pattern are there.{renamed} "
        "Check that BlueConic's connection has run, and where it writes."
    )


def _check_share(goal_id: str, reading: CsvReading, *, rows: int, rejects: Rejects, rejects_uri: str) -> None:
    if not rejects.count:
        return
    share = 100 * rejects.count / (rows + rejects.count)
    message = (
        f"{rejects.count:,} of {rows + rejects.count:,} rows can't be read ({share:.1f} %), such as "
        f"{'; '.join(rejects.first)}. All of them are in {rejects_uri}."
    )
    if share > reading.broken_percent:
        raise LimitExceeded(
            f"{goal_id}: {message} That is more than source.broken_percent = {reading.broken_percent:g}. "
            "Nothing was sent."
        )
    log.warning("%s: %s The rest goes on", goal_id, message)


def _read_all(
    files: Sequence[CsvFile],
    reading: CsvReading,
    columns: Mapping[str, str],
    *,
    source: SourceStaging,
    parts: _Parts,
    rejects: Rejects,
    local: Path,
    label: str,
    should_stop: Callable[[], bool],
) -> list[dict[str, Any]]:
    """Read files one after another. After the first fault of a file, the others are only looked at for faults."""
    problems: list[Problem] = []
    entries: list[dict[str, Any]] = []
    progress = Progress()
    with _large_cells():
        for number, file in enumerate(files, start=1):
            path = local / f"file-{number:05d}"
            try:
                source.download_file(file.uri, path)
            except FileNotFoundError:
                raise TransientError(f"{file.uri} was removed while the files were read.") from None
            before, broken = parts.rows, rejects.count
            try:
                for _ in _read_file(file, path, reading, columns, parts, rejects, only_look=bool(problems)):
                    if seconds := progress.due():
                        log.info("%s: file %s of %s, %s rows read, %s/s", label, number, len(files),
                                 f"{parts.rows:,}", f"{parts.rows / seconds:,.0f}")  # fmt: skip
                    if should_stop():
                        return entries
            except GoalError as error:
                problems += error.problems
            finally:
                path.unlink(missing_ok=True)
            entries.append(
                {
                    "uri": file.uri,
                    "size": file.size,
                    "modified": file.modified.isoformat(),
                    "as_of": file.as_of.isoformat(),
                    "fingerprint": file.fingerprint,
                    "etag": file.etag,
                    "rows": parts.rows - before,
                    "broken": rejects.count - broken,
                }
            )
    if problems:
        raise GoalError(problems)
    return entries


def _read_file(
    file: CsvFile,
    path: Path,
    reading: CsvReading,
    columns: Mapping[str, str],
    parts: _Parts,
    rejects: Rejects,
    *,
    only_look: bool,
) -> Iterator[None]:
    """Read the rows of a file; yields after each part.

    This loops over rows in Python: its csv module is the reader that takes every well-formed quote and tells where a
    broken one stands, and is written in C.
    """
    with _faults(file, path), _open_text(path) as text:
        records = _Records(text, reading.delimiter)
        header = _checked_header(file, records, columns, reading.delimiter)
        if header is None or only_look:
            return
        width = len(header)
        parts.begin(file.as_of, _places(header, columns), reading.multi_value_separator)
        for row in _without_headers(records, header):
            if isinstance(row, _Broken):
                rejects.add(file.uri, row.line, row.error, row.text)
            elif isinstance(row, _Header):
                log.info("%s: line %s names the columns again, and is no person", file.uri, f"{records.line:,}")
                parts.begin(file.as_of, _places(row.names, columns), reading.multi_value_separator)
            elif len(row) == width:
                if parts.add(row, records.characters):
                    yield
            elif row:  # a line without anything in it is no row
                error = f"{len(row)} fields where the header has {width}"
                rejects.add(file.uri, records.line, error, records.text())
    yield


def _without_headers(
    records: Iterable[list[str] | _Broken], header: Sequence[str]
) -> Iterator[list[str] | _Broken | _Header]:
    """Tell apart the lines that name the columns again: of files that were joined to one, maybe in another order."""
    names, sorted_names = frozenset(header), sorted(header)
    for row in records:
        if isinstance(row, list) and row and _name(row[0]) in names:
            named = [_name(cell) for cell in row]
            yield _Header(named) if sorted(named) == sorted_names else row
        else:
            yield row


def _places(header: Sequence[str], columns: Mapping[str, str]) -> list[int | None]:
    return [header.index(column) if column in header else None for column in columns]


def _name(cell: str) -> str:
    """Read a cell as the name of a column; at the beginning of a file that was joined to another stands its mark."""
    return trimmed(repaired_text(cell))


def _checked_header(file: CsvFile, records: _Records, columns: Mapping[str, str], delimiter: str) -> list[str] | None:
    """Read the column names; ``None`` for a file without a byte: one of no changes.

    BlueConic's files are not known to have a header then.

    :raises GoalError: with what is wrong with them.
    """
    header = records.header()
    if isinstance(header, _Broken):
        raise GoalError([Problem(_WHERE, f"{file.uri}: the line of column names can't be read: {header.error}.")])
    problems = _header_problems(file, header, columns, delimiter) if header is not None else []
    if problems:
        raise GoalError(problems)
    return header


def _header_problems(file: CsvFile, header: Sequence[str], columns: Mapping[str, str], delimiter: str) -> list[Problem]:
    """Find what is wrong with the line of column names. What it holds is shown only where it is sure to be one."""
    problems = []
    named = [name for name in header if name]
    missing = [(column, place) for column, place in columns.items() if place and column not in header]
    other = next((mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in header[0]), None)
    if missing and len(header) == 1 and other is not None:
        message = f"{file.uri} has one column only. It seems to be delimited by {other!r}: set source.delimiter."
        return [Problem("source.delimiter", message)]
    near = {column: nearest(column, filter(_COLUMN_NAME.fullmatch, named)) for column, _ in missing}
    is_header = any(name in columns for name in named) or all(near.values())
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice and is_header:
        listed = ", ".join(f'"{name}"' for name in twice)
        problems.append(Problem(_WHERE, f"{file.uri} has more than one column of the name {listed}."))
    if not is_header:
        message = (
            f"{file.uri} seems to begin without the names of its columns. Let it be written with them. "
            f"Its first line is not shown, since it may be a person's."
        )
        problems.append(Problem(_WHERE, message))
    return problems + [
        Problem(place, f'{file.uri} has no column "{column}".{near[column] if is_header else ""}')
        for column, place in missing
    ]


@contextmanager
def _faults(file: CsvFile, path: Path) -> Iterator[None]:
    """Turn what is wrong with a file as a whole into a sentence that says where."""
    try:
        yield
    except UnicodeDecodeError:
        message = f"line {_undecodable_line(path)} is not UTF-8. Let the files be written in UTF-8."
    except (EOFError, zlib.error, gzip.BadGzipFile):
        message = "is compressed, and ends or breaks before its end. Let it be written again."
    else:
        return
    raise GoalError([Problem(_WHERE, f"{file.uri}: {message}")]) from None


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    # By the first bytes and not by the name: S3 may also have been told to unpack a ".gz" while sending.
    return cast("IO[bytes]", gzip.open(path)) if is_compressed else path.open("rb")


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    # newline="" keeps line breaks inside values as they are; "-sig" takes the byte order mark away. Halves of
    # characters pass here, and are repaired where the cells are written.
    with (
        _open(path) as file,
        io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogatepass", newline="") as text,
    ):
        yield text


def _undecodable_line(path: Path) -> int:
    """Find the first line that is not UTF-8: the reader of text only knows the block."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(errors="surrogatepass")
            except UnicodeDecodeError:
                return number
    return 0


@contextmanager
def _large_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@dataclass(frozen=True)
class _Header:
    names: list[str]


@dataclass(frozen=True)
class _Broken:
    line: int
    error: str
    text: str


class _Records:
    """Records of delimited text, and which lines each was made of.

    A broken record costs its first line only: the lines that a quote without an end swallowed are read again.
    """

    def __init__(self, text: IO[str], delimiter: str) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        self._read = 0

    @property
    def line(self) -> int:
        """Number of the line, from 1, at which the record in hand begins."""
        return self._read - len(self._taken) + 1

    @property
    def characters(self) -> int:
        """Length of the record in hand."""
        return sum(map(len, self._taken)) if len(self._taken) > 1 else len(self._taken[0])

    def text(self) -> str:
        """Return the record in hand as it is written."""
        return "".join(self._taken)

    def header(self) -> list[str] | _Broken | None:
        """Return the column names, without space at their edges; ``None`` for a file without any text."""
        for row in self:
            if isinstance(row, _Broken):
                return row
            if row:
                return [_name(name) for name in row]
        return None

    def __iter__(self) -> Iterator[list[str] | _Broken]:
        while True:
            self._taken.clear()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                first, *rest = self._taken
                self._waiting.extendleft(reversed(rest))
                self._read -= len(rest)
                del self._taken[1:]
                # A reader that met the end of the text inside a quote reads on only if it is made anew.
                self._reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
                yield _Broken(self.line, str(error), first)
                continue
            yield row

    def _lines(self) -> Iterator[str]:
        while True:
            line = self._waiting.popleft() if self._waiting else self._text.readline()
            if not line:
                return
            self._read += 1
            self._taken.append(line)
            yield line


class _Parts:
    """Rows on their way into parts."""

    def __init__(self, columns: Sequence[str], written: PartWriter, *, rows_per_part: int) -> None:
        self._written = written
        self._rows_per_part = rows_per_part
        self._schema = profile_schema(columns)
        self._columns: list[list[Any]] = [[] for _ in columns]
        self._as_of: list[dt.datetime] = []
        self._places: list[int | None] = []
        self._separator: str | None = None
        self._moment = _NO_DATA
        self._characters = 0
        self.rows = 0
        self.repaired = 0

    def begin(self, as_of: dt.datetime, places: Sequence[int | None], separator: str | None) -> None:
        """Get ready for the rows of a file, of which it is known where each column stands."""
        self._moment = as_of
        self._places = list(places)
        self._separator = separator

    def add(self, row: Sequence[str], characters: int) -> bool:
        """Take a row; tell whether it made a part full, which was then written."""
        for column, place in zip(self._columns, self._places, strict=True):
            cell = "" if place is None else row[place]
            if not cell:
                column.append(None)
            elif self._separator is None:
                column.append([cell])
            else:
                column.append([value for value in cell.split(self._separator) if value] or None)
        self._as_of.append(self._moment)
        self._characters += characters
        self.rows += 1
        if len(self._as_of) < self._rows_per_part and self._characters < _CHARACTERS_PER_PART:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        import pyarrow as pa

        count = len(self._as_of)
        # Also without rows: no file is a snapshot too, and the mapping wants its columns.
        if not count and self._written.written:
            return
        nothing = [None] * count
        known = {
            "row": range(self.rows - count, self.rows),
            "as_of": self._as_of,
            # Of several rows about one person the latest file counts, and in a file the last row: with nothing in
            # profile_id, the row's number decides between equals.
            "last_modified": self._as_of,
            **dict(zip(self._schema.names[len(self._schema) - len(self._columns) :], self._columns, strict=True)),
        }
        arrays: list[pa.Array] = []
        repaired: set[int] = set()
        for field in self._schema:
            array, rows = text_array(known.get(field.name, nothing), field.type)
            arrays.append(array)
            repaired |= rows
        self._written.write(pa.Table.from_arrays(arrays, schema=self._schema))
        self.repaired += len(repaired)
        self._columns = [[] for _ in self._columns]
        self._as_of = []
        self._characters = 0

"""The snapshot of a Braze segment: the lines of its export files, written as Parquet parts.

Columns: ``row`` (number in the read), ``profile_id`` (the user's ``braze_id``), ``as_of``, ``last_modified`` and
``consented`` (which Braze doesn't tell, so NULL) and one list column for each path that is read. Beside the parts lie
``fields.json`` (``{"sources": [path], "remaining": {path: {"kinds": [kind]}}}``) and, where lines are broken,
``rejects.jsonl`` (``file``, ``line``, ``error`` and ``text`` of each).
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import zipfile
import zlib
from array import array
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.braze_paths import (
    BRAZE_EXPORT_FIELDS,
    CUSTOM_ATTRIBUTES,
    attribute_path,
    parse_path,
    value_texts,
)
from airflow_provider_braze_blueconic.sync.characters import may_hold_halves, repaired
from airflow_provider_braze_blueconic.sync.columns import source_column
from airflow_provider_braze_blueconic.sync.parts import PartWriter, Progress
from airflow_provider_braze_blueconic.sync.rejects import Rejects
from airflow_provider_braze_blueconic.sync.space import trimmed
from airflow_provider_braze_blueconic.sync.times import is_time

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

__all__ = ["REMAINING_FIELDS", "ExportCounts", "read_lines", "write_export_snapshot"]

log = logging.getLogger(__name__)

_WITHOUT_ASKING = frozenset({"campaigns_received", "canvases_received", "push_tokens"})
"""Fields that only come where a row names them: the first two are long, and push tokens are secrets of devices."""
REMAINING_FIELDS = tuple(field for field in BRAZE_EXPORT_FIELDS if field not in _WITHOUT_ASKING)
"""Fields, beside the custom attributes, that ``remaining_fields`` brings."""

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # an archive, and one without entries
_BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1 << 20
_LONGEST_LINE = 64 << 20
"""Bytes of a line that are read, at most. A nested attribute has up to 100 KB (Braze docs "Nested custom attributes",
read 2026-11), so a longer line is no user; the rest of it is skipped, and its beginning is a broken line."""

_ROWS_PER_PART = 50_000
_PART_BYTES = 64 << 20
_PART_CELLS = 10_000_000
"""A part ends early at so many bytes of lines, or rows times columns: its memory must not depend on the workspace."""
_LINES_PER_LOOK = 1_000
"""Lines between two looks at the clock and at the order to stop."""

# Kinds of values, in the order in which fields.json lists them.
_KINDS = ("integer", "big_integer", "float", "long_float", "boolean", "time", "text", "object")
_LARGEST_INTEGER = 2_147_483_647  # of a BlueConic Number property: docs "Profile properties", read 2026-11
_DECIMALS = 4  # of a BlueConic Decimal property, at most: the same page


@dataclass(frozen=True)
class ExportCounts:
    """What a read brought.

    :param profiles: rows written; a user who is twice in the export is two of them.
    :param files: files read.
    :param lines: lines that are not blank.
    :param broken_lines: lines that are not a user.
    :param bytes: bytes of the parts.
    :param rejects: name of the published file with the broken lines; ``None`` if there are none.
    :param stopped: the read was told to end before the last line.
    :param repaired: users with a text that held half a character.
    """

    profiles: int
    files: int
    lines: int
    broken_lines: int
    bytes: int
    rejects: str | None
    stopped: bool
    repaired: int = 0


def read_lines(path: Path, *, name: str = "") -> Iterator[bytes]:
    """Read the lines of a local file, whatever its name says: gzip, zip (each entry) or plain text.

    :param name: what errors call the file; by default its own name.
    :return: lines with their line end; memory does not grow with the file.
    :raises TransientError: the file ends too early, as one does that is still growing or was not copied to its end.
    :raises UnexpectedAnswer: the file is damaged, or packed in a way that can't be read.
    """
    return (line for _, _, line in _numbered_lines(path, name or path.name))


def write_export_snapshot(  # noqa: PLR0913 - what to read, how to write it, and where
    files: Iterable[tuple[str, Path]],
    *,
    paths: Sequence[str],
    remaining: bool,
    excluded: Collection[str],
    campaign_names: Mapping[str, str] | None,
    as_of: dt.datetime,
    folder: Path,
    publish: Callable[[Path], int],
    label: str,
    broken_percent: float,
    should_stop: Callable[[], bool] = lambda: False,
    rows_per_part: int = _ROWS_PER_PART,
    uri: str = "",
) -> ExportCounts:
    """Write the users of an export as Parquet parts, one file on disk and at most one part in memory.

    This loops over people in Python: ``tests/bench/export.py`` shows that parsing their JSON is a third of it.

    :param files: (name for messages, local file), in reading order. A file is closed before the next is asked for, so
        the iterable may fetch them one by one and remove them.
    :param paths: what to read of each user, see :mod:`~airflow_provider_braze_blueconic.sync.braze_paths`.
    :param remaining: also read each field and custom attribute of which no path, and none of ``excluded``, reads
        anything.
    :param excluded: paths that count as named although they are not read.
    :param campaign_names: campaign id → name, for ``campaigns_received``.
    :param as_of: when the export was asked for.
    :param folder: local folder for the file in hand.
    :param publish: uploads a finished file under its own name and returns its size in bytes.
    :param broken_percent: share of the lines, in percent, that may be broken.
    :param should_stop: asked every thousand lines and after each file; a true answer ends the read.
    :param uri: where ``publish`` puts the files, for messages.
    :raises UnexpectedAnswer: more lines are broken, or a file is damaged; see :func:`read_lines`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = PartWriter(folder, publish)
    users = _Users(paths, remaining=remaining, excluded=excluded, campaign_names=campaign_names, as_of=as_of)
    lines = _Lines(files, should_stop)
    progress = Progress()
    with Rejects(folder / "rejects.jsonl") as rejects:
        for place, number, line in lines:
            if error := _add_line(users, line):
                rejects.add(place, number, error, line.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
            elif users.fill_a_part(rows_per_part):
                parts.write(users.take())
            if lines.count % _LINES_PER_LOOK == 0:
                _tell(label, progress, users.rows, lines.files, rejects.count)
    # Also without rows: an empty segment is a snapshot too, and the mapping wants its columns.
    if users.held or not parts.written:
        parts.write(users.take())
    if rejects.count:
        publish(rejects.path)
        rejects.path.unlink()
    if not lines.stopped:
        _check_broken(label, lines.count, rejects, broken_percent, uri)
    fields = folder / "fields.json"
    fields.write_text(json.dumps(users.fields(), ensure_ascii=False, indent=1), encoding="utf-8")
    publish(fields)
    fields.unlink()
    name_of_rejects = rejects.path.name if rejects.count else None
    return ExportCounts(
        users.rows,
        lines.files,
        lines.count,
        rejects.count,
        parts.bytes,
        name_of_rejects,
        stopped=lines.stopped,
        repaired=users.repaired,
    )


def _add_line(users: _Users, line: bytes) -> str | None:
    """Add the user of a line.

    :return: why the line is none, in words that hold nothing of it.
    """
    try:
        user = _user(line)
        whole = repaired(user) if may_hold_halves(line) else user
        users.add(whole, len(line))
        users.repaired += whole is not user
    except _BrokenLine as broken:
        return str(broken)
    except RecursionError:
        return "nested too deeply"
    return None


def _tell(label: str, progress: Progress, people: int, files: int, broken: int) -> None:
    if seconds := progress.due():
        rate, also = f"{people / seconds:,.0f}", f", {broken:,} broken lines" if broken else ""
        log.info("%s: %s people read from %s files, %s/s%s", label, f"{people:,}", files, rate, also)


def _check_broken(label: str, lines: int, rejects: Rejects, broken_percent: float, uri: str) -> None:
    if not rejects.count:
        return
    share = 100 * rejects.count / lines
    where = f"{uri.rstrip('/')}/{rejects.path.name}" if uri else f"{rejects.path.name} beside the snapshot"
    message = (
        f"{label}: {rejects.count:,} of {lines:,} lines of the export ({share:.3g} %) are no user, "
        f"such as {'; '.join(rejects.first)}. All of them are in {where}."
    )
    if share > broken_percent:
        raise LimitExceeded(
            f"{message} At most {broken_percent:g} % may be: look whether something else writes into the export's "
            "folder, and export the segment again, or raise source.broken_percent. Nothing was sent."
        )
    log.warning("%s The rest goes on", message)


class _BrokenLine(Exception):
    """A line that is no user, with a reason that holds nothing of the line."""


class _Lines:
    """The lines of all files that are not blank, each with where it stands.

    :ivar files: files begun.
    :ivar count: lines so far.
    :ivar stopped: the order to stop came before the end.
    """

    def __init__(self, files: Iterable[tuple[str, Path]], should_stop: Callable[[], bool]) -> None:
        self._files = files
        self._should_stop = should_stop
        self.files = 0
        self.count = 0
        self.stopped = False

    def __iter__(self) -> Iterator[tuple[str, int, bytes]]:
        for name, path in self._files:
            self.files += 1
            with closing(_numbered_lines(path, name)) as numbered:
                for place, number, line in numbered:
                    if not line or line.isspace():
                        continue
                    self.count += 1
                    yield place, number, line
                    if self.count % _LINES_PER_LOOK == 0 and self._should_stop():
                        self.stopped = True
                        return
            if self._should_stop():
                self.stopped = True
                return


def _numbered_lines(path: Path, name: str) -> Generator[tuple[str, int, bytes], None, None]:
    """Yield each line with where it stands: the file, or the entry where an archive has several, and 1-based number."""
    try:
        for place, stream in _streams(path, name):
            lines = iter(partial(stream.readline, _LONGEST_LINE), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(stream)
                yield place, number, line.removeprefix(_BOM) if number == 1 else line
    except EOFError as error:
        raise TransientError(_too_short(name)) from error
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UnexpectedAnswer(
            f"{name} is damaged, or packed in a way that can't be read ({_damage(error)}). Export the segment "
            "again; if that does not help, look what else writes into the bucket."
        ) from None


def _damage(error: Exception) -> str:
    # The libraries' texts can quote bytes of the file.
    return "it is encrypted" if type(error) is RuntimeError else type(error).__name__


def _streams(path: Path, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_GZIP):
            # The buffer round it finds the lines in C; GzipFile does so in Python.
            with gzip.GzipFile(fileobj=file) as packed, io.BufferedReader(packed, _BUFFER_BYTES) as stream:
                yield name, stream
        elif magic in _ZIP:
            with _open_zip(file, name) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
                for entry in entries:
                    place = name if len(entries) == 1 else f"{name}/{entry.filename}"
                    # An entry of an archive can be read into a buffer; its declared type doesn't say so.
                    with archive.open(entry) as unzipped, io.BufferedReader(unzipped, _BUFFER_BYTES) as stream:  # type: ignore[type-var]
                        yield place, stream
        else:
            yield name, file


def _open_zip(file: IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:  # the table of its entries stands at the end
        raise TransientError(_too_short(name)) from error


def _too_short(name: str) -> str:
    return (
        f"{name} ends too early: it is still being written, or was not copied to its end. "
        "Try again; if it stays so, export the segment again."
    )


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(_BUFFER_BYTES)) and not rest.endswith(b"\n"):
        pass


def _user(line: bytes) -> dict[str, Any]:
    """Read one line.

    :raises _BrokenLine: it is no user.
    """
    try:
        user = _parse_json(line.decode(errors="surrogatepass"))
    except UnicodeDecodeError as error:
        raise _BrokenLine(f"not UTF-8 at byte {error.start + 1:,}") from None
    except json.JSONDecodeError as error:
        raise _BrokenLine(f"not JSON: {error.msg} at character {error.pos + 1:,}") from None
    except ValueError:
        raise _BrokenLine("not JSON: a number that no system can hold") from None
    if type(user) is not dict:
        raise _BrokenLine("not an object")
    braze_id = user.get("braze_id")
    if type(braze_id) is not str or not trimmed(braze_id):
        raise _BrokenLine("no braze_id")
    return user


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinite: JSON can write a number that no float holds
        raise ValueError
    return number


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and Infinity, which Python would take


_parse_json = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant).decode


class _TextLists:
    """One list column in the making: all its texts, where each row's begin, and which rows have a list at all."""

    __slots__ = ("begins", "present", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.begins = array("i")
        self.present = bytearray()

    def add(self, row: int, texts: list[str]) -> None:
        self._pad(row)
        self.begins.append(len(self.texts))
        self.present.append(1)
        self.texts += texts

    def _pad(self, rows: int) -> None:
        missing = rows - len(self.present)
        if missing:
            self.begins.extend([len(self.texts)] * missing)
            self.present.extend(bytes(missing))

    def array(self, rows: int) -> pa.Array:
        import pyarrow as pa

        self._pad(rows)
        self.begins.append(len(self.texts))
        texts = pa.array(self.texts, pa.string())
        present = pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(self.present)]).cast(pa.bool_())
        buffers = [present.buffers()[1], pa.py_buffer(self.begins)]
        return pa.Array.from_buffers(pa.list_(pa.string()), rows, buffers, children=[texts])


class _Users:
    """The users of the part in hand, and what is known of the remaining fields of all."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        remaining: bool,
        excluded: Collection[str],
        campaign_names: Mapping[str, str] | None,
        as_of: dt.datetime,
    ) -> None:
        self._sources = list(dict.fromkeys(paths))
        parsed = [parse_path(path) for path in self._sources]
        self._readers = [path.reader(campaign_names) for path in parsed]
        named = {path.owner for path in [*parsed, *map(parse_path, excluded)]}
        self._fields = [field for field in REMAINING_FIELDS if (field, None) not in named] if remaining else []
        self._remaining = remaining
        # Attribute → its path, or None where a path names it: asked for every value of every person.
        self._attributes: dict[str, str | None] = {name: None for _, name in named if name is not None}
        self._kinds: dict[str, set[str]] = {}
        self._as_of = as_of
        self.rows = 0
        self.repaired = 0
        self._begin_part()

    def _begin_part(self) -> None:
        self._ids: list[str] = []
        self._bytes = 0
        self._named = [_TextLists() for _ in self._sources]
        self._found: dict[str, _TextLists] = {}

    @property
    def held(self) -> int:
        """Rows of the part in hand."""
        return len(self._ids)

    def fill_a_part(self, rows: int) -> bool:
        """Tell whether the part in hand should end."""
        held = len(self._ids)
        cells = held * (len(self._named) + len(self._found))
        return held >= rows or self._bytes >= _PART_BYTES or cells >= _PART_CELLS

    def add(self, user: Mapping[str, Any], size: int) -> None:
        """Add a user whose line has ``size`` bytes; an error while reading leaves no half a row."""
        named = [read(user) for read in self._readers]
        remaining = list(self._remaining_values(user)) if self._remaining else ()
        row = len(self._ids)
        self._ids.append(user["braze_id"])
        self._bytes += size
        for column, texts in zip(self._named, named, strict=True):
            if texts is not None:
                column.add(row, texts)
        for path, value, texts in remaining:
            found = self._found.get(path)
            if found is None:
                found = self._found[path] = _TextLists()
                self._kinds.setdefault(path, set())
            found.add(row, texts)
            _note_kind(value, self._kinds[path])
        self.rows += 1

    def _remaining_values(self, user: Mapping[str, Any]) -> Iterator[tuple[str, object, list[str]]]:
        for field in self._fields:
            value = user.get(field)
            if (texts := value_texts(value)) is not None:
                yield field, value, texts
        attributes = user.get(CUSTOM_ATTRIBUTES)
        if type(attributes) is not dict:
            return
        for name, value in attributes.items():
            try:
                path = self._attributes[name]
            except KeyError:
                path = self._attributes[name] = attribute_path(name)
            if path is not None and (texts := value_texts(value)) is not None:
                yield path, value, texts

    def take(self) -> pa.Table:
        """Give the part in hand, and begin the next. A remaining field that nobody here has is not a column of it."""
        import pyarrow as pa

        count = self.held
        moment = pa.timestamp("us", tz="UTC")
        columns: dict[str, pa.Array] = {
            "row": pa.array(range(self.rows - count, self.rows), pa.int64()),
            "profile_id": pa.array(self._ids, pa.string()),
            "as_of": pa.repeat(pa.scalar(self._as_of, moment), count),
            "last_modified": pa.nulls(count, moment),
            "consented": pa.nulls(count, pa.list_(pa.string())),
        }
        texts = [*zip(self._sources, self._named, strict=True), *self._found.items()]
        columns |= {source_column(path): lists.array(count) for path, lists in texts}
        self._begin_part()
        return pa.table(columns)

    def fields(self) -> dict[str, Any]:
        """Give the content of ``fields.json``."""
        remaining = {
            path: {"kinds": [kind for kind in _KINDS if kind in kinds]} for path, kinds in sorted(self._kinds.items())
        }
        return {"sources": self._sources, "remaining": remaining}


def _note_kind(value: object, kinds: set[str]) -> None:
    """Add the kind of a value, or of each element of a list. An empty text fits every kind and is none."""
    if type(value) is str:
        if value and not value.isspace():
            kinds.add("time" if is_time(value.strip()) else "text")
    elif type(value) is list:
        for element in value:
            if type(element) is list:
                kinds.add("object")
            elif element is not None:
                _note_kind(element, kinds)
    elif type(value) is bool:
        kinds.add("boolean")
    elif type(value) is int:
        kinds.add("integer" if abs(value) <= _LARGEST_INTEGER else "big_integer")
    elif type(value) is float:
        _, _, decimals = (value_texts(value) or [""])[0].partition(".")
        kinds.add("float" if len(decimals) <= _DECIMALS else "long_float")
    else:
        kinds.add("object")

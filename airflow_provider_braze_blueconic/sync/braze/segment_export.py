"""The snapshot of a Braze segment: the lines of its export files, written as Parquet parts.

Columns: ``row`` (number in the read), ``profile_id`` (the user's ``braze_id``), ``as_of``, ``last_modified`` and
``consented`` (which Braze doesn't tell, so NULL) and one list column for each path that is read. Beside the parts lie
``fields.json`` (``{"sources": [path], "remaining": {path: {"kinds": [kind]}}}``) and, where lines are broken,
``rejects.jsonl`` (``file``, ``line``, ``error`` and ``text`` of each).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.braze.segment_export_columns import Users
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import LINES_PER_LOOK, Lines
from airflow_provider_braze_blueconic.sync.braze.segment_export_users import BrokenLine, read_user
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter, Progress
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects

if TYPE_CHECKING:
    import datetime as dt


__all__ = ["ExportCounts", "write_export_snapshot"]

log = logging.getLogger(__name__)

_ROWS_PER_PART = 50_000


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
    :param paths: what to read of each user, see :mod:`~airflow_provider_braze_blueconic.vendors.braze_paths`.
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
    :raises UnexpectedAnswer: more lines are broken, or a file is damaged; see
        :func:`~.segment_export_lines.read_lines`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = PartWriter(folder, publish)
    users = Users(paths, remaining=remaining, excluded=excluded, campaign_names=campaign_names, as_of=as_of)
    lines = Lines(files, should_stop)
    with Rejects(folder / "rejects.jsonl") as rejects:
        _read(lines, users, rejects, parts, rows_per_part=rows_per_part, label=label)
    # Also without rows: an empty segment is a snapshot too, and the mapping wants its columns.
    if users.held or not parts.written:
        parts.write(users.take())
    if rejects.count:
        _give_away(rejects.path, publish)
    if not lines.stopped:
        _check_broken(label, lines.count, rejects, broken_percent, uri)
    fields = folder / "fields.json"
    fields.write_text(json.dumps(users.fields(), ensure_ascii=False, indent=1), encoding="utf-8")
    _give_away(fields, publish)
    return ExportCounts(
        users.rows,
        lines.files,
        lines.count,
        rejects.count,
        parts.bytes,
        rejects.path.name if rejects.count else None,
        stopped=lines.stopped,
        repaired=users.repaired,
    )


def _read(lines: Lines, users: Users, rejects: Rejects, parts: PartWriter, *, rows_per_part: int, label: str) -> None:
    """Read all lines, and write the parts that are full."""
    progress = Progress()
    for place, number, line in lines:
        if error := _add_line(users, line):
            rejects.add(place, number, error, line.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
        elif users.fill_a_part(rows_per_part):
            parts.write(users.take())
        if lines.count % LINES_PER_LOOK == 0:
            _tell(label, progress, users.rows, lines.files, rejects.count)


def _give_away(path: Path, publish: Callable[[Path], int]) -> None:
    publish(path)
    path.unlink()


def _add_line(users: Users, line: bytes) -> str | None:
    """Add the user of a line.

    :return: why the line is none, in words that hold nothing of it.
    """
    try:
        user, is_repaired = read_user(line)
        users.add(user, len(line))
        users.repaired += is_repaired
    except BrokenLine as broken:
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
        f"{label}: {rejects.count:,} of {lines:,} lines of the segment export ({share:.3g} %) aren't users, such "
        f"as {'; '.join(rejects.first)}. They are all in {where}."
    )
    if share > broken_percent:
        raise LimitExceeded(
            f"{message} At most {broken_percent:g} % may be broken: check whether something else writes into the "
            "folder of the segment export, and export the segment again, or raise source.broken_percent. Nothing "
            "was sent."
        )
    log.warning("%s The run continues with the rest", message)

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
from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import ReadBatch
from airflow_provider_braze_blueconic.sync.braze.segment_export_kinds import KINDS
from airflow_provider_braze_blueconic.sync.braze.segment_export_parts import SnapshotParts
from airflow_provider_braze_blueconic.sync.braze.segment_export_processes import open_reading
from airflow_provider_braze_blueconic.sync.braze.segment_export_reading import ExportFiles
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
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
    processes: int = 1,
    discard: Callable[[Path], None] = lambda _: None,
) -> ExportCounts:
    """Write the users of an export as Parquet parts, with at most two parts in memory.

    What is written does not depend on the number of processes.

    :param files: (name for messages, local file), in reading order. The next is asked for while the ones before are
        read if there are several processes, and else after the one before was discarded.
    :param paths: what to read of each user, see :mod:`~airflow_provider_braze_blueconic.vendors.braze_paths`.
    :param remaining: also read each field and custom attribute of which no path, and none of ``excluded``, reads
        anything.
    :param excluded: paths that count as named although they are not read.
    :param campaign_names: campaign id → name, for ``campaigns_received``.
    :param as_of: when the export was asked for.
    :param folder: local folder for the files in hand.
    :param publish: uploads a finished file under its own name and returns its size in bytes. It is called for one file
        after the other, from another thread.
    :param broken_percent: share of the lines, in percent, that may be broken.
    :param should_stop: asked every thousand lines and after each file; a true answer ends the read.
    :param uri: where ``publish`` puts the files, for messages.
    :param processes: how many read files at the same time; one is this process itself.
    :param discard: called for a file that was read.
    :raises UnexpectedAnswer: a file is damaged; see :func:`~.segment_export_lines.read_lines`.
    :raises LimitExceeded: more lines are broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = ReadSettings(list(dict.fromkeys(paths)), remaining, list(excluded), _plain(campaign_names))
    writer = PartWriter(folder, publish)
    columns = list(map(source_column, settings.paths))
    tally = _Tally(label)
    with (
        Rejects(folder / "rejects.jsonl") as rejects,
        SnapshotParts(writer, columns, as_of=as_of, rows_per_part=rows_per_part) as parts,
        open_reading(settings, ExportFiles(files, should_stop, discard), processes=processes) as reading,
    ):
        for batch in reading:
            for broken in batch.broken:
                rejects.add(*broken)
            parts.add(batch.rows, batch.size)
            tally.add(batch, reading.files)
        parts.finish()
    if rejects.count:
        _give_away(rejects.path, publish)
    if not reading.stopped:
        _check_broken(label, tally.lines, rejects, broken_percent, uri)
    fields = folder / "fields.json"
    content = {"sources": settings.paths, "remaining": tally.remaining()}
    fields.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    _give_away(fields, publish)
    return ExportCounts(
        parts.rows,
        reading.files,
        tally.lines,
        rejects.count,
        writer.bytes,
        rejects.path.name if rejects.count else None,
        stopped=reading.stopped,
        repaired=tally.repaired,
    )


def _plain(names: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if names is None else dict(names)


class _Tally:
    """Counts what the batches brought, and tells every few seconds how far the read is."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._progress = Progress()
        self._kinds: dict[str, set[str]] = {}
        self._broken = 0
        self._people = 0
        self.lines = 0
        self.repaired = 0

    def add(self, batch: ReadBatch, files: int) -> None:
        self.lines += batch.lines
        self.repaired += batch.repaired
        self._broken += len(batch.broken)
        self._people += batch.rows.num_rows
        for path, kinds in batch.kinds.items():
            self._kinds.setdefault(path, set()).update(kinds)
        if seconds := self._progress.due():
            rate, also = f"{self._people / seconds:,.0f}", f", {self._broken:,} broken lines" if self._broken else ""
            log.info("%s: %s people read from %s files, %s/s%s", self._label, f"{self._people:,}", files, rate, also)

    def remaining(self) -> dict[str, dict[str, list[str]]]:
        """Give the remaining fields for ``fields.json``."""
        return {
            path: {"kinds": [kind for kind in KINDS if kind in kinds]} for path, kinds in sorted(self._kinds.items())
        }


def _give_away(path: Path, publish: Callable[[Path], int]) -> None:
    publish(path)
    path.unlink()


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

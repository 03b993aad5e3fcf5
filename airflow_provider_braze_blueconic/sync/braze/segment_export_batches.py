"""A batch of lines, read: its users as rows, and its broken lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.collector import paused_collector
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import LineBatch
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings, RowMaker
from airflow_provider_braze_blueconic.sync.braze.segment_export_users import BrokenLine, read_user, read_users

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BatchReader", "BrokenLines", "ReadBatch"]

BrokenLines = list[tuple[str, int, str, str]]
"""File, line, why it is no user (in words that hold nothing of it) and text of each."""
_TOO_DEEP = "nested too deeply"


@dataclass(frozen=True)
class ReadBatch:
    """What a batch of lines brought.

    :param rows: see :meth:`~.segment_export_rows.RowMaker.rows`.
    :param lines: lines in the batch.
    :param size: bytes of these.
    :param repaired: users with a text that held half a character.
    :param broken: the lines that are no users.
    :param kinds: path of a remaining field → the kinds that this reader had not seen there before.
    """

    rows: pa.RecordBatch
    lines: int
    size: int
    repaired: int
    broken: BrokenLines
    kinds: dict[str, list[str]] = field(default_factory=dict)


class BatchReader:
    """Reads batch after batch.

    Most batches are sound and are parsed as a whole. Of any other, each line is parsed on its own, so that just the
    broken ones are left out.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._maker = RowMaker(settings)
        self._told: dict[str, int] = {}

    def read(self, batch: LineBatch) -> ReadBatch:
        """Read the users of a batch."""
        # It would take half of a parse.
        with paused_collector():
            return self._read(batch)

    def _read(self, batch: LineBatch) -> ReadBatch:
        users, repaired = read_users(batch.lines), 0
        errors: dict[int, str] = {}
        if users is None:
            users, repaired, errors = _read_each(batch.lines)
        try:
            rows = self._maker.rows(users)
        except RecursionError:
            rows, repaired, errors = self._without_deep(batch.lines)
        size = sum(map(len, batch.lines))
        return ReadBatch(rows, len(batch.lines), size, repaired, _broken_lines(batch, errors), self._new_kinds())

    def _without_deep(self, lines: Sequence[bytes]) -> tuple[pa.RecordBatch, int, dict[int, str]]:
        users, repaired, errors = [], 0, {}
        for place, line in enumerate(lines):
            read, is_repaired, error = _read_each([line])
            try:
                self._maker.check(read)
            except RecursionError:
                error = {0: _TOO_DEEP}
            if error:
                errors[place] = error[0]
            else:
                users += read
                repaired += is_repaired
        return self._maker.rows(users), repaired, errors

    def _new_kinds(self) -> dict[str, list[str]]:
        found = self._maker.kinds
        new = {path: sorted(kinds) for path, kinds in found.items() if self._told.get(path) != len(kinds)}
        self._told |= {path: len(kinds) for path, kinds in new.items()}
        return new


def _read_each(lines: Sequence[bytes]) -> tuple[list[dict[str, Any]], int, dict[int, str]]:
    """Parse line by line.

    :return: users, how many of them were repaired, and place of a broken line → why it is no user.
    """
    users: list[dict[str, Any]] = []
    repaired = 0
    errors: dict[int, str] = {}
    for place, line in enumerate(lines):
        try:
            user, is_repaired = read_user(line)
        except BrokenLine as broken:
            errors[place] = str(broken)
        except RecursionError:
            errors[place] = _TOO_DEEP
        else:
            users.append(user)
            repaired += is_repaired
    return users, repaired, errors


def _broken_lines(batch: LineBatch, errors: Mapping[int, str]) -> BrokenLines:
    texts = {place: batch.lines[place].rstrip(b"\r\n").decode("utf-8", "backslashreplace") for place in errors}
    return [(batch.place, batch.numbers[place], error, texts[place]) for place, error in errors.items()]

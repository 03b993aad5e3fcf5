"""Unreadable parts of a source: counted, and kept in a file next to the snapshot, with place and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from airflow_provider_braze_blueconic.sync.values.characters import repaired_text

__all__ = ["Rejects"]

_SHOWN = 3


class Rejects:
    """Lines or rows that can't be read, a JSON object a line: ``file``, ``line``, ``error``, ``text``.

    The text is the source's own and may hold people: it goes into the file and nowhere else.

    :param path: the file; it is only there if there is anything in it.
    :param longest: characters of a text that are kept; ``None`` for all.
    :ivar count: how many so far.
    :ivar first: where the first of them stand and why they can't be read, free of their text.
    """

    def __init__(self, path: Path, *, longest: int | None = None) -> None:
        self.path = path
        self.count = 0
        self.first: list[str] = []
        self._longest = longest
        self._file: IO[str] | None = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, file: str, line: int, error: str, text: str) -> None:
        """Keep one.

        :param line: 1-based.
        :param error: why it can't be read, in words that hold nothing of it.
        """
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        entry = {"file": file, "line": line, "error": error, "text": repaired_text(text[: self._longest])}
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(f"line {line:,} of {file}: {error}")

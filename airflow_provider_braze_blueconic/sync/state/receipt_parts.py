"""The files of part receipts, as uploads leave them: a folder for each partition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["parts_by_partition"]

_FOLDER = re.compile(r"partition=(\d+)")


def parts_by_partition(parts: Sequence[Path]) -> Mapping[int, Sequence[Path]] | None:
    """Divide part receipts by the partition whose upload left them.

    :param parts: local files, in the folders that :func:`~..store.paths.receipts_folder` names.
    :return: ``None`` if one of them lies elsewhere, so that anybody may be in it.
    """
    divided: dict[int, list[Path]] = {}
    for part in parts:
        folder = _FOLDER.fullmatch(part.parent.name)
        if folder is None:
            return None
        divided.setdefault(int(folder[1]), []).append(part)
    return divided

"""What another goal's read saw in the target."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Seen"]


@dataclass(frozen=True)
class Seen:
    """What another goal's read saw in the target: it takes the ledger's place where it is newer.

    :param file: Parquet file, as the mapping writes it: ``row`` (of the read), ``identifier`` (JSON text by which a
        person is found again, each of several on a line of its own), ``as_of``, ``field_…`` columns; ``null`` where the
        field was seen empty, NULL where it was not looked at. A column ``echo_…`` beside them holds what would be
        mapped if the source had just what the goal that read sends there: if it is what is mapped, what was seen is the
        original of it.
    :param settles_in: the target may show a write only after so long; what was seen is that much older.
    :param certain: targets whose value there can be known to be the target's own, and not one on its way from here: it
        counts also where it differs from what is to be sent. A column ``certain_…`` in the file says for whom; without
        it, for everybody.
    :param whole: the read was made to see everybody of this goal: who is not in it is worth a word.
    """

    file: Path
    settles_in: dt.timedelta
    certain: frozenset[str] = frozenset()
    whole: bool = False

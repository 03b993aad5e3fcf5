"""What tests of the ledger have in common: commits as tasks make them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.core import acknowledged, engine, ledger_rows, person

__all__ = ["COUNTED", "DOUBT", "A", "B", "C", "D", "commit", "divide", "hash_of", "known", "ledger_of"]

A, B, C, D = (person(name) for name in "abcd")
DOUBT = '["in doubt" ]'
"""What a field holds that may have been written: no value of a goal is written like this."""


def ledger_of(folder: Path) -> Ledger:
    return Ledger(str(folder / "ledger"), {})


def commit(folder: Path, *args: Any, **how: Any) -> bool:
    """Commit with a ledger that was opened for it, as each task does."""
    return ledger_of(folder).commit(engine(folder), acknowledged(folder, *args, **how))


def divide(folder: Path, partitions: int) -> bool:
    """Commit a run without anybody, whose goal has that many partitions."""
    ledger = ledger_of(folder)
    last = ledger.last_delta
    delta_id = f"divide-{partitions}-{ledger.version}"
    newest = ledger.newest_as_of()
    return ledger.commit(
        engine(folder),
        acknowledged(folder, {}, [], delta_id=delta_id, as_of=newest, partitions=partitions, last_delta=last),
    )


def hash_of(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


COUNTED = {"field_n": '["7"]', "increase_n": '["2"]', "field_x": '["b"]'}


def known(folder: Path) -> dict[str, tuple[Any, ...]]:
    return {who: (row["in_segment"], row["known_by"], row["field_x"]) for who, row in ledger_rows(folder).items()}

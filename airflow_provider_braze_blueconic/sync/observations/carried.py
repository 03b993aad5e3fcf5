"""Fields that two goals sync one to one: whether the goal that saw a value has synced it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.columns import (
    certain_column,
    field_column,
)
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.observations.observation import Observation
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger

__all__ = ["carried_fields", "tell_carried"]


def carried_fields(pairs: Mapping[str, tuple[str, str]], observation: Observation) -> dict[str, str]:
    """Find the fields that both goals carry over one to one: this goal's target → the other goal's."""
    others = set(observation.pairs)
    place = 0 if observation.system == "blueconic" else 1
    return {target: pair[place] for target, pair in pairs.items() if pair in others}


def tell_carried(
    engine: Engine, seen: Path, carried: Mapping[str, str], ledger: Ledger, mapped: Sequence[Path]
) -> tuple[Path, frozenset[str]]:
    """Add to what was seen whether it was brought over: what was wanted of that row is what was acknowledged.

    :param seen: the read in the terms of the goal that asks.
    :param carried: the target of the goal that asks → that of the goal that read.
    :param ledger: what the target of the goal that read has acknowledged.
    :param mapped: what the goal that read wanted to write: its mapped snapshot.
    :return: the file to use, and the targets of which it tells.
    :raises BrokenTable: the ledger can't be read.
    :raises UnsupportedTable: the ledger has a feature that this package can't use.
    """
    known = set(ledger.columns())
    told = {mine: theirs for mine, theirs in carried.items() if field_column(theirs) in known}
    table = ledger.open()
    if table is None or not told or not mapped:
        return seen, frozenset()
    out = seen.with_name("told.parquet")
    columns = []
    for mine, theirs in told.items():
        column = quote(field_column(theirs))
        columns.append(f"coalesce(m.{column} = l.{column}, FALSE) AS {quote(certain_column(mine))}")
    with connect(engine) as connection:
        connection.register("acknowledged", table.to_pyarrow_dataset())
        told_sql = f"""
            SELECT s.*, {", ".join(columns)}
            FROM {parquet_source([seen])} AS s
            LEFT JOIN {parquet_source(mapped, union_by_name=True)} AS m ON m.row = s.row
            LEFT JOIN acknowledged AS l ON l.identifier = m.identifier
            """
        with ledger.reading():
            connection.execute(f"COPY ({told_sql}) TO {literal(str(out))} (FORMAT parquet)")
        connection.unregister("acknowledged")
    return out, frozenset(told)

"""The echo of a look: what a goal would map if its source held what the goal that looked sends there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.columns import (
    echo_column,
    field_column,
    source_column,
)
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.sync.mapping.value_files import value_files
from airflow_provider_braze_blueconic.sync.observations.observation import Route

__all__ = ["tell_echo"]


def tell_echo(
    engine: Engine, seen: Path, back: Mapping[str, Route], mapped: Sequence[Path], *, reads_blueconic: bool
) -> Path:
    """Add to what was seen what this goal would map if its source held what the goal that read sends there.

    :param seen: the read in the terms of the goal that asks.
    :param back: the target of the goal that asks → how it brings it over.
    :param mapped: what the goal that read wanted to write: its mapped snapshot.
    :param reads_blueconic: what was read is BlueConic, so that what was wanted goes to Braze.
    :return: the file to use. A row that the other goal did not map has no echo; if it wanted nothing, it is ``null``.
    """
    names = {target: route.braze if reads_blueconic else route.blueconic for target, route in back.items()}
    sent = seen.with_name("sent.parquet")
    told = _write_as_read(engine, mapped, names, sent)
    if not told:
        return seen
    back_here = seen.with_name("echo")
    fields = tuple(
        replace(back[target].field, column=quote(source_column(name)), is_list=True, joined=False, clearable=True)
        for target, name in told.items()
    )
    key = IdentifierLink("key", "", "", is_list=False)
    map_snapshot(
        engine, [sent], MappingPlan((key,), fields, clear_missing=True, objectives=(), partitions=1), back_here
    )
    out = seen.with_name("with-echo.parquet")
    listed = ", ".join(f"e.{quote(field_column(target))} AS {quote(echo_column(target))}" for target in told)
    echo = parquet_source(value_files(back_here))
    joined = f"SELECT s.*, {listed} FROM {parquet_source([seen])} AS s LEFT JOIN {echo} AS e ON e.row = s.row"
    with connect(engine) as connection:
        connection.execute(f"COPY ({joined}) TO {literal(str(out))} (FORMAT parquet)")
    return out


def _write_as_read(engine: Engine, mapped: Sequence[Path], names: Mapping[str, str], file: Path) -> dict[str, str]:
    """Write what the goal that read wanted to write, as a read of its target would then bring it.

    :param names: the target of the goal that asks → that of the goal that read.
    :return: those of them that the mapped snapshot has; nothing is written if it has none.
    """
    source = parquet_source(mapped, union_by_name=True)
    with connect(engine) as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        there = {name for name, *_ in described}
        told = {target: name for target, name in names.items() if field_column(name) in there}
        if told:
            columns = [
                f"{_as_read_sql(quote(field_column(n)))} AS {quote(source_column(n))}" for n in set(told.values())
            ]
            as_read = f"""
                SELECT row, row::VARCHAR AS key, NULL::VARCHAR AS profile_id, as_of, last_modified, {", ".join(columns)}
                FROM {source}
                """
            connection.execute(f"COPY ({as_read}) TO {literal(str(file))} (FORMAT parquet)")
    return told


def _as_read_sql(text: str) -> str:
    """SQL for the texts that a JSON text would be read back as, from either system: a whole number has no fraction."""
    return (
        f"CASE WHEN {text} = 'null' THEN NULL "
        f"WHEN starts_with({text}, '[') THEN from_json({text}, '[\"VARCHAR\"]') "
        f"WHEN starts_with({text}, '\"') THEN [json_extract_string({text}, '$')] "
        f"ELSE [regexp_replace({text}, '\\.0$', '')] END"
    )

"""The output of a command on stdout: a table on a terminal, otherwise JSON."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["json_option", "show_facts", "show_rows"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, also on a terminal.")


def show_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows: as a table on a terminal, else as JSON."""
    if as_json or not sys.stdout.isatty():
        click.echo(_as_json(rows))
    elif rows:
        _print_table(rows)


def show_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print named facts: as a table on a terminal, else as JSON."""
    if as_json or not sys.stdout.isatty():
        click.echo(_as_json(facts))
    else:
        _print_table([{"": name.replace("_", " "), "found": value} for name, value in facts.items()])


def _as_json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=dt.datetime.isoformat)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        # Not as markup: a reason may hold brackets.
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    Console().print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dt.datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case tuple():
            return ", ".join(str(part) for part in value)
        case _:
            return str(value)

"""The command that checks goal files."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["validate"]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the mistakes as one JSON list instead of lines.")
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check goal files, or folders of them.

    Every mistake is one line with file, line, field and what was expected. A hint on stderr names a possible mistake,
    such as a custom attribute called "birthday"; hints don't change the result.

    The command sends nothing. A run checks the names of segments and properties.

    \b
    Example:
      braze-blueconic validate dags/goals
    """
    from airflow_provider_braze_blueconic.goals.loading import find_hints, validate_paths

    problems = validate_paths(paths)
    for hint in find_hints(paths):
        click.echo(f"Hint: {hint}", err=True)
    if as_json:
        rows = [{"file": p.file, "line": p.line, "field": p.where, "message": p.message} for p in problems]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(str(problem))
    if problems:
        found = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        click.echo(f"{found} found.", err=True)
        raise SystemExit(1)
    click.echo("All goal files are valid.", err=True)

"""The command line ``braze-blueconic``: results on stdout, everything else on stderr.

Exit codes: 0 done, 1 mistakes were found or something failed, 2 the command itself was wrong.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.exceptions import SyncError

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.models import ExportGoal, ImportGoal

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="braze-blueconic")
def main() -> None:
    """Keep customer profiles in step between Braze and BlueConic."""


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON list of the mistakes instead of lines.")
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check goal files, or folders of them.

    Every mistake is one line with file, line, field and what was expected. A hint on stderr names what may be a mistake
    and can be meant, such as a custom attribute called "birthday"; it changes nothing.

    Nothing is sent anywhere: names of segments and properties are checked when the goal runs.

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
    click.echo("All goal files are well-formed.", err=True)


goal_file = click.argument("goal_file", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")


@main.command()
@goal_file
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0), help="People to show; 0 for all.")
@click.option("--show-values", is_flag=True, help="Identifiers as they are. They are masked else.")
@json_option
def rejects(goal_file: Path, limit: int, show_values: bool, as_json: bool) -> None:
    """Show who was not taken by the target, and why.

    The outcome is what the target answered last: rejected, not_found, no_consent, unknown, or fields for who was taken
    without some fields. Who is shown as repaired had a value put right that the target did not hold any more; absent is
    who was acknowledged and is not there. It also says whether the next run tries them again.

    \b
    Example:
      braze-blueconic rejects dags/goals/vip_to_braze.yaml --limit 20
    """
    from airflow_provider_braze_blueconic.goals.state import open_state

    with _failing_in_one_sentence():
        goal = _load(goal_file)
        with open_state(goal, command="rejects") as workspace:
            from airflow_provider_braze_blueconic.sync.refusals import RestRules, list_refusals, mask_identifier

            rules = RestRules(holds_back=goal.goal == "import", max_attempts=goal.max_attempts)
            counts, people = list_refusals(workspace, rules, now=dt.datetime.now(dt.UTC), limit=limit or None)
    rows = [
        {
            "identifier": person.identifier if show_values else mask_identifier(person.identifier),
            "outcome": person.outcome,
            "reason": person.reason,
            "tried_at": person.tried_at,
            "attempts": person.attempts,
            "next_run": person.next,
        }
        for person in people
    ]
    _show_rows(rows, as_json=as_json)
    for (outcome, then), number in counts.items():
        click.echo(f"{outcome}, {then}: {number:,}", err=True)
    total = sum(counts.values())
    click.echo(f"Not taken: {total:,}, shown: {len(rows):,}." if total else "Nobody was refused.", err=True)


@main.command()
@goal_file
@click.option("--all", "everybody", is_flag=True, help="Everybody who was not taken.")
@click.option("--identifier", "identifiers", multiple=True, help="One person; may be repeated.")
def release(goal_file: Path, everybody: bool, identifiers: tuple[str, ...]) -> None:
    """Let the next run try people again who were not taken.

    An identifier is the value alone, or the JSON text that rejects --show-values prints. Which values were refused, and
    how often, is forgotten; why and when is not. No run of the goal may be at work.

    \b
    Example:
      braze-blueconic release dags/goals/vip_to_braze.yaml --identifier u-1017
    """
    from airflow_provider_braze_blueconic.goals.state import open_state

    if everybody == bool(identifiers):
        raise click.UsageError("Say either --all or whom: --identifier TEXT.")
    with _failing_in_one_sentence():
        goal = _load(goal_file)
        with open_state(goal, command="release", changes=True) as workspace:
            from airflow_provider_braze_blueconic.sync.refusals import release_people

            released, missing = release_people(workspace, None if everybody else identifiers)
    click.echo(json.dumps({"released": released, "not_found": missing}))
    click.echo(f"Tried again by the next run: {released:,}.", err=True)
    if missing:
        click.echo(f"Not among those who were refused: {missing:,} of {len(set(identifiers)):,}.", err=True)
        raise SystemExit(1)


@main.command()
@goal_file
@click.option("--dry-run", is_flag=True, help="Look and count; change nothing.")
@json_option
def recover(goal_file: Path, dry_run: bool, as_json: bool) -> None:
    """Make a ledger anew that is gone or broken, from the receipts.

    A ledger that can be read is left alone. The files of a broken one are put aside, beside the new one. No run of the
    goal may be at work.

    \b
    Example:
      braze-blueconic recover dags/goals/vip_to_braze.yaml --dry-run
    """
    from airflow_provider_braze_blueconic.goals.state import open_state

    with _failing_in_one_sentence():
        goal = _load(goal_file)
        sums = {row.to: row.of for row in goal.fields if row.of is not None} if goal.goal == "import" else {}
        with open_state(goal, command="recover", changes=not dry_run) as workspace:
            from airflow_provider_braze_blueconic.sync.recovery import recover_ledger

            found = asdict(recover_ledger(workspace, partitions=goal.partitions, sums=sums, dry_run=dry_run))
    if as_json or not sys.stdout.isatty():
        click.echo(_json(found))
    else:
        _table([{"": name.replace("_", " "), "found": value} for name, value in found.items()])
    if found["sums"]:
        click.echo(
            f"The levels of {', '.join(found['sums'])} may be too high: the next growth may add too little.", err=True
        )
    click.echo(
        "Nothing was changed." if dry_run else "The ledger was made anew; the next run goes on with it.",
        err=True,
    )


@main.command()
@click.option(
    "--profiles", default=20_000, show_default=True, type=click.IntRange(1), help="People in the VIP segment."
)
@click.option("--seed", default=1, show_default=True, help="Decides everything that is invented.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--braze-port", default=8010, show_default=True, help="0 takes a free one.")
@click.option("--blueconic-port", default=8011, show_default=True, help="0 takes a free one.")
@click.option("--s3-port", default=8012, show_default=True, help="0 takes a free one.")
def sandbox(profiles: int, seed: int, host: str, braze_port: int, blueconic_port: int, s3_port: int) -> None:
    """Run a local Braze, BlueConic and S3 until interrupted.

    Everything is kept in memory. Addresses, keys and connections for Airflow are printed at the start.

    \b
    Example:
      braze-blueconic sandbox --profiles 20000 --seed 1
    """
    try:
        from airflow_provider_braze_blueconic.sandbox.server import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The sandbox needs {error.name}: pip install 'airflow-provider-braze-blueconic[sandbox]'"
        ) from None
    try:
        serve(
            profiles=profiles,
            seed=seed,
            host=host,
            braze_port=braze_port,
            blueconic_port=blueconic_port,
            s3_port=s3_port,
        )
    except OSError as error:
        raise click.ClickException(f"A port could not be opened ({error.strerror}); choose others, or 0.") from None


def _load(path: Path) -> ExportGoal | ImportGoal:
    from airflow_provider_braze_blueconic.goals.loading import load_goal

    return load_goal(path).goal


@contextmanager
def _failing_in_one_sentence() -> Iterator[None]:
    """Print an error that was written for people, without its trace, and end with 1."""
    try:
        yield
    except SyncError as error:
        raise click.ClickException(str(error)) from None


def _show_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows: as a table on a terminal, else as JSON."""
    if as_json or not sys.stdout.isatty():
        click.echo(_json(rows))
    elif rows:
        _table(rows)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=dt.datetime.isoformat)


def _table(rows: Sequence[dict[str, Any]]) -> None:
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


if __name__ == "__main__":
    main()

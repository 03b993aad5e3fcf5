"""The command that rebuilds a lost ledger."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from airflow_provider_braze_blueconic.cli.failures import in_one_sentence
from airflow_provider_braze_blueconic.cli.goal_file import goal_file_argument
from airflow_provider_braze_blueconic.cli.output import json_option, show_facts

__all__ = ["recover"]


@click.command()
@goal_file_argument
@click.option("--dry-run", is_flag=True, help="Count only; change nothing.")
@json_option
def recover(goal_file: Path, dry_run: bool, as_json: bool) -> None:
    """Rebuild a lost or broken ledger from the receipts.

    The command leaves a readable ledger alone. It moves the files of a broken one aside, next to the new one.
    No run of the goal may be active.

    \b
    Example:
      braze-blueconic recover dags/goals/vip_to_braze.yaml --dry-run
    """
    from airflow_provider_braze_blueconic.cli.state import open_state
    from airflow_provider_braze_blueconic.goals.loading import load_goal

    with in_one_sentence():
        goal = load_goal(goal_file).goal
        sums = {row.to: row.of for row in goal.fields if row.of is not None} if goal.goal == "import" else {}
        with open_state(goal, command="recover", changes=not dry_run) as workspace:
            from airflow_provider_braze_blueconic.sync.upkeep.recovery import recover_ledger

            found = asdict(recover_ledger(workspace, partitions=goal.partitions, sums=sums, dry_run=dry_run))
    show_facts(found, as_json=as_json)
    if found["sums"]:
        click.echo(
            f"The levels of {', '.join(found['sums'])} may be too high, so the next increase may add too little.",
            err=True,
        )
    click.echo(
        "Nothing was changed." if dry_run else "The ledger was rebuilt; the next run continues from it.",
        err=True,
    )

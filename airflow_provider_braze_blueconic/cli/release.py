"""The command that lets the next run retry people."""

from __future__ import annotations

import json
from pathlib import Path

import click

from airflow_provider_braze_blueconic.cli.failures import in_one_sentence
from airflow_provider_braze_blueconic.cli.goal_file import goal_file_argument

__all__ = ["release"]


@click.command()
@goal_file_argument
@click.option("--all", "everybody", is_flag=True, help="Everybody whom the target didn't accept.")
@click.option("--identifier", "identifiers", multiple=True, help="One person; repeat the option for more.")
def release(goal_file: Path, everybody: bool, identifiers: tuple[str, ...]) -> None:
    """Let the next run retry people whom the target didn't accept.

    An identifier is the value alone, or the JSON text that rejects --show-values prints. The ledger forgets which
    values the target refused, and how often, but keeps why and when. No run of the goal may be active.

    \b
    Example:
      braze-blueconic release dags/goals/vip_to_braze.yaml --identifier u-1017
    """
    from airflow_provider_braze_blueconic.cli.state import open_state
    from airflow_provider_braze_blueconic.goals.loading import load_goal

    if everybody == bool(identifiers):
        raise click.UsageError("Give either --all or at least one --identifier TEXT.")
    with in_one_sentence():
        goal = load_goal(goal_file).goal
        with open_state(goal, command="release", changes=True) as workspace:
            from airflow_provider_braze_blueconic.sync.upkeep.refusals import release_people

            released, missing = release_people(workspace, None if everybody else identifiers)
    click.echo(json.dumps({"released": released, "not_found": missing}))
    click.echo(f"The next run retries: {released:,}.", err=True)
    if missing:
        click.echo(f"Not among the refused people: {missing:,} of {len(set(identifiers)):,}.", err=True)
        raise SystemExit(1)

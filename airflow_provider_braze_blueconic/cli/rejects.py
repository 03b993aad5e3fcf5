"""The command that shows whom the target didn't accept."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airflow_provider_braze_blueconic.cli.failures import in_one_sentence
from airflow_provider_braze_blueconic.cli.goal_file import goal_file_argument
from airflow_provider_braze_blueconic.cli.output import json_option, show_rows

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.upkeep.refusals import Refusal

__all__ = ["rejects"]


@click.command()
@goal_file_argument
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(0), help="Number of people to show; 0 shows all."
)
@click.option("--show-values", is_flag=True, help="Show identifiers unmasked.")
@json_option
def rejects(goal_file: Path, limit: int, show_values: bool, as_json: bool) -> None:
    """Show the people whom the target didn't accept, and why.

    The outcome is the target's last answer: rejected, not_found, no_consent or unknown. The outcome "fields" means
    that the target accepted the person without some fields. "repaired" means that the target no longer held a value,
    which was then sent again. "absent" means that the target acknowledged the person but no longer has them. The
    output also says whether the next run retries a person.

    \b
    Example:
      braze-blueconic rejects dags/goals/vip_to_braze.yaml --limit 20
    """
    from airflow_provider_braze_blueconic.cli.state import open_state
    from airflow_provider_braze_blueconic.goals.loading import load_goal

    with in_one_sentence():
        goal = load_goal(goal_file).goal
        with open_state(goal, command="rejects") as workspace:
            from airflow_provider_braze_blueconic.sync.upkeep.refusals import RestRules, list_refusals

            rules = RestRules(holds_back=goal.goal == "import", max_attempts=goal.max_attempts)
            counts, people = list_refusals(workspace, rules, now=dt.datetime.now(dt.UTC), limit=limit or None)
    rows = [_row(person, show_values=show_values) for person in people]
    show_rows(rows, as_json=as_json)
    for (outcome, then), number in counts.items():
        click.echo(f"{outcome}, {then}: {number:,}", err=True)
    total = sum(counts.values())
    click.echo(
        f"Not accepted: {total:,}, shown: {len(rows):,}." if total else "The target accepted everybody.", err=True
    )


def _row(person: Refusal, *, show_values: bool) -> dict[str, Any]:
    from airflow_provider_braze_blueconic.sync.upkeep.identifier_texts import mask_identifier

    return {
        "identifier": person.identifier if show_values else mask_identifier(person.identifier),
        "outcome": person.outcome,
        "reason": person.reason,
        "tried_at": person.tried_at,
        "attempts": person.attempts,
        "next_run": person.next,
    }

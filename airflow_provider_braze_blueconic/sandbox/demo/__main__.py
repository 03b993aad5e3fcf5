"""The main job, shown: both directions run through a real Airflow, on a first night, after a day, and once more.

``python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags`` starts the sandbox on free ports, gives Airflow
a home of its own in a temporary folder, runs the goals with ``airflow dags test``, and takes everything away again.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.loading import load_goal
from airflow_provider_braze_blueconic.sandbox.demo.airflow import Airflow
from airflow_provider_braze_blueconic.sandbox.demo.directions import NIGHTS, Direction, exporting, importing, run
from airflow_provider_braze_blueconic.sandbox.demo.tables import table_of
from airflow_provider_braze_blueconic.sandbox.server import Sandbox

__all__ = ["main"]

_AT_ONCE = {
    # The sandbox shows a write at once, where the real services take minutes.
    "AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS": "0.001",
    "AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS": "0.001",
}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that everything is taken away in both cases."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _running(dags: Path, profiles: int, seed: int) -> Iterator[tuple[Sandbox, Airflow]]:
    home = Path(tempfile.mkdtemp(prefix="braze-blueconic-demo-"))
    try:
        with Sandbox(profiles=profiles, seed=seed) as box:
            airflow = Airflow(home, dags, {**box.connections(), **_AT_ONCE})
            try:
                yield box, airflow
            finally:
                airflow.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--dags",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("dags"),
    show_default=True,
    help="Folder with the DAG file and, in it, goals/.",
)
@click.option("--profiles", default=20_000, show_default=True, help="People in the segment.")
@click.option("--seed", default=1, show_default=True, help="Decides everything that is invented.")
def main(dags: Path, profiles: int, seed: int) -> None:
    """Run an export and an import goal on the sandbox through a real Airflow, and compare both sides.

    \b
    Example:
      python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags --profiles 2000
    """
    console = Console(highlight=False)
    try:
        with _interruptible():
            _demonstrate(console, dags, profiles=profiles, seed=seed)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; everything that was started is stopped.") from None


def _demonstrate(console: Console, dags: Path, *, profiles: int, seed: int) -> None:
    export = load_goal(dags / "goals" / "vip_to_braze.yaml").goal
    bring = load_goal(dags / "goals" / "test_users_to_blueconic.yaml").goal
    if not isinstance(export, ExportGoal) or not isinstance(bring, ImportGoal):
        raise click.ClickException("the demo's goals are of another direction than they were.")
    console.print(f"Starting the sandbox with {profiles:,} people …")
    with _running(dags, profiles, seed) as (box, airflow):
        for name, url in (("Braze", box.braze_url), ("BlueConic", box.blueconic_url), ("S3", box.s3_url)):
            console.print(f"  {name:<10}{url}")
        console.print("Preparing Airflow …")
        airflow.run("db", "migrate")
        directions = (exporting(box, export), importing(box, bring))
        for night in NIGHTS:
            if night == "second night":
                _let_a_day_pass(console, box, export.identifiers[0].blueconic)
            for direction in directions:
                run(console, box, airflow, direction, night)
        for direction in directions:
            console.print(table_of(direction))
            _conclude(console, direction)


def _let_a_day_pass(console: Console, box: Sandbox, identifier: str) -> None:
    """Change something on both sides, but of nobody who has several profiles.

    An import writes to one of these and makes it the latest, by which the next export goes: it takes one more night
    until both rest.

    :param identifier: property by which people are known.
    """
    several = box.blueconic.sharing(identifier)
    day = box.next_day(apart_from=set().union(*several.values())).counts()
    in_braze = box.next_day_in_braze(apart_from=several).counts()
    console.print(
        f"A day passes. In BlueConic {day['changed']:,} profiles change, {day['entered']:,} enter the segment and "
        f"{day['left']:,} leave it; in Braze {in_braze['changed']:,} users change. "
        f"Nothing happens to the {len(several):,} people who have several profiles."
    )


def _conclude(console: Console, direction: Direction) -> None:
    last = direction.reports[-1]
    if last["to_send"]:
        raise click.ClickException(
            f"{direction.title}: the last run sent {last['to_send']:,} people although nothing had changed."
        )
    agreement = direction.agreement()
    if not agreement.agreed:
        differences = ", ".join(f"{name}: {people:,}" for name, people in agreement.differences.most_common())
        raise click.ClickException(
            f"{direction.title}: both sides do not agree: {agreement.absent:,} people are absent; "
            f"differing: {differences or 'none'}."
        )
    console.print(
        f"[bold green]{direction.title}: both sides agree[/]: {agreement.people:,} people, {agreement.values:,} values "
        f"compared; {agreement.left_out:,} values left out that the target would refuse or drop.\n"
    )


if __name__ == "__main__":
    main()

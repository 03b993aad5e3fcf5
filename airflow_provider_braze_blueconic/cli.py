"""The command line ``braze-blueconic``: results on stdout, everything else on stderr.

Exit codes: 0 done, 1 mistakes were found or something failed, 2 the command itself was wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from airflow_provider_braze_blueconic import __version__

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

    Every mistake is one line with file, line, field and what was expected.
    Nothing is sent anywhere: names of segments and properties are checked when the goal runs.

    \b
    Example:
      braze-blueconic validate dags/goals
    """
    from airflow_provider_braze_blueconic.goals.loading import validate_paths

    problems = validate_paths(paths)
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


if __name__ == "__main__":
    main()

"""The command that runs the local Braze, BlueConic and S3."""

from __future__ import annotations

import click

__all__ = ["sandbox"]


@click.command()
@click.option(
    "--profiles", default=20_000, show_default=True, type=click.IntRange(1), help="People in the VIP segment."
)
@click.option("--seed", default=1, show_default=True, help="Seed for the generated data.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--braze-port", default=8010, show_default=True, help="0 picks a free port.")
@click.option("--blueconic-port", default=8011, show_default=True, help="0 picks a free port.")
@click.option("--s3-port", default=8012, show_default=True, help="0 picks a free port.")
def sandbox(profiles: int, seed: int, host: str, braze_port: int, blueconic_port: int, s3_port: int) -> None:
    """Run a local Braze, BlueConic and S3 until interrupted.

    It keeps everything in memory. At the start it prints addresses, keys and connections for Airflow.

    \b
    Example:
      braze-blueconic sandbox --profiles 20000 --seed 1
    """
    try:
        from airflow_provider_braze_blueconic.sandbox.serving import serve
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
        raise click.ClickException(f"A port couldn't be opened ({error.strerror}). Choose other ports, or 0.") from None

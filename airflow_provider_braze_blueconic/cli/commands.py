"""The command line ``braze-blueconic``: results on stdout, everything else on stderr.

Exit codes: 0 done, 1 it found mistakes or something failed, 2 the command itself was wrong.
"""

from __future__ import annotations

import click

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.cli.recover import recover
from airflow_provider_braze_blueconic.cli.rejects import rejects
from airflow_provider_braze_blueconic.cli.release import release
from airflow_provider_braze_blueconic.cli.sandbox import sandbox
from airflow_provider_braze_blueconic.cli.validate import validate

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="braze-blueconic")
def main() -> None:
    """Sync customer profiles between Braze and BlueConic."""


for command in (validate, rejects, release, recover, sandbox):
    main.add_command(command)

if __name__ == "__main__":
    main()

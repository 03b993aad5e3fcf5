"""A real Airflow in a temporary home, for the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

__all__ = ["Airflow"]

_LAST_LINES = 25
_GRACE_SECONDS = 10


class Airflow:
    """A real Airflow in a temporary home, steered by its command line."""

    def __init__(self, home: Path, dags: Path, connections: Mapping[str, str]) -> None:
        self._log = home / "demo.log"
        self._environment = {
            # What the caller's Airflow is set to (a home, a database, connections) is not the demo's business.
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            **connections,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags.resolve()),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> None:
        """Run one Airflow command to its end.

        :raises click.ClickException: if it fails, with the end of its log.
        """
        start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own, so that an interrupt can end it with all that it started.
                start_new_session=True,
            )
            code = self._process.wait()
        if code:
            said = self._log.read_bytes()[start:].decode(errors="replace").splitlines()
            tail = "\n".join(said[-_LAST_LINES:])
            raise click.ClickException(f"airflow {' '.join(arguments)} ended with code {code}. Its last lines:\n{tail}")

    def stop(self) -> None:
        """End a command that still runs, with everything it started."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

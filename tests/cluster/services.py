"""PostgreSQL and Redis from Debian's packages, on free ports, with their files in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.processes import free_port, start, wait_until

__all__ = ["running_postgres", "running_redis"]

_START_SECONDS = 60.0
_ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL with an empty database ``airflow`` for the length of a block.

    :param folder: a new one is made in it; everybody must be able to enter it.
    :return: user, address and database, as they follow ``postgresql://``.
    """
    # PostgreSQL refuses to run as root, and its package makes a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    home, port = folder / "postgres", free_port()
    home.mkdir()
    if user:
        shutil.chown(home, user, user)
    tools = _tools("initdb", "postgres", "createdb")
    files, log = home / "data", folder / "postgres.log"
    made = [tools["initdb"], "--pgdata", str(files), "--username", "airflow", "--auth", "trust", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, user=user, cwd=home, env=_ENVIRONMENT)
    command = [
        tools["postgres"],
        "-D",
        str(files),
        "-p",
        str(port),
        "-k",
        str(home),
        "-c",
        "listen_addresses=127.0.0.1",
    ]
    server = start("postgres", [*command, "-c", "fsync=off"], _ENVIRONMENT, log, user=user)
    try:
        wait_until(lambda: _answers(port), server, seconds=_START_SECONDS)
        create = [tools["createdb"], "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow"]
        wait_until(lambda: subprocess.run(create, capture_output=True, cwd=home).returncode == 0, server, seconds=20)
        yield f"airflow@127.0.0.1:{port}/airflow"
    finally:
        server.stop()


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Run a Redis that writes nothing to disk for the length of a block.

    :return: its URL.
    """
    port = free_port()
    command = [_tools("redis-server")["redis-server"], "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = start("redis", command, _ENVIRONMENT, folder / "redis.log")
    try:
        wait_until(lambda: _answers(port), server, seconds=_START_SECONDS)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.stop()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _tools(*names: str) -> dict[str, str]:
    """Find programs; Debian keeps those of PostgreSQL in a folder for each version."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    where = os.pathsep.join([*folders, os.environ["PATH"]])
    found = {name: shutil.which(name, path=where) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not found: apt-get install postgresql redis-server")
    return {name: str(path) for name, path in found.items()}

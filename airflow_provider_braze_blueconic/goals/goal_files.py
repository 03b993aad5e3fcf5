"""Goal files as bytes: those in a folder, read up to a size that no goal reaches."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem

__all__ = ["ENDINGS", "LARGEST_FILE", "bytes_of", "content_of", "goal_files", "reason_of", "shown_name"]

ENDINGS = (".yaml", ".yml")

LARGEST_FILE = 250_000
"""Bytes of a goal file that are read; a goal of a thousand fields has some seventy thousand."""


def goal_files(folder: Path) -> list[Path]:
    """List the goal files of a folder by name, without the folders in it.

    :raises GoalError: if the folder can't be listed.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise GoalError([Problem("", f"can't be listed: {reason_of(error)}.", str(folder))]) from error
    files = (path for path in entries if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return sorted((path for path in files if not _is_folder(path)), key=lambda path: path.name)


def shown_name(path: Path) -> str:
    """Give the name of a file as text that can be shown and stored: a name is bytes, and may hold line breaks."""
    return "".join(c if c.isprintable() else "\ufffd" for c in path.name)


def bytes_of(path: Path) -> bytes:
    """Read a file, as far as a goal could be.

    :raises OSError: if it can't be read, or is no file.
    """
    if path.exists() and not path.is_file():  # reading a pipe would wait for whoever writes to it
        raise OSError(None, "is not a regular file")
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def content_of(path: Path) -> bytes:
    """Read a file, or nothing of one that can't be read."""
    try:
        return bytes_of(path)
    except OSError:
        return b""


def reason_of(error: OSError) -> str:
    """Say why a file or a folder can't be read."""
    return (error.strerror or type(error).__name__).lower()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not even that can be known; reading it says why
        return False

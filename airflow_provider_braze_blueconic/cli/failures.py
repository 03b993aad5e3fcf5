"""How a command reports that it failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from airflow_provider_braze_blueconic.exceptions import SyncError

__all__ = ["in_one_sentence"]


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Print an error that was written for people, without its trace, and end with 1."""
    try:
        yield
    except SyncError as error:
        raise click.ClickException(str(error)) from None

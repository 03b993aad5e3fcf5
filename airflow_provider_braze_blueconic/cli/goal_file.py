"""The goal file argument of a command."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["goal_file_argument"]

goal_file_argument = click.argument("goal_file", type=click.Path(path_type=Path))

"""What is measured: the product of one worktree under the bench of another, as one folder for ``PYTHONPATH``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["BENCH", "PACKAGE", "Tree", "described_commit", "planted"]

PACKAGE = "airflow_provider_braze_blueconic"
BENCH = Path(__file__).resolve().parents[2]
"""The worktree of this bench."""

_ITS_OWN = (PACKAGE, "dags")
"""What is the product's: the package, and the example goals, in its own syntax."""


@dataclass(frozen=True)
class Tree:
    """A folder with a product and a bench.

    :param folder: for ``PYTHONPATH``, before everything else.
    :param product: folder of the package that is found there, without links.
    """

    folder: Path
    product: Path


@contextmanager
def planted(worktree: Path) -> Iterator[Tree]:
    """Give the product of a worktree and the bench of this one in one folder, for the length of a block.

    Links and no copies: an installed package, even an editable one, comes after ``PYTHONPATH``, so it is not found.

    :raises ValueError: if the worktree has no product.
    """
    product = (worktree / PACKAGE).resolve()
    if not (product / "__init__.py").exists():
        raise ValueError(f"{worktree} has no {PACKAGE}")
    with TemporaryDirectory(prefix="bench-tree-") as folder:
        for name in _ITS_OWN:
            (Path(folder) / name).symlink_to((worktree / name).resolve())
        (Path(folder) / "tests").symlink_to(BENCH / "tests")
        yield Tree(Path(folder), product)


def described_commit(worktree: Path) -> str:
    """Return the commit of a worktree, and whether anything there is changed since; ``unknown`` without git."""
    command = ["git", "-C", str(worktree), "describe", "--always", "--abbrev=7", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"

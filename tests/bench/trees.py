"""What is measured: the product of one worktree under the bench of another, as one folder for ``PYTHONPATH``."""

from __future__ import annotations

import compileall
import shutil
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

_OURS = ("tests/bench", "tests/support")


@dataclass(frozen=True)
class Tree:
    """A folder with a product and a bench.

    :param folder: for ``PYTHONPATH``, before everything else.
    """

    folder: Path

    @property
    def product(self) -> Path:
        """The folder of the package."""
        return self.folder / PACKAGE


@contextmanager
def planted(worktree: Path) -> Iterator[Tree]:
    """Give the product of a worktree and the bench of this one in one folder, for the length of a block.

    An installed package, even an editable one, comes after ``PYTHONPATH``, so it is not found. Copies, so that somebody
    can go on working while a measurement takes its hours; compiled, so that the first process doesn't pay for that.

    :raises ValueError: if the worktree has no product.
    """
    if not (worktree / PACKAGE / "__init__.py").exists():
        raise ValueError(f"{worktree} has no {PACKAGE}")
    with TemporaryDirectory(prefix="bench-tree-") as name:
        folder = Path(name).resolve()
        for source, names in ((worktree, _ITS_OWN), (BENCH, _OURS)):
            for part in names:
                shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(folder, quiet=1)
        yield Tree(folder)


def described_commit(worktree: Path) -> str:
    """Return the commit of a worktree, and whether anything there is changed since; ``unknown`` without git."""
    command = ["git", "-C", str(worktree), "describe", "--always", "--abbrev=7", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"

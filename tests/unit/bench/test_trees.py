"""The product of one worktree under the bench of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.trees import BENCH, PACKAGE, planted


def test_the_product_is_that_of_the_worktree_and_the_bench_is_ours(tmp_path: Path) -> None:
    # The test's own environment has the package installed, and this worktree is the folder that it runs in.
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").write_text("__version__ = 'another'")
    (tmp_path / "dags").mkdir()
    code = (
        f"import {PACKAGE}, tests.bench.trees as bench, tests.support.clock as support; "
        f"print({PACKAGE}.__version__, bench.__file__, support.__file__)"
    )

    with planted(tmp_path) as tree:
        environment = {**os.environ, "PYTHONPATH": str(tree.folder)}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], env=environment, cwd=BENCH, capture_output=True, text=True, check=True
        )

        version, bench, support = done.stdout.split()
        assert version == "another"
        assert Path(bench).read_text() == (BENCH / "tests" / "bench" / "trees.py").read_text()
        assert Path(support).is_relative_to(tree.folder)


def test_who_goes_on_working_does_not_change_what_is_measured(tmp_path: Path) -> None:
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").write_text("__version__ = 'before'")
    (tmp_path / "dags").mkdir()

    with planted(tmp_path) as tree:
        (tmp_path / PACKAGE / "__init__.py").write_text("__version__ = 'after'")

        assert (tree.product / "__init__.py").read_text() == "__version__ = 'before'"


def test_a_folder_without_the_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"has no {PACKAGE}"), planted(tmp_path):
        pass

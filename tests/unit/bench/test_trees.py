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
        f"import {PACKAGE}, tests.bench.trees as bench, pathlib; "
        f"print({PACKAGE}.__version__, pathlib.Path(bench.__file__).resolve())"
    )

    with planted(tmp_path) as tree:
        environment = {**os.environ, "PYTHONPATH": str(tree.folder)}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], env=environment, cwd=BENCH, capture_output=True, text=True, check=True
        )

    assert tree.product == tmp_path / PACKAGE
    assert done.stdout.split() == ["another", str(BENCH / "tests" / "bench" / "trees.py")]


def test_a_folder_without_the_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"has no {PACKAGE}"), planted(tmp_path):
        pass

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_braze_blueconic.exceptions import GoalError
from airflow_provider_braze_blueconic.goals.loading import load_goal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPORT = """\
goal: export
id: vip_to_braze
staging: s3://acme-sync/braze-blueconic
source: {segment: VIP customers}
identifiers:
  - {blueconic: crm_id, braze: external_id}
fields:
  - {from: property.firstname, to: first_name}
  - {from: property.points, to: loyalty_points}
"""
IMPORT = """\
goal: import
id: test_users_to_blueconic
staging: s3://acme-sync/braze-blueconic
source: {segment: Test Users, export: s3://acme-braze-exports}
identifiers:
  - {braze: external_id, blueconic: braze_external_id}
fields:
  - {from: first_name, to: firstname}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a goal file and give its path."""

    def writer(text: str, name: str = "goal.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return writer


@pytest.fixture
def problems(write: Callable[..., Path]) -> Callable[[str], list[str]]:
    """Load a goal text and give the problems as lines, without the file's name."""

    def read(text: str) -> list[str]:
        try:
            load_goal(write(text))
        except GoalError as error:
            return [str(problem).removeprefix("goal.yaml").removeprefix(":") for problem in error.problems]
        return []

    return read

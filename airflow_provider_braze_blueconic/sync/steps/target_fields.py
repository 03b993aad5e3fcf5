"""The target fields that a step writes next to its files, for later steps that need more than their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.sync.store.paths import fields_document
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["read_fields", "write_fields"]


def write_fields(workspace: Workspace, uri: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the target fields beside a step's files; none write nothing.

    :param uri: of the step's folder.
    """
    if rows:
        workspace.staging.write_bytes(fields_document(uri), json.dumps(list(rows), indent=1).encode())


def read_fields(workspace: Workspace, uri: str) -> list[dict[str, Any]]:
    """Read the target fields that a step wrote beside its files."""
    rows: list[dict[str, Any]] = json.loads(workspace.staging.read_bytes(fields_document(uri)))
    return rows

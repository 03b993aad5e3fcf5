"""A part of a goal as a pydantic model: frozen, without unknown keys, with our own messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from airflow_provider_braze_blueconic.goals.findings import Finding

__all__ = ["Part", "raise_findings", "written_keys"]


class Part(BaseModel):
    """What all models of goals have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def raise_findings(findings: Iterable[Finding]) -> None:
    """Refuse a part of which something is wrong."""
    found = tuple(findings)
    if found:
        text = "\n".join(f"{finding.where}: {finding.text()}" for finding in found)
        raise PydanticCustomError("goal_findings", "{text}", {"text": text, "findings": found})


def written_keys(part: BaseModel) -> dict[str, Any]:
    """Give the written keys alone: a ``value`` of null is something else than none."""
    return part.model_dump(by_alias=True, exclude_unset=True)

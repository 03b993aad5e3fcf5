"""A goal's plain values as a model, or all of its mistakes as our own messages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError

from airflow_provider_braze_blueconic.goals.checks import check_goal
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.sentences import DIRECTIONS, findings_of
from airflow_provider_braze_blueconic.goals.shown_values import shown
from airflow_provider_braze_blueconic.near_names import nearest

__all__ = ["validate_goal", "validate_part"]

_EXPECTED_DIRECTION = 'expected "export" (BlueConic to Braze) or "import" (Braze to BlueConic)'


def validate_goal(value: object) -> ExportGoal | ImportGoal | list[Finding]:
    """Make a goal of plain values.

    :param value: the values of a goal file.
    :return: the goal, or all that is wrong, without an order.
    """
    if not isinstance(value, Mapping):
        return [Finding("", f"expected the keys of a goal (goal, id, source, …); found {shown(value)}.")]
    findings: list[Finding] = []
    written = value.get("goal")
    direction = written if isinstance(written, str) else ""
    if direction not in DIRECTIONS:
        found = f"found {shown(written)}" if "goal" in value else "found none"
        near = nearest(direction, DIRECTIONS)
        findings.append(Finding("goal", f"{_EXPECTED_DIRECTION}; {found}.{near}"))
        meant = [name for name in DIRECTIONS if f'"{name}"' in near]
        if not meant:
            return findings
        direction = meant[0]
        value = {**value, "goal": direction}
    try:
        goal = DIRECTIONS[direction].model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        findings += findings_of(error, DIRECTIONS[direction])
        findings += check_goal(value)
        return list(dict.fromkeys(findings))
    return findings or goal


def validate_part(name: Literal["id", "name", "schedule", "labels", "timezone"], value: object) -> Any:
    """Read one setting of a goal that is broken elsewhere.

    :return: the value, or ``None`` if it is broken too.
    """
    try:
        return _part(name).validate_python(value)
    except ValidationError:
        return None


@cache
def _part(name: str) -> TypeAdapter[Any]:
    info = ExportGoal.model_fields[name]
    return TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]  # made at run time

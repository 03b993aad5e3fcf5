"""The ``refinement`` filter of ``GET /segments/{segment}/profiles``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.objectives import has_consent

__all__ = ["Refinement", "RefinementError"]

_GROUPS = ("AND", "OR")

_OPERATORS = (
    "IS_EMPTY",
    "CONTAINS_ANY",
    "CONTAINS_ALL",
    "IN_RANGE",
    "IN_LAST_DAYS",
    "IN_NEXT_DAYS",
    "IN_LAST_HOURS",
    "IN_NEXT_HOURS",
)

_RELATIVE = ("IN_LAST_DAYS", "IN_NEXT_DAYS", "IN_LAST_HOURS", "IN_NEXT_HOURS")
_OBJECTIVE_STATES = ("CONSENTED", "REFUSED", "UNKNOWN", "REFUSED_OR_UNKNOWN", "CONSENTED_OR_UNNEEDED")

_FIELDS = {
    "operator",
    "filters",
    "property",
    "groupProperty",
    "objective",
    "values",
    "fromValue",
    "toValue",
    "fromDate",
    "toDate",
    "daysCount",
    "hoursCount",
}

_LARGEST = 2_147_483_647  # fromValue and toValue are 32-bit integers: BlueConic OpenAPI definition, read 2026-11
_LookUp = Callable[[str], Sequence[str]]


class RefinementError(ValueError):
    """The filter is not one that BlueConic takes."""


class Refinement:
    """A parsed filter.

    :param text: the JSON of the query parameter.
    :raises RefinementError: when it is malformed.
    """

    def __init__(self, text: str) -> None:
        try:
            self._tree = json.loads(text)
        except ValueError as error:
            raise RefinementError("the refinement is not valid JSON") from error
        self.text = text
        self.properties: set[str] = set()
        self.depends_on_now = False
        self._check(self._tree)

    def holds(
        self,
        look_up: _LookUp,
        *,
        consented: Sequence[str],
        refused: Sequence[str],
        legislation: str,
        now: datetime,
    ) -> bool:
        """Tell whether a profile passes.

        :param look_up: returns the values of a property.
        """

        def holds(tree: Mapping[str, Any]) -> bool:
            operator: str = tree["operator"]
            if operator in _GROUPS:
                return (all if operator == "AND" else any)(holds(each) for each in tree["filters"])
            bare = operator.removeprefix("NOT_")
            if "objective" in tree:
                passes = _has_consent(tree, bare, consented=consented, refused=refused, legislation=legislation)
            else:
                passes = _matches(tree, bare, look_up(tree["property"]), now)
            return passes is not operator.startswith("NOT_")

        return holds(self._tree)

    def _check(self, tree: Any) -> None:
        if not isinstance(tree, dict):
            raise RefinementError("a filter must be a JSON object")
        unknown = tree.keys() - _FIELDS
        if unknown:
            raise RefinementError(f"unknown fields {', '.join(sorted(unknown))}")
        operator = tree.get("operator")
        if not isinstance(operator, str):
            raise RefinementError("operator is missing")
        if operator in _GROUPS:
            if not isinstance(tree.get("filters"), list):
                raise RefinementError(f"{operator} needs filters")
            for each in tree["filters"]:
                self._check(each)
            return
        bare = operator.removeprefix("NOT_")
        if bare not in _OPERATORS:
            raise RefinementError(f"unknown operator {operator}")
        self._check_subject(tree, bare)
        _check_operands(tree, bare)
        self.depends_on_now = self.depends_on_now or bare in _RELATIVE

    def _check_subject(self, tree: Mapping[str, Any], bare: str) -> None:
        subjects = [name for name in ("property", "groupProperty", "objective") if isinstance(tree.get(name), str)]
        if len(subjects) != 1:
            raise RefinementError("a filter needs one of property, groupProperty and objective")
        if subjects == ["groupProperty"]:
            raise RefinementError("the sandbox has no groups")
        if subjects == ["property"]:
            self.properties.add(tree["property"])
        elif tree["objective"] not in _OBJECTIVE_STATES or bare not in {"CONTAINS_ANY", "CONTAINS_ALL"}:
            raise RefinementError("unknown objective state or operator")


def _check_operands(tree: Mapping[str, Any], bare: str) -> None:
    if bare in {"CONTAINS_ANY", "CONTAINS_ALL"}:
        values = tree.get("values")
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise RefinementError(f"{bare} needs values, a list of texts")
    elif bare == "IN_RANGE":
        _check_range(tree)
    elif bare != "IS_EMPTY":
        name = "daysCount" if bare.endswith("DAYS") else "hoursCount"
        if not isinstance(tree.get(name), int):
            raise RefinementError(f"{bare} needs {name}")


def _check_range(tree: Mapping[str, Any]) -> None:
    given = [name for name in ("fromDate", "toDate", "fromValue", "toValue") if tree.get(name) is not None]
    if not given:
        raise RefinementError("IN_RANGE needs fromDate, toDate, fromValue or toValue")
    if len({name[-4:] == "Date" for name in given}) > 1:
        raise RefinementError("dates and values cannot be mixed")
    for name in given:
        if name.endswith("Date"):
            _moment(tree[name])
        elif not isinstance(tree[name], int) or abs(tree[name]) > _LARGEST:
            raise RefinementError(f"{name} must be a 32-bit integer")


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise RefinementError("a date must be ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _has_consent(
    tree: Mapping[str, Any], bare: str, *, consented: Sequence[str], refused: Sequence[str], legislation: str
) -> bool:
    def is_in_state(objective: str) -> bool:
        match tree["objective"]:
            case "CONSENTED":
                return objective in consented
            case "REFUSED":
                return objective in refused
            case "UNKNOWN":
                return objective not in consented and objective not in refused
            case "REFUSED_OR_UNKNOWN":
                return objective not in consented
            case _:
                return has_consent(objective, consented=consented, refused=refused, legislation=legislation)

    quantifier = any if bare == "CONTAINS_ANY" else all
    return quantifier(is_in_state(each) for each in tree.get("values", []))


def _matches(tree: Mapping[str, Any], bare: str, values: Sequence[str], now: datetime) -> bool:
    match bare:
        case "IS_EMPTY":
            return not values
        case "CONTAINS_ANY":
            return any(each in values for each in tree["values"])
        case "CONTAINS_ALL":
            return all(each in values for each in tree["values"])
        case _:
            low, high = _bounds(tree, bare, now)
            return any(low <= number <= high for number in map(_number, values) if number is not None)


def _bounds(tree: Mapping[str, Any], bare: str, now: datetime) -> tuple[float, float]:
    """Return the range of an operator in the property's own numbers; dates are Unix milliseconds."""
    if bare == "IN_RANGE":
        if tree.get("fromDate") is not None or tree.get("toDate") is not None:
            low = _milliseconds(_moment(tree["fromDate"])) if tree.get("fromDate") is not None else float("-inf")
            high = _milliseconds(_moment(tree["toDate"])) if tree.get("toDate") is not None else float("inf")
            return low, high
        low, high = tree.get("fromValue"), tree.get("toValue")  # type: ignore[assignment]  # checked on arrival
        return (float("-inf") if low is None else low), (float("inf") if high is None else high)
    span = timedelta(days=tree["daysCount"]) if bare.endswith("DAYS") else timedelta(hours=tree["hoursCount"])
    if "LAST" in bare:
        return _milliseconds(now - span), _milliseconds(now)
    return _milliseconds(now), _milliseconds(now + span)


def _milliseconds(moment: datetime) -> float:
    return moment.timestamp() * 1000


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

"""The filter of a segment read, as BlueConic's definition describes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.blueconic.refinement import Refinement, RefinementError

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_VALUES = {
    "city": ["Utrecht"],
    "interests": ["chess", "film"],
    "points": ["120"],
    "lastmodifieddate": ["1795348800000"],  # 2026-11-22T12:00:00Z
}


def _holds(tree: dict[str, Any]) -> bool:
    return Refinement(json.dumps(tree)).holds(
        lambda name: _VALUES.get(name, []), consented=["newsletter"], refused=["ads"], legislation="GDPR", now=_NOW
    )


def _date(start: str | None, end: str | None) -> dict[str, Any]:
    dates = {name: text for name, text in (("fromDate", start), ("toDate", end)) if text is not None}
    return {"property": "lastmodifieddate", "operator": "IN_RANGE", **dates}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(_date("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z"), True, id="inside dates"),
        pytest.param(_date("2026-11-22T14:00:00+01:00", None), False, id="offset counts"),
        pytest.param(_date("2026-11-22T13:00:00+01:00", None), True, id="bounds are included"),
        pytest.param(_date(None, "2026-11-22T11:59:59.999Z"), False, id="after the end"),
        pytest.param(
            {"property": "points", "operator": "IN_RANGE", "fromValue": 100, "toValue": 200}, True, id="number"
        ),
        pytest.param({"property": "points", "operator": "NOT_IN_RANGE", "toValue": 200}, False, id="not in range"),
        pytest.param({"property": "lastmodifieddate", "operator": "IN_LAST_HOURS", "hoursCount": 24}, True, id="hours"),
        pytest.param({"property": "lastmodifieddate", "operator": "IN_LAST_HOURS", "hoursCount": 23}, False, id="late"),
        pytest.param({"property": "lastmodifieddate", "operator": "IN_NEXT_DAYS", "daysCount": 9}, False, id="next"),
        pytest.param({"property": "city", "operator": "CONTAINS_ANY", "values": ["Ede", "Utrecht"]}, True, id="any"),
        pytest.param(
            {"property": "interests", "operator": "CONTAINS_ALL", "values": ["chess", "golf"]}, False, id="all"
        ),
        pytest.param({"property": "phone", "operator": "IS_EMPTY"}, True, id="empty"),
        pytest.param({"property": "phone", "operator": "NOT_IS_EMPTY"}, False, id="not empty"),
        pytest.param({"objective": "CONSENTED", "operator": "CONTAINS_ANY", "values": ["newsletter"]}, True, id="yes"),
        pytest.param({"objective": "REFUSED", "operator": "CONTAINS_ANY", "values": ["newsletter"]}, False, id="no"),
        pytest.param(
            {"objective": "CONSENTED_OR_UNNEEDED", "operator": "CONTAINS_ANY", "values": ["personalisation"]},
            False,
            id="needed in the zone and not given",
        ),
        pytest.param({"objective": "UNKNOWN", "operator": "CONTAINS_ALL", "values": ["survey"]}, True, id="unknown"),
        pytest.param(
            {
                "operator": "AND",
                "filters": [
                    {"property": "phone", "operator": "IS_EMPTY"},
                    {"operator": "OR", "filters": [{"property": "city", "operator": "IS_EMPTY"}]},
                ],
            },
            False,
            id="nested",
        ),
    ],
)
def test_filter_decides_as_described(tree: dict[str, Any], expected: bool) -> None:
    assert _holds(tree) is expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="not JSON"),
        pytest.param("[]", id="not an object"),
        pytest.param('{"property": "city"}', id="no operator"),
        pytest.param('{"property": "city", "operator": "EQUALS", "values": ["x"]}', id="unknown operator"),
        pytest.param('{"operator": "IS_EMPTY"}', id="no subject"),
        pytest.param('{"property": "city", "objective": "CONSENTED", "operator": "IS_EMPTY"}', id="two subjects"),
        pytest.param('{"property": "city", "operator": "CONTAINS_ANY", "values": [1]}', id="values are texts"),
        pytest.param('{"property": "points", "operator": "IN_RANGE"}', id="no bounds"),
        pytest.param('{"property": "points", "operator": "IN_RANGE", "fromValue": 3000000000}', id="above 32 bits"),
        pytest.param('{"property": "p", "operator": "IN_RANGE", "fromValue": 1, "toDate": "2026-01-01"}', id="mixed"),
        pytest.param('{"property": "p", "operator": "IN_RANGE", "fromDate": "yesterday"}', id="not a date"),
        pytest.param('{"property": "p", "operator": "IN_LAST_DAYS"}', id="no count"),
        pytest.param('{"property": "p", "operator": "IN_RANGE", "since": "2026-01-01"}', id="unknown field"),
        pytest.param('{"operator": "AND"}', id="no filters"),
        pytest.param('{"objective": "MAYBE", "operator": "CONTAINS_ANY", "values": []}', id="unknown state"),
    ],
)
def test_malformed_filter_is_refused(text: str) -> None:
    with pytest.raises(RefinementError):
        Refinement(text)

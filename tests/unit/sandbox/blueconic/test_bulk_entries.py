"""Which bodies of a bulk write are refused whole, and what an entry means that is not."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import Entry, RequestRefused, read_entries

_UNIQUE = ("crm_id", "email")
_STRATEGIES = ("ADD", "SET", "SET_IF_EMPTY", "REMOVE", "INCREMENT")
_MATCHING = [[{"id": "crm_id", "value": "crm-1"}]]


def _read(*entries: Any) -> list[Entry]:
    return read_entries(list(entries), unique=_UNIQUE, strategies=_STRATEGIES)


def _rule(**more: Any) -> dict[str, Any]:
    return {"matching": _MATCHING, "properties": [{"id": "city", "values": ["Ede"], "strategy": "SET", **more}]}


def test_entry_updates_and_triggers_by_default() -> None:
    (entry,) = _read({"matching": _MATCHING})

    assert (entry.strategy, entry.trigger, entry.domain_group, entry.level) == ("UPDATE", True, "DEFAULT", "PERSONAL")


@pytest.mark.parametrize("document", [{}, {"entries": []}, "text", None, 5])
def test_body_must_be_a_list(document: Any) -> None:
    with pytest.raises(RequestRefused):
        read_entries(document, unique=_UNIQUE, strategies=_STRATEGIES)


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        pytest.param("text", "[0]", id="entry is no object"),
        pytest.param({}, "[0].profileId", id="no profile is meant"),
        pytest.param({"matching": []}, "[0].profileId", id="nothing to match"),
        pytest.param({"matching": [[]]}, "[0].matching[0]", id="nothing to match inside"),
        pytest.param({"matching": [{"id": "crm_id", "value": "1"}]}, "[0].matching", id="one list only"),
        pytest.param(
            {"matching": [[{"id": "city", "value": "Ede"}]]}, "[0].matching[0][0].id", id="no unique identifier"
        ),
        pytest.param({"matching": [[{"id": "crm_id", "value": 5}]]}, "[0].matching[0][0]", id="value is no text"),
        pytest.param({"matching": [[{"id": "crm_id"}]]}, "[0].matching[0][0]", id="no value"),
        pytest.param({"matching": _MATCHING, "strategy": "INSERT"}, "[0].strategy", id="unknown strategy"),
        pytest.param({"matching": _MATCHING, "strategy": "DELETE"}, "[0].profileId", id="deletion by matching"),
        pytest.param({"matching": _MATCHING, "privacyLegislation": "MARS"}, "[0].privacyLegislation", id="zone"),
        pytest.param({"matching": _MATCHING, "permissionLevel": "FULL"}, "[0].permissionLevel", id="level"),
        pytest.param({"matching": _MATCHING, "identifier": 7}, "[0].identifier", id="identifier is no text"),
        pytest.param(
            {"matching": _MATCHING, "triggerOnPropertyChange": "no"}, "[0].triggerOnPropertyChange", id="no boolean"
        ),
        pytest.param({"matching": _MATCHING, "setProperties": {}}, "[0].setProperties", id="shape of old"),
        pytest.param({"matching": _MATCHING, "timeline": [{}]}, "[0].timeline", id="timeline"),
        pytest.param({"matching": _MATCHING, "restriction": {"segment": "x"}}, "[0].restriction.segment", id="limit"),
        pytest.param({"matching": _MATCHING, "properties": {}}, "[0].properties", id="properties are no list"),
        pytest.param(_rule(strategy="SUM"), "[0].properties[0].strategy", id="word of another tenant"),
        pytest.param(_rule(strategy=None), "[0].properties[0].strategy", id="no word"),
        pytest.param(_rule(values=[5]), "[0].properties[0].values", id="number as a value"),
        pytest.param(_rule(values="Ede"), "[0].properties[0].values", id="value without a list"),
        pytest.param(_rule(values=None), "[0].properties[0].values", id="no values"),
        pytest.param(_rule(restriction="NEW"), "[0].properties[0].restriction", id="unknown restriction"),
        pytest.param(_rule(name="City"), "[0].properties[0].name", id="unknown field of a rule"),
    ],
)
def test_bad_entry_is_named_with_its_place(entry: Any, place: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        _read(entry)

    assert place in refused.value.faults


def test_all_bad_entries_are_named_at_once() -> None:
    with pytest.raises(RequestRefused) as refused:
        _read({"matching": _MATCHING}, {}, {"matching": _MATCHING}, "text")

    assert list(refused.value.faults) == ["[1].profileId", "[3]"]

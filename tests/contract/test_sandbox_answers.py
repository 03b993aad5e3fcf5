"""The sandbox's real answers fit the vendors' own definitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.blueconic.legislations import PRIVACY_LEGISLATIONS
from airflow_provider_braze_blueconic.sandbox.braze.keys import READ_ONLY_API_KEY
from airflow_provider_braze_blueconic.sandbox.braze.workspace import campaign_id, segment_id
from airflow_provider_braze_blueconic.sandbox.exchanges import Exchange
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.openapi import ContractError, is_described, needs_specs, validate_request, validate_response
from tests.support.sandbox import blueconic_headers, braze_headers, running_sandbox

pytestmark = needs_specs

_LISTS_KEY = "sandbox-braze-key-lists"
_ALL_EXPANSIONS = ["profiles.profile.permissions", "profiles.profile.segments", "profiles.profile.replace"]
_NOT_DESCRIBED = {"/users/track/bulk", "/custom_attributes"}
"""Endpoints of Braze's docs that the community definition does not have yet."""


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=200, record=True) as running:
        keys = {**running.faults.braze.keys, _LISTS_KEY: ("segments.list",)}
        running.faults.braze = replace(running.faults.braze, keys=keys)
        yield running


def _blueconic(path: str, **options: Any) -> Callable[[Sandbox], requests.Response]:
    method = options.pop("method", "GET")
    return lambda box: requests.request(
        method,
        f"{box.blueconic_url}/rest/v2{path}",
        headers={**blueconic_headers(box), **options.get("headers", {})},
        timeout=10,
        **{name: each for name, each in options.items() if name != "headers"},
    )


def _braze(path: str, *, key: str | None = None, method: str = "GET", **options: Any) -> Callable[[Sandbox], Any]:
    headers = {**(braze_headers(key) if key else braze_headers()), **options.pop("headers", {})}
    return lambda box: requests.request(method, f"{box.braze_url}{path}", headers=headers, timeout=10, **options)


def _track(*attributes: dict[str, Any], **options: Any) -> Callable[[Sandbox], Any]:
    return _braze("/users/track", method="POST", json={"attributes": list(attributes)}, **options)


def _export(segment: str, *, key: str | None = None, **more: Any) -> Callable[[Sandbox], Any]:
    wish = {"segment_id": segment_id(segment), "fields_to_export": ["external_id", "email"], **more}
    return _braze("/users/export/segment", method="POST", json=wish, key=key)


def _token(**form: str) -> Callable[[Sandbox], requests.Response]:
    return lambda box: requests.post(f"{box.blueconic_url}/rest/v2/oauth/token", data=form, timeout=10)


_REFINEMENT = json.dumps(
    {
        "property": "lastmodifieddate",
        "operator": "IN_RANGE",
        "fromDate": "2020-01-01T00:00:00.000Z",
        "toDate": "2030-01-01T00:00:00.000Z",
    }
)
_VIPS = "/segments/seg-vip/profiles"
_ENTRY = {
    "identifier": "row-1",
    "strategy": "UPSERT",
    "matching": [
        [{"id": "braze_external_id", "value": "crm-0000001"}],
        [{"id": "crm_id", "value": "crm-0000001"}, {"id": "email", "value": "ann@example.com"}],
    ],
    "privacyLegislation": "GDPR",
    "permissionLevel": "PERSONAL",
    "domainGroup": "DEFAULT",
    "triggerOnPropertyChange": False,
    "triggerOnEventAdded": False,
    "properties": [
        {"id": "braze_tags", "values": ["vip", "beta"], "strategy": "ADD", "restriction": "ALL_PROFILES"},
        {"id": "braze_revenue", "values": ["12.50"], "strategy": "INCREMENT"},
        {"id": "braze_city", "values": [], "strategy": "SET"},
        {"id": "crm_id", "values": ["crm-0000001"], "strategy": "SET", "restriction": "NEW_PROFILES_ONLY"},
        {"id": "points", "values": ["no number"], "strategy": "SET_IF_EMPTY"},
        {"id": "braze_last_survey", "values": ["yesterday"], "strategy": "SET"},
    ],
}
_GOOD = {"external_id": "crm-0000001", "first_name": "Ann", "loyalty_points": 5, "_update_existing_only": True}
_BAD = {"external_id": "crm-0000002", "email": "no address"}

CALLS: dict[str, tuple[Callable[[Sandbox], requests.Response], int]] = {
    "token": (
        _token(grant_type="client_credentials", client_id="sandbox-client", client_secret="sandbox-secret"),
        200,
    ),
    "token, wrong secret": (
        _token(grant_type="client_credentials", client_id="sandbox-client", client_secret="wrong"),
        401,
    ),
    "token, other grant": (
        _token(grant_type="refresh_token", client_id="sandbox-client", client_secret="sandbox-secret"),
        400,
    ),
    "blueconic segments": (_blueconic("/segments", params={"startIndex": 2, "count": 5}), 200),
    "blueconic segments, no token": (_blueconic("/segments", headers={"Authorization": ""}), 401),
    "segment profiles": (_blueconic(_VIPS), 200),
    "segment profiles, all parameters": (
        _blueconic(
            _VIPS,
            params={
                "count": 500,
                "cursor": "*",
                "profileProperty": ["email", "points", "lastmodifieddate"],
                "expand": _ALL_EXPANSIONS,
                "refinement": _REFINEMENT,
            },
        ),
        200,
    ),
    "segment profiles, empty segment": (_blueconic("/segments/seg-nobody/profiles"), 200),
    "segment profiles, unknown segment": (_blueconic("/segments/seg-what/profiles"), 404),
    "segment profiles, page too large": (_blueconic(_VIPS, params={"count": 1_000_001}), 400),
    "profile properties": (_blueconic("/profileProperties", params={"count": 100}), 200),
    "profile property": (_blueconic("/profileProperties/points"), 200),
    "profile property, unknown": (_blueconic("/profileProperties/nothing"), 404),
    "put profile property": (
        _blueconic(
            "/profileProperties/braze_country",
            method="PUT",
            json={"id": "braze_country", "name": "Braze country", "filterType": "SELECT", "mergeStrategy": "LATEST"},
        ),
        200,
    ),
    "objectives": (_blueconic("/objectives"), 200),
    "dialogues": (_blueconic("/dialogues"), 200),
    "profile, unknown": (_blueconic("/profiles/nobody"), 404),
    "search profiles": (_blueconic("/profiles", params={"property": "crm_id", "value": "crm-0000001"}), 200),
    "search profiles, two properties": (
        _blueconic("/profiles", params={"property": ["crm_id", "email"], "value": ["crm-0000001", "a@example.com"]}),
        200,
    ),
    "search profiles, not indexed": (_blueconic("/profiles", params={"property": "city", "value": "Ede"}), 501),
    "search profiles, no value": (_blueconic("/profiles", params={"property": "crm_id"}), 400),
    "put profiles": (_blueconic("/profiles", method="PUT", json=[_ENTRY]), 200),
    "put profiles, with objectives": (
        _blueconic("/profiles", method="PUT", params={"objectiveIds": "newsletter,personalisation"}, json=[_ENTRY]),
        200,
    ),
    "put profiles, every zone": (
        _blueconic(
            "/profiles",
            method="PUT",
            json=[
                {**_ENTRY, "matching": [[{"id": "crm_id", "value": f"crm-{zone}"}]], "privacyLegislation": zone}
                for zone in sorted(PRIVACY_LEGISLATIONS)
            ],
        ),
        200,
    ),
    "put profiles, bad entries": (_blueconic("/profiles", method="PUT", json=[{}, {"strategy": "INSERT"}]), 400),
    "put profiles, no token": (
        _blueconic("/profiles", method="PUT", json=[], headers={"Authorization": ""}),
        401,
    ),
    "put profiles, too many": (_blueconic("/profiles", method="PUT", json=[_ENTRY] * 1001), 413),
    "track": (_track(_GOOD), 201),
    "track, partly accepted": (_track(_GOOD, _BAD), 201),
    "track, nothing accepted": (_track(_BAD), 400),
    "track, too many": (_track(*[_GOOD] * 76), 400),
    "track, wrong key": (_track(_GOOD, key="wrong"), 401),
    "track, no permission": (_track(_GOOD, key=READ_ONLY_API_KEY), 403),
    "track, content type": (
        _braze("/users/track", method="POST", data=b"{}", headers={"Content-Type": "text/plain"}),
        415,
    ),
    "track, too large": (_track({"external_id": "big", "text": "x" * 4_000_000}), 413),
    "braze segments": (_braze("/segments/list", params={"page": 0, "sort_direction": "desc"}), 200),
    "braze segment details": (
        _braze("/segments/details", params={"segment_id": segment_id("BlueConic Test Users")}),
        200,
    ),
    "braze segment sizes": (
        _braze("/segments/data_series", params={"segment_id": segment_id("All users"), "length": 3}),
        200,
    ),
    "braze segment sizes, unknown segment": (
        _braze("/segments/data_series", params={"segment_id": "nothing", "length": 3}),
        400,
    ),
    "campaigns": (_braze("/campaigns/list"), 200),
    "campaigns, archived ones too": (
        _braze("/campaigns/list", params={"page": 0, "include_archived": "true", "sort_direction": "desc"}),
        200,
    ),
    "campaign details": (_braze("/campaigns/details", params={"campaign_id": campaign_id("Win back")}), 200),
    "export by id": (
        _braze(
            "/users/export/ids", method="POST", json={"external_ids": ["crm-0000001"], "fields_to_export": ["email"]}
        ),
        201,
    ),
    "export a segment": (
        _export("Newsletter subscribers", custom_attributes_to_export=["tags"], output_format="gzip"),
        201,
    ),
    "export a segment, unknown field": (_export("Newsletter subscribers", fields_to_export=["shoe_size"]), 400),
    "export a segment, unknown segment": (_export("nothing"), 400),
    "export a segment, wrong key": (_export("All users", key="wrong"), 401),
    "export a segment, no permission": (_export("All users", key=_LISTS_KEY), 403),
}


@pytest.mark.parametrize(("call", "status"), CALLS.values(), ids=CALLS.keys())
def test_answer_fits_the_definition(box: Sandbox, call: Callable[[Sandbox], requests.Response], status: int) -> None:
    answer = call(box)

    assert answer.status_code == status
    _check(box.exchanges[-1])


def test_single_profile_fits_the_definition(box: Sandbox) -> None:
    profile_id = next(iter(box.blueconic.profiles))

    answer = _blueconic(f"/profiles/{profile_id}")(box)

    assert answer.status_code == 200
    _check(box.exchanges[-1])


def test_rate_limited_answer_fits_the_definition(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "status", path="/users/track", status=429, times=1))

    answer = _track(_GOOD)(box)

    assert answer.status_code == 429
    _check(box.exchanges[-1])


def test_export_of_a_segment_that_is_being_exported_fits_the_definition(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, export_seconds=60)
    segment = "Empty segment"

    first, second = _export(segment)(box), _export(segment)(box)

    assert (first.status_code, second.status_code) == (201, 429)
    _check(box.exchanges[-1])


def test_export_without_own_storage_fits_the_definition(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, own_storage=False, export_seconds=0.0)

    answer = _export("BlueConic Test Users")(box)

    assert "url" in answer.json()
    _check(box.exchanges[-1])


def test_every_endpoint_of_the_sandbox_is_checked(box: Sandbox) -> None:
    """An endpoint that is added without a call here would go unchecked."""
    for call, _ in CALLS.values():
        call(box)
    checked = {(exchange.service, exchange.method, _template(exchange.url)) for exchange in box.exchanges}

    served = {
        (gate.service, method, route.path)
        for gate in (box.braze_gate, box.blueconic_gate)
        for route in gate.routes()
        for method in route.methods
        if not route.path.startswith("/sandbox/") and route.path not in _NOT_DESCRIBED
    }

    assert served - {("blueconic", "GET", "/rest/v2/profiles/{profile_id}")} <= checked


def test_every_state_of_a_bulk_write_fits_the_definition() -> None:
    with running_sandbox(profiles=60, record=True) as box:
        box.faults.blueconic = replace(box.faults.blueconic, pii_rights=False, skipped=("skipped",))
        profile_id = next(iter(box.blueconic.segments["seg-vip"].members))
        box.blueconic.change(profile_id, {}, legislation="GDPR", consented=["newsletter"], refused=[])
        known: dict[str, Any] = {"profileId": profile_id, "strategy": "UPDATE"}
        tag = {"id": "braze_tags", "values": ["a"], "strategy": "ADD"}
        entries: list[dict[str, Any]] = [
            {**known, "properties": [tag]},
            {**known, "properties": [tag]},
            {**known, "properties": [{"id": "firstname", "values": ["Ann"], "strategy": "SET"}]},
            {**known, "restriction": {"isMemberOfSegment": "seg-nobody"}},
            {**known, "identifier": "skipped"},
            {"profileId": "nobody", "strategy": "UPDATE"},
            {"matching": [[{"id": "crm_id", "value": "new"}]], "strategy": "UPSERT", "privacyLegislation": "GDPR"},
            {"matching": [[{"id": "crm_id", "value": "new"}]], "strategy": "UPSERT", "privacyLegislation": "CCPA"},
            {**known, "strategy": "DELETE"},
        ]

        answer = _blueconic("/profiles", method="PUT", json=entries, params={"objectiveIds": "newsletter"})(box)

        assert [result["state"] for result in answer.json()] == [
            "MODIFIED",
            "UNCHANGED",
            "UNAUTHORIZED",
            "RESTRICTION_MISMATCH",
            "SKIPPED",
            "NOTFOUND",
            "CONSENT_MISMATCH",
            "CREATED",
            "DELETED",
        ]
        _check(box.exchanges[-1])


@pytest.mark.parametrize("status", [429, 503])
def test_turned_away_bulk_write_fits_the_definition(box: Sandbox, status: int) -> None:
    box.faults.add(Fault("blueconic", "status", path="/rest/v2/profiles", method="PUT", status=status, times=1))

    answer = _blueconic("/profiles", method="PUT", json=[_ENTRY])(box)

    assert answer.status_code == status
    _check(box.exchanges[-1])


def test_bulk_write_without_its_scope_fits_the_definition() -> None:
    with running_sandbox(profiles=20, record=True) as box:
        box.faults.blueconic = replace(box.faults.blueconic, scopes=("read:profiles",))

        answer = _blueconic("/profiles", method="PUT", json=[_ENTRY])(box)

        assert answer.status_code == 403
        _check(box.exchanges[-1])


@pytest.mark.parametrize("path", sorted(_NOT_DESCRIBED))
def test_endpoint_missing_in_the_definition_is_still_missing(path: str) -> None:
    """When this fails, the definition has caught up: check the endpoint above."""
    assert not is_described("braze", "POST" if "track" in path else "GET", path)


def test_unknown_name_in_an_answer_is_found() -> None:
    """The checks themselves work: an undeclared property, a wrong type and an undeclared status are each reported."""
    body = json.dumps({"totalResults": "12", "segment": []}).encode()

    with pytest.raises(ContractError) as failure:
        validate_response("blueconic", "GET", "/rest/v2/segments", 200, {"content-type": "application/json"}, body)

    assert "totalResults" in str(failure.value)
    assert "segment" in str(failure.value)
    with pytest.raises(ContractError, match="status 418"):
        validate_response("blueconic", "GET", "/rest/v2/segments", 418, {}, b"")


def test_unknown_query_parameter_in_a_request_is_found() -> None:
    with pytest.raises(ContractError, match="pageSize is not declared"):
        validate_request("blueconic", "GET", "/rest/v2/segments?pageSize=5", {})


def _check(exchange: Exchange) -> None:
    url, body = exchange.url, exchange.response_body
    assert exchange.status is not None
    validate_response(exchange.service, exchange.method, url, exchange.status, exchange.response_headers, body)
    if exchange.status < 400:
        validate_request(exchange.service, exchange.method, url, exchange.request_headers, exchange.request_body)


def _template(url: str) -> str:
    path = url.partition("?")[0]
    for known, template in (
        ("/rest/v2/segments/seg-", "/rest/v2/segments/{segment_id}/profiles"),
        ("/rest/v2/profileProperties/", "/rest/v2/profileProperties/{property_id}"),
    ):
        if path.startswith(known):
            return template
    return path

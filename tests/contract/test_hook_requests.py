"""What the hooks send, checked against the vendors' own definitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import modified_between
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.sync.blueconic.objects import BODY_AFTER, BODY_BEFORE, profiles_sql
from tests.support.odd_server import OddServer, answer
from tests.support.openapi import ContractError, Vendor, needs_specs, validate_request
from tests.support.sandbox import running_sandbox

pytestmark = needs_specs

# (vendor, method and path) -> what the definition says of it, and why we send it all the same.
# A row that is no longer needed fails the test too.
DEVIATIONS: dict[tuple[Vendor, str], tuple[str, str]] = {
    ("braze", "GET /custom_attributes"): (
        "is not in the definition",
        "docs 'GET /custom_attributes', read 2026-11; the community's definition is older",
    ),
    ("braze", "POST /users/track/bulk"): (
        "is not in the definition",
        "docs 'POST /users/track/bulk', read 2026-11; a limited beta that the definition leaves out",
    ),
}


@dataclass(frozen=True)
class Sent:
    vendor: Vendor
    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def title(self) -> str:
        return f"{self.method} {self.url.partition('?')[0]}"


async def _track(hook: BrazeHook) -> None:
    body = json.dumps({"attributes": [{"external_id": "u-1", "_update_existing_only": True, "points": 3}]}).encode()
    for bulk in (False, True):
        async with hook.track_sender(bulk=bulk) as sender:
            await sender.send(body)


def _use_braze(hook: BrazeHook) -> None:
    segment = hook.resolve_segment(hook.list_segments()[0].name)
    campaign = hook.list_campaigns(include_archived=True)[0]
    hook.segment_details(segment.id)
    hook.segment_size(segment.id)
    hook.campaign_details(campaign.id)
    hook.list_custom_attributes()
    hook.test_connection()
    asyncio.run(_track(hook))


async def _write_profiles(hook: BlueConicHook) -> None:
    columns = ["field_city", "field_tags", "increase_points"]
    row = """SELECT '{"braze_id":"b1"}' AS identifier, 'change' AS kind, TRUE AS to_send,
        '[[{"id":"crm_id","value":"crm-1"}],[{"id":"email","value":"a@b.example"}]]' AS matching,
        '["Ede"]' AS field_city, 'null' AS field_tags, '["5"]' AS increase_points"""
    merges = {"city": "set_if_empty", "tags": "set_or_clear", "points": "sum"}
    with duckdb.connect() as connection:
        sqls = [
            profiles_sql(
                f"({row})",
                columns,
                merges=merges,
                creates=creates,
                links=["crm_id", "email"],
                legislation="GDPR",
                domain_group="DEFAULT",
            )
            for creates in (True, False)
        ]
        entries = [connection.execute(sql).fetchall()[0][1].encode() for sql in sqls]
    async with hook.profiles_sender(objectives=["newsletter"], sums=SumWord("INCREMENT")) as sender:
        await sender.send(BODY_BEFORE + b",".join(entries) + BODY_AFTER)


def _use_blueconic(hook: BlueConicHook) -> None:
    segment = hook.resolve_segment(hook.list_segments()[0].id)
    now = datetime.now(UTC)
    for refinement in (None, modified_between(now - timedelta(days=1), now)):
        list(
            hook.iter_segment_profiles(
                segment.id,
                properties=["email", "crm_id"],
                expand=["permissions", "segments"],
                refinement=refinement,
                page_size=20,
            )
        )
    hook.list_profile_properties()
    hook.list_objectives()
    hook.interaction_names()
    hook.test_connection()
    hook.save_property("braze_contract", "Braze contract", "RANGE")
    asyncio.run(_write_profiles(hook))


@pytest.fixture(scope="module")
def sent() -> Iterator[list[Sent]]:
    with pytest.MonkeyPatch.context() as patch, OddServer() as braze_export:
        found: list[Sent] = []
        with running_sandbox(profiles=50, record=True) as box:
            for name, text in box.connections().items():
                patch.setenv(name, text)
            _use_braze(BrazeHook())
            _use_blueconic(BlueConicHook())
            found += [
                Sent(one.service, one.method, one.url, one.request_headers, one.request_body) for one in box.exchanges
            ]
        braze_export.on("POST /users/export/segment", answer({"message": "success", "object_prefix": "p-1"}))
        patch.setenv(
            "AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": braze_export.url, "password": "k-123456"})
        )
        BrazeHook("x").export_segment("s-1", fields=["email"], custom_attributes=["points"])
        found += [Sent("braze", one.method, one.path, one.headers, one.body) for one in braze_export.seen]
        yield found


def test_every_endpoint_that_the_hooks_use_was_called(sent: list[Sent]) -> None:
    assert sorted({one.title for one in sent if one.vendor == "braze"}) == [
        "GET /campaigns/details",
        "GET /campaigns/list",
        "GET /custom_attributes",
        "GET /segments/data_series",
        "GET /segments/details",
        "GET /segments/list",
        "POST /users/export/segment",
        "POST /users/track",
        "POST /users/track/bulk",
    ]
    assert {one.title.partition("/rest/v2")[2] for one in sent if one.vendor == "blueconic"} >= {
        "/dialogues",
        "/oauth/token",
        "/objectives",
        "/profileProperties",
        "/profileProperties/braze_contract",
        "/profiles",
        "/segments",
    }
    assert any(one.url.partition("?")[0].endswith("/profiles") for one in sent)


def test_every_request_is_one_that_the_vendor_describes(sent: list[Sent]) -> None:
    faults: dict[tuple[Vendor, str], str] = {}
    for one in sent:
        try:
            validate_request(one.vendor, one.method, one.url, one.headers, one.body)
        except ContractError as error:
            faults[one.vendor, one.title] = str(error)

    unexpected = {place: fault for place, fault in faults.items() if DEVIATIONS.get(place, ("\0",))[0] not in fault}
    assert unexpected == {}
    assert set(DEVIATIONS) == set(faults)


def test_every_request_carries_its_key_in_the_header(sent: list[Sent]) -> None:
    for one in sent:
        headers = {name.lower(): value for name, value in one.headers.items()}
        if not one.url.endswith("/oauth/token"):
            assert headers["authorization"].startswith("Bearer "), one.title
        assert headers["user-agent"].startswith("airflow-provider-braze-blueconic/"), one.title

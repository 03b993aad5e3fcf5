"""An import goal reads paths: what is valid, and what a sum can be made of."""

from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.goals.identifiers import import_identifier_problem
from airflow_provider_braze_blueconic.goals.import_checks import check_import_field
from airflow_provider_braze_blueconic.goals.sources import import_source_problem


@pytest.mark.parametrize(
    "path",
    [
        "email",
        "custom_attributes.address.city",
        'custom_attributes["a.b"]',
        "purchases[name=sku1].count",
        "custom_events[name=x].last",
        "devices",
        "devices.model",
        "user_aliases",
        "user_aliases[alias_label=crm].alias_name",
        "campaigns_received",
        "canvases_received.name",
    ],
)
def test_a_path_is_a_source_of_an_import(path: str) -> None:
    assert import_source_problem(path) is None


@pytest.mark.parametrize(
    "text",
    ["external_id", "user_alias", "custom_attributes.crm", "custom_attributes.ids.crm", 'custom_attributes["a.b"]'],
)
def test_a_user_is_recognised_by_an_identifier_or_a_custom_attribute(text: str) -> None:
    assert import_identifier_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("external", 'expected external_id, braze_id, email, phone, user_alias or custom_attributes.<name>; found'),
        ("purchases.name", "expected external_id,"),
        ("custom_attributes.", "expected external_id,"),
        ("custom_attributes.a[0]", 'can\'t be read from "[0]" on.'),
    ],
)  # fmt: skip
def test_a_user_is_not_recognised_by_anything_else(text: str, problem: str) -> None:
    assert problem in (import_identifier_problem(text) or "")


@pytest.mark.parametrize(
    "path", ["total_revenue", "purchases[name=x].count", "custom_attributes.points", "custom_attributes.a.b"]
)
def test_a_number_and_what_may_be_one_can_be_summed(path: str) -> None:
    assert list(check_import_field({"from": path, "to": "n", "merge": "sum", "of": "value"})) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("email", '"sum" needs a number; "email" is a string in Braze.'),
        ("purchases", '"sum" needs a number; "purchases" is an array in Braze.'),
        ("purchases[name=x].last", '"sum" needs a number; "purchases[name=x].last" is a time in Braze.'),
    ],
)
def test_what_is_no_number_can_not_be_summed(path: str, problem: str) -> None:
    (finding,) = check_import_field({"from": path, "to": "n", "merge": "sum", "of": "increase"})

    assert finding.message == problem

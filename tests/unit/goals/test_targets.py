from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.goals.schedules import PRESETS
from airflow_provider_braze_blueconic.goals.targets import (
    BRAZE_ATTRIBUTES,
    BRAZE_EXPORT_FIELDS,
    SUBSCRIPTION_GROUP_PREFIX,
    braze_attribute,
    braze_name_hint,
    braze_name_problem,
    braze_value_problem,
)
from airflow_provider_braze_blueconic.sync import braze_values


@pytest.mark.parametrize("attribute", BRAZE_ATTRIBUTES.values(), ids=BRAZE_ATTRIBUTES)
def test_only_writable_names_are_taken(attribute: object) -> None:
    assert attribute in BRAZE_ATTRIBUTES.values()
    name = next(name for name, item in BRAZE_ATTRIBUTES.items() if item is attribute)

    assert (braze_name_problem(name) is None) is BRAZE_ATTRIBUTES[name].writable


def test_every_reserved_name_names_its_page() -> None:
    assert all("read 2026-11" in attribute.source for attribute in BRAZE_ATTRIBUTES.values())


def test_mapping_knows_a_rule_for_each_writable_reserved_name() -> None:
    writable = {name for name, attribute in BRAZE_ATTRIBUTES.items() if attribute.writable}

    assert writable == set(braze_values._STANDARD_RULES)
    assert SUBSCRIPTION_GROUP_PREFIX == braze_values.SUBSCRIPTION_GROUP_PREFIX


@pytest.mark.parametrize("name", ["loyalty_points", "Favourite Store", "vip", "emails", "citizenship", "été"])
def test_other_names_are_custom_attributes(name: str) -> None:
    assert braze_name_problem(name) is None
    assert braze_attribute(name) is None


@pytest.mark.parametrize("name", ["birthday", "Birthday", "birth_date", "date_of_birth"])
def test_another_name_for_the_date_of_birth_is_a_hint_and_no_mistake(name: str) -> None:
    assert braze_name_problem(name) is None
    assert braze_name_hint(name) == 'becomes a custom attribute. Did you mean "dob"?'


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("avatar", '"image_url"'),
        ("profilePicture", '"image_url"'),
        ("locale", '"language"'),
        ("bio", "Braze's profiles have a bio"),
        ("phoneNumber", '"phone"'),
        ("surname", '"last_name"'),
        ("city", '"home_city"'),
        ("sex", '"gender"'),
    ],
)
def test_what_other_systems_call_a_standard_attribute_is_hinted_at(name: str, meant: str) -> None:
    assert braze_name_problem(name) is None
    assert meant in (braze_name_hint(name) or "")


@pytest.mark.parametrize("name", ["dob", "language", "loyalty_points", "birthday_voucher", "Email", f"x{'y' * 300}"])
def test_other_names_get_no_hint(name: str) -> None:
    assert braze_name_hint(name) is None


@pytest.mark.parametrize("name", ["é" * 239, "x" * 255, "字" * 159])
def test_a_name_that_braze_keeps_whole_is_taken(name: str) -> None:
    assert braze_name_problem(name) is None


@pytest.mark.parametrize("name", ["é" * 240, "字" * 160, "x" * 256])
def test_a_name_that_braze_would_cut_off_is_refused(name: str) -> None:
    assert "Braze cuts a name off" in (braze_name_problem(name) or "")


@pytest.mark.parametrize("name", ["", " vip", "vip\n", "x" * 256])
def test_text_that_is_no_name_is_refused(name: str) -> None:
    assert braze_name_problem(name)


def test_text_that_braze_would_silently_drop_is_refused() -> None:
    assert braze_value_problem("tier", "x" * 255) is None
    assert braze_value_problem("tier", "x" * 256) == "the text has 256 characters; Braze stores at most 255 here."
    assert braze_value_problem("image_url", "x" * 1024) is None


def test_clearing_is_always_possible() -> None:
    assert all(braze_value_problem(name, None) is None for name in BRAZE_ATTRIBUTES)


def test_export_fields_are_those_of_the_vendors_table() -> None:
    assert len(BRAZE_EXPORT_FIELDS) == 32
    assert "custom_attributes" not in BRAZE_EXPORT_FIELDS


@pytest.mark.parametrize("module", ["airflow.sdk.definitions.timetables._cron"])
def test_presets_are_those_of_airflow(module: str) -> None:
    cron = pytest.importorskip(module)

    assert set(PRESETS) == set(cron.CRON_PRESETS)

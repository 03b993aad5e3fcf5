from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.goals.schedules import PRESETS
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    BRAZE_ATTRIBUTES,
    braze_attribute,
    braze_value_problem,
    is_standard,
)
from airflow_provider_braze_blueconic.vendors.braze_names import braze_name_problem


@pytest.mark.parametrize("attribute", BRAZE_ATTRIBUTES.values(), ids=BRAZE_ATTRIBUTES)
def test_only_writable_names_are_taken(attribute: object) -> None:
    assert attribute in BRAZE_ATTRIBUTES.values()
    name = next(name for name, item in BRAZE_ATTRIBUTES.items() if item is attribute)

    assert (braze_name_problem(name) is None) is BRAZE_ATTRIBUTES[name].writable


def test_every_reserved_name_names_its_page() -> None:
    assert all("read 2026-11" in attribute.source for attribute in BRAZE_ATTRIBUTES.values())


def test_mapping_knows_a_rule_for_each_writable_reserved_name() -> None:
    writable = {name for name, attribute in BRAZE_ATTRIBUTES.items() if attribute.writable}

    assert writable == {name for name in BRAZE_ATTRIBUTES if is_standard(name)}
    assert all("Custom" not in braze_rule(name, "string").source for name in writable)


@pytest.mark.parametrize("name", ["loyalty_points", "Favourite Store", "vip", "emails", "citizenship", "été"])
def test_other_names_are_custom_attributes(name: str) -> None:
    assert braze_name_problem(name) is None
    assert braze_attribute(name) is None


def test_text_that_braze_would_silently_drop_is_refused() -> None:
    assert braze_value_problem("tier", "x" * 255) is None
    assert braze_value_problem("tier", "x" * 256) == "the text has 256 characters; Braze stores at most 255 here."
    assert braze_value_problem("image_url", "x" * 1024) is None


def test_clearing_is_always_possible() -> None:
    assert all(braze_value_problem(name, None) is None for name in BRAZE_ATTRIBUTES)


@pytest.mark.parametrize("module", ["airflow.sdk.definitions.timetables._cron"])
def test_presets_are_those_of_airflow(module: str) -> None:
    cron = pytest.importorskip(module)

    assert set(PRESETS) == set(cron.CRON_PRESETS)

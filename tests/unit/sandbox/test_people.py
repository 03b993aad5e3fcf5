"""The invented people are the same for a seed, and odd in all the ways that matter."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_braze_blueconic.sandbox.people import REFERENCE, Person, make_people


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return make_people(200, seed=1)


def test_same_seed_makes_the_same_people(people: list[Person]) -> None:
    assert make_people(200, seed=1) == people


def test_other_seed_makes_other_people(people: list[Person]) -> None:
    assert make_people(200, seed=2) != people


def test_a_smaller_sandbox_holds_the_first_of_the_same_people(people: list[Person]) -> None:
    assert make_people(20, seed=1) == people[:20]


def test_no_value_is_younger_than_the_reference_date(people: list[Person]) -> None:
    assert all(max(person.created, person.modified, person.visited) < REFERENCE for person in people)


@pytest.mark.parametrize(
    "is_odd",
    [
        pytest.param(lambda person: not person.crm_ids, id="no crm id"),
        pytest.param(lambda person: len(person.crm_ids) == 2, id="two crm ids"),
        pytest.param(lambda person: person.crm_ids == (f"crm-{person.number - 1:07d}",), id="crm id of another"),
        pytest.param(lambda person: not person.email, id="no e-mail"),
        pytest.param(lambda person: person.email and not re.fullmatch(r"\S+@\w+\.\w+", person.email), id="bad e-mail"),
        pytest.param(lambda person: person.country == "Netherlands", id="country by name"),
        pytest.param(lambda person: person.country == "NL", id="country by code"),
        pytest.param(lambda person: person.country in {"Atlantis", "n/a", "XX"}, id="unknown country"),
        pytest.param(lambda person: len(person.bio) > 255, id="long text"),
        pytest.param(lambda person: person.customer_number == "007", id="leading zeros"),
        pytest.param(lambda person: person.birth is None, id="no date of birth"),
        pytest.param(lambda person: "newsletter" in person.refused, id="refused consent"),
        pytest.param(lambda person: person.level != "PERSONAL", id="lower permission level"),
        pytest.param(lambda person: person.legislation == "NONE", id="no legislation"),
    ],
)
def test_two_hundred_people_have_every_oddity(people: list[Person], is_odd: object) -> None:
    assert callable(is_odd)

    assert any(is_odd(person) for person in people)


def test_address_is_a_json_object(people: list[Person]) -> None:
    assert set(json.loads(people[0].address)) == {"street", "number", "city"}

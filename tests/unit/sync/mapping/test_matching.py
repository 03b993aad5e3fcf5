from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.mapping.matching import condition_edges, condition_sql, conditions_sql
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField, Matching, MatchLink
from tests.support.core import map_people, mapping, person

FIRST_NAME_OF_ALL = MappedField("src", constant='"bc"')


CRM = MatchLink('"crm_id"', "crm_id")
MAIL = MatchLink('"mail"', "email", normal="CASE WHEN contains({v}, '@') THEN {v} END")
BRAZE_ID = IdentifierLink("profile_id", '{"braze_id":', "}", is_list=False)


def matched(
    folder: Path, people: list[dict[str, Any]], *links: MatchLink, every: bool = False
) -> tuple[list[str | None], Mapping[str, int]]:
    """Map people (who are all identified) and give how each can be found, or ``None`` for who can't be."""
    people = [{"profile_id": str(row), "crm_id": [], "mail": [], **one} for row, one in enumerate(people)]
    plan = mapping(FIRST_NAME_OF_ALL, identifiers=(BRAZE_ID,), matching=Matching(links, every=every))
    counts, mapped, _ = map_people(folder, people, plan)
    texts = [mapped.get(f'{{"braze_id":"{row}"}}', {}).get("matching") for row in range(len(people))]
    return texts, counts.skipped


def test_any_link_is_an_alternative_of_its_own(tmp_path: Path) -> None:
    people = [
        {"crm_id": ["7"], "mail": ["a@b.nl"]},
        {"crm_id": ["7"]},
        {"crm_id": [" "], "mail": ["a@b.nl"]},
    ]

    texts, skipped = matched(tmp_path, people, CRM, MAIL)

    assert texts == [
        '[[{"id":"crm_id","value":"7"}],[{"id":"email","value":"a@b.nl"}]]',
        '[[{"id":"crm_id","value":"7"}]]',
        '[[{"id":"email","value":"a@b.nl"}]]',
    ]
    assert skipped == {}


def test_all_links_hold_together_and_who_lacks_one_is_skipped(tmp_path: Path) -> None:
    people = [{"crm_id": ["7"], "mail": ["a@b.nl"]}, {"crm_id": ["7"]}, {"mail": ["a@b.nl"]}]

    texts, skipped = matched(tmp_path, people, CRM, MAIL, every=True)

    assert texts == ['[[{"id":"crm_id","value":"7"},{"id":"email","value":"a@b.nl"}]]', None, None]
    assert skipped == {"no_identifier": 2}


@pytest.mark.parametrize("every", [False, True])
def test_who_has_no_value_of_any_link_is_skipped(every: bool, tmp_path: Path) -> None:
    texts, skipped = matched(tmp_path, [{}, {"crm_id": None, "mail": ["", " "]}], CRM, MAIL, every=every)

    assert (texts, skipped) == ([None, None], {"no_identifier": 2})


@pytest.mark.parametrize("every", [False, True])
def test_a_link_with_several_values_could_find_several_people_and_none_is_guessed(every: bool, tmp_path: Path) -> None:
    people = [
        {"crm_id": ["7", "8"], "mail": ["a@b.nl"]},
        {"crm_id": ["7", " 7 "], "mail": ["a@b.nl", ""]},
    ]

    texts, skipped = matched(tmp_path, people, CRM, MAIL, every=every)

    assert [text is not None for text in texts] == [False, True]
    assert skipped == {"several_identifiers": 1}


def test_a_value_that_can_not_be_one_of_the_target_is_no_link(tmp_path: Path) -> None:
    people = [{"crm_id": ["7"], "mail": ["nobody"]}, {"mail": ["nobody"]}]

    texts, skipped = matched(tmp_path, people, CRM, MAIL)

    assert texts == ['[[{"id":"crm_id","value":"7"}]]', None]
    assert skipped == {"no_identifier": 1}


def test_a_person_without_an_identifier_is_skipped_whatever_the_links_say(tmp_path: Path) -> None:
    texts, skipped = matched(tmp_path, [{"profile_id": None, "crm_id": ["7"]}], CRM)

    assert (texts, skipped) == ([None], {"no_identifier": 1})


def test_a_person_without_an_identifier_is_not_said_to_have_several_links(tmp_path: Path) -> None:
    _, skipped = matched(tmp_path, [{"profile_id": None, "crm_id": ["7", "8"]}], CRM)

    assert skipped == {"no_identifier": 1}


@given(
    value=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20),
    every=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_how_a_person_is_found_is_json_whatever_the_value_holds(
    tmp_path_factory: pytest.TempPathFactory, value: str, every: bool
) -> None:
    ((text,), _) = matched(tmp_path_factory.mktemp("matching"), [{"crm_id": [f"x{value}x"]}], CRM, every=every)

    assert text is not None
    assert json.loads(text) == [[{"id": "crm_id", "value": f"x{value}x"}]]


def test_a_mapped_person_of_other_goals_has_no_column_for_it(tmp_path: Path) -> None:
    _, mapped, _ = map_people(tmp_path, [{"crm": ["1"]}], mapping(FIRST_NAME_OF_ALL))

    assert "matching" not in mapped[person("1")]


@settings(deadline=None, max_examples=25)
@given(value=st.text())
def test_a_condition_is_the_same_text_however_it_is_made(value: str) -> None:
    before, after = condition_edges("crm_id")
    with connect(Engine(Path())) as connection:
        made = connection.execute(
            f"SELECT {condition_sql('?', '?::VARCHAR')}, concat(?, to_json(?::VARCHAR)::VARCHAR, ?)",
            ["crm_id", value, before, value, after],
        ).fetchall()[0]
        told = connection.execute(
            f"SELECT c.id, c.value FROM (SELECT unnest({conditions_sql('?')}) AS c)", [f"[[{made[0]}]]"]
        ).fetchall()

    assert made[0] == made[1]
    assert told == [("crm_id", value)]

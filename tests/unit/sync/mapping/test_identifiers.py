from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField
from tests.support.core import day, map_people, mapping, person

EMAIL = IdentifierLink(
    "mail", '{"email":', "}", normal="CASE WHEN contains({v}, '@') THEN lower({v}) END"
)  # fmt: skip
PROFILE_ID = IdentifierLink(
    "profile_id", '{"user_alias":{"alias_name":', ',"alias_label":"bc"}}', is_list=False
)  # fmt: skip


def test_everybody_who_is_skipped_has_one_reason_and_the_first_that_applies(tmp_path: Path) -> None:
    both = {"identifiers": (IdentifierLink("crm", '{"external_id":', "}"), EMAIL), "objectives": ("news",)}
    yes = {"consented": ["ads", "news"], "mail": ["x@y.z"]}
    people = [
        {"profile_id": "fine", "crm": ["1"], **yes},
        {"profile_id": "no consent", "crm": ["2", "3"], **yes, "consented": ["ads"]},
        {"profile_id": "no consent at all", "crm": [], **yes, "consented": None},
        {"profile_id": "several", "crm": ["4", "5"], **yes},
        {"profile_id": "several by the second link", "crm": [" "], "consented": ["news"], "mail": ["a@b", "c@d"]},
        {"profile_id": "bad", "crm": [], "consented": ["news"], "mail": ["nobody"]},
        {"profile_id": "none", "crm": [""], "consented": ["news"], "mail": None},
        {"profile_id": "twice", "crm": ["1"], **yes, "last_modified": day(2)},
    ]

    counts, mapped, skipped = map_people(tmp_path, people, mapping(FIRST_NAME_OF_ALL, **both))

    assert counts.people == 1
    assert counts.skipped == {
        "bad_identifier": 1,
        "no_consent": 2,
        "no_identifier": 1,
        "same_person_twice": 1,
        "several_identifiers": 2,
    }
    assert list(mapped) == [person("1")]
    assert sorted((row["identifier"] or "", row["reason"]) for row in skipped) == [
        ("", "bad_identifier"),
        ("", "no_identifier"),
        ('{"email":"a@b"}', "several_identifiers"),
        ('{"email":"c@d"}', "several_identifiers"),
        ('{"email":"x@y.z"}', "no_consent"),
        ('{"external_id":"1"}', "same_person_twice"),
        ('{"external_id":"2"}', "no_consent"),
        ('{"external_id":"3"}', "no_consent"),
        ('{"external_id":"4"}', "several_identifiers"),
        ('{"external_id":"5"}', "several_identifiers"),
    ]


FIRST_NAME_OF_ALL = MappedField("src", constant='"bc"')


def test_the_first_link_with_a_value_identifies_the_person(tmp_path: Path) -> None:
    links = (IdentifierLink("crm", '{"external_id":', "}"), EMAIL, PROFILE_ID)
    people = [
        {"profile_id": "p1", "crm": ["1"], "mail": ["A@B.nl"]},
        {"profile_id": "p2", "crm": [" ", " 2 "], "mail": ["c@d.nl"]},
        {"profile_id": "p3", "crm": None, "mail": ["E@F.nl"]},
        {"profile_id": "p4", "crm": [], "mail": [""]},
    ]

    counts, mapped, _ = map_people(tmp_path, people, mapping(FIRST_NAME_OF_ALL, identifiers=links))

    assert counts.skipped == {}
    assert sorted(mapped) == [
        '{"email":"e@f.nl"}',
        '{"external_id":"1"}',
        '{"external_id":"2"}',
        '{"user_alias":{"alias_name":"p4","alias_label":"bc"}}',
    ]


def test_every_record_that_was_read_tells_all_its_identifiers(tmp_path: Path) -> None:
    links = (IdentifierLink("crm", '{"external_id":', "}"), EMAIL)
    people = [
        {"crm": ["1"], "mail": ["A@b", " a@b ", "nobody", "c@d"]},
        {"crm": [], "mail": ["e@f"]},
        {"crm": ["2", "3"], "mail": ["g@h"]},
        {"crm": ["4"], "mail": ["i@j"], "consented": ["other"]},
        {"crm": ["1"], "mail": ["k@l"], "last_modified": None},
        {"crm": [" "], "mail": ["nobody"]},
    ]

    map_people(
        tmp_path,
        [{"consented": ["news"], **one} for one in people],
        mapping(FIRST_NAME_OF_ALL, identifiers=links, objectives=["news"]),
    )

    rows = pq.read_table(tmp_path / "mapped" / "identities" / "records.parquet").to_pylist()
    assert {tuple(row["identifiers"]): row["sent_as"] for row in rows} == {
        ('{"email":"a@b"}', '{"email":"c@d"}', person("1")): person("1"),
        ('{"email":"e@f"}',): '{"email":"e@f"}',
        ('{"email":"g@h"}', person("2"), person("3")): None,
        ('{"email":"i@j"}', person("4")): None,
        ('{"email":"k@l"}', person("1")): person("1"),
    }
    assert {row["as_of"] for row in rows} == {day(1)}


def test_an_identifier_that_two_links_bring_is_told_once(tmp_path: Path) -> None:
    links = (EMAIL, IdentifierLink("work_mail", EMAIL.before, EMAIL.after, normal=EMAIL.normal))

    map_people(
        tmp_path, [{"mail": ["a@b"], "work_mail": ["A@b", "c@d"]}], mapping(FIRST_NAME_OF_ALL, identifiers=links)
    )

    (row,) = pq.read_table(tmp_path / "mapped" / "identities" / "records.parquet").to_pylist()
    assert row["identifiers"] == ['{"email":"a@b"}', '{"email":"c@d"}']


def test_people_of_one_link_need_no_list_of_identifiers(tmp_path: Path) -> None:
    map_people(tmp_path, [{"crm": ["1"]}], mapping(FIRST_NAME_OF_ALL))

    assert not (tmp_path / "mapped" / "identities").exists()


def test_an_unusable_identifier_does_not_fall_through_to_the_next_link(tmp_path: Path) -> None:
    links = (EMAIL, IdentifierLink("crm", '{"external_id":', "}"))

    counts, mapped, _ = map_people(
        tmp_path, [{"crm": ["1"], "mail": ["nobody"]}], mapping(FIRST_NAME_OF_ALL, identifiers=links)
    )

    assert (counts.skipped, mapped) == ({"bad_identifier": 1}, {})


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("mails", "identifiers"),
    [
        pytest.param(["nobody", "a@b"], ['{"email":"a@b"}'], id="beside one that is not"),
        pytest.param(["nobody", "A@b", "a@b"], ['{"email":"a@b"}'], id="once for all its spellings"),
        pytest.param(["nobody", "nothing"], [None], id="none at all"),
    ],
)
@pytest.mark.parametrize(("consented", "reason"), [(["news"], "bad_identifier"), (["ads"], "no_consent")])
def test_who_is_skipped_is_listed_under_every_usable_identifier(
    mails: list[str], identifiers: list[str | None], consented: list[str], reason: str, tmp_path: Path
) -> None:
    """Who is not listed counts as gone, and what was sent before is taken back."""
    plan = mapping(FIRST_NAME_OF_ALL, identifiers=(EMAIL,), objectives=["news"])

    _, _, skipped = map_people(tmp_path, [{"mail": mails, "consented": consented}], plan)

    assert skipped == [{"row": 0, "identifier": identifier, "reason": reason} for identifier in identifiers]


@pytest.mark.parametrize(
    ("mails", "identified"),
    [
        pytest.param(["a@b", "a@b"], True, id="the same twice"),
        pytest.param(["a@b", " a@b "], True, id="the same with space"),
        pytest.param(["A@B", "a@b"], True, id="the same in the target's form"),
        pytest.param(["", "a@b", " "], True, id="one and blanks"),
        pytest.param(["a@b", "a@c"], False, id="two"),
    ],
)
def test_several_spellings_of_one_identifier_are_one_person(mails: list[str], identified: bool, tmp_path: Path) -> None:
    counts, mapped, _ = map_people(tmp_path, [{"mail": mails}], mapping(FIRST_NAME_OF_ALL, identifiers=(EMAIL,)))

    assert list(mapped) == (['{"email":"a@b"}'] if identified else [])
    assert counts.skipped == ({} if identified else {"several_identifiers": 1})


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        ("007", '{"external_id":"007"}'),
        ('a"b\\c', '{"external_id":"a\\"b\\\\c"}'),
        ("Zoë 😀", '{"external_id":"Zoë 😀"}'),
        ("null", '{"external_id":"null"}'),
        ("it's", '{"external_id":"it\'s"}'),
        ("A", '{"external_id":"A"}'),
    ],
)
def test_an_identifier_keeps_its_every_character(value: str, identifier: str, tmp_path: Path) -> None:
    _, mapped, _ = map_people(tmp_path, [{"crm": [value]}], mapping(FIRST_NAME_OF_ALL))

    assert list(mapped) == [identifier]


def test_identifiers_that_differ_in_case_are_two_people(tmp_path: Path) -> None:
    counts, mapped, _ = map_people(tmp_path, [{"crm": ["a"]}, {"crm": ["A"]}], mapping(FIRST_NAME_OF_ALL))

    assert (counts.people, sorted(mapped)) == (2, ['{"external_id":"A"}', '{"external_id":"a"}'])

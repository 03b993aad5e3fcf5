"""What an export goal asks of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, source_column
from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.observations.observation import Observation
from airflow_provider_braze_blueconic.sync.plans.export_reads import expansions, properties_to_read
from airflow_provider_braze_blueconic.sync.plans.exported import exported_pairs
from airflow_provider_braze_blueconic.sync.plans.observed_users import observed_users
from airflow_provider_braze_blueconic.sync.plans.to_braze import delta_plan, mapping_plan, warning_sources
from tests.support.core import day, map_people

GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"
CRM = ExportIdentifier(blueconic="crm_id", braze="external_id")


def field(**how: Any) -> ExportField:
    return ExportField.model_validate(how)


def plan_of(*fields: ExportField, identifiers: tuple[ExportIdentifier, ...] = (CRM,), **how: Any) -> MappingPlan:
    plain = {"property_types": {}, "clear_missing": False, "objectives": (), "partitions": 8}
    return mapping_plan(identifiers, fields, **{**plain, **how})


def planned(one: ExportField, **property_types: str) -> MappedField:
    return plan_of(one, property_types=property_types).fields[0]


# What is read


def test_only_the_properties_that_the_goal_names_are_read_each_with_its_first_place() -> None:
    identifiers = [
        CRM,
        ExportIdentifier(blueconic="profile_id", braze="user_alias", alias_label="bc"),
        ExportIdentifier(blueconic="email", braze="email"),
    ]
    fields = [
        field(**{"from": "property.points", "to": "a"}),
        field(**{"from": "property.email", "to": "email"}),
        field(**{"from": "property.points", "to": "b"}),
        field(**{"from": "interactions", "to": "seen"}),
        field(**{"from": "segments", "to": "segments"}),
        field(**{"from": "profile_id", "to": "bc_id"}),
        field(value="bc", to="src"),
    ]

    assert properties_to_read(identifiers, fields) == {
        "crm_id": "identifiers[0].blueconic",
        "email": "identifiers[2].blueconic",
        "points": "fields[0].from",
        "interactions_viewed": "fields[3].from",
        "lastmodifieddate": "",
    }


@pytest.mark.parametrize(
    ("sources", "parts"),
    [
        (["property.points", "profile_id", "interactions"], []),
        (["segments"], ["segments"]),
        (["permission_level"], ["permissions"]),
        (["segments", "permission_level"], ["permissions", "segments"]),
    ],
)
def test_only_the_parts_of_a_profile_that_are_sent_are_asked_for(sources: list[str], parts: list[str]) -> None:
    assert expansions([field(**{"from": source, "to": "x"}) for source in sources]) == parts


# Fields


@pytest.mark.parametrize(
    ("one", "column", "is_list", "joined"),
    [
        pytest.param({"from": "property.First-Name", "to": "x"}, '"property__x46_irst_x2d__x4e_ame"', True, False,
                     id="property"),
        pytest.param({"from": "profile_id", "to": "x"}, "profile_id", False, False, id="profile id"),
        pytest.param({"from": "permission_level", "to": "x"}, "permission_level", False, False, id="permission level"),
        pytest.param({"from": "segments", "to": "x"}, "segment_names", True, False, id="segments"),
        pytest.param({"from": "segments", "to": "x", "as": "ids"}, "segment_ids", True, False, id="segment ids"),
        pytest.param({"from": "segments", "to": "x", "type": "string"}, "segment_names", True, True, id="joined"),
        pytest.param({"from": "interactions", "to": "x"}, '"property_interactions_viewed"', True, False,
                     id="dialogues"),
        pytest.param({"from": "interactions", "to": "x", "as": "names"}, "interaction_names", True, False,
                     id="dialogue names"),
    ],
)  # fmt: skip
def test_a_field_reads_its_column(one: dict[str, Any], column: str, is_list: bool, joined: bool) -> None:
    mapped = planned(field(**one))

    assert (mapped.column, mapped.is_list, mapped.joined) == (column, is_list, joined)


@pytest.mark.parametrize(
    ("one", "filter_type", "source", "text"),
    [
        pytest.param({}, "", "7", '"7"', id="unknown type is text"),
        pytest.param({}, "SELECT", "007", '"007"', id="text"),
        pytest.param({}, "RANGE", "007", "7", id="whole number"),
        pytest.param({}, "DECIMAL", "7", "7.0", id="decimal"),
        pytest.param({}, "CURRENCY", "7.50", "7.5", id="currency"),
        pytest.param({}, "DATETIME", "1700000000000", '"2023-11-14T22:13:20.000Z"', id="time"),
        pytest.param({"type": "string"}, "RANGE", "007", '"007"', id="the goal's type before the property's"),
        pytest.param({"to": "country"}, "RANGE", "Netherlands", '"NL"', id="the attribute's own form before both"),
        pytest.param({"type": "array"}, "SELECT", "a", '["a"]', id="array"),
    ],
)
def test_the_type_of_a_value(one: dict[str, Any], filter_type: str, source: str, text: str, tmp_path: Path) -> None:
    plan = plan_of(field(**{"from": "property.p", "to": "x", **one}), property_types={"p": filter_type})

    _, mapped, _ = map_people(tmp_path, [{"property_crm_id": ["1"], "property_p": [source]}], plan)

    (row,) = mapped.values()
    assert row[f"field_{one.get('to', 'x')}"] == text


@pytest.mark.parametrize(
    ("one", "text"),
    [
        ({"value": "bc"}, '"bc"'),
        ({"value": 'it\'s "x"'}, '"it\'s \\"x\\""'),
        ({"value": 7}, "7"),
        ({"value": 7, "type": "string"}, '"7"'),
        ({"value": True}, "true"),
        ({"value": "a", "type": "array"}, '["a"]'),
        ({"value": 3, "type": "float"}, "3.0"),
        ({"value": "2026-01-01", "type": "time"}, '"2026-01-01T00:00:00.000Z"'),
    ],
)
def test_a_fixed_value_becomes_its_json_text(one: dict[str, Any], text: str) -> None:
    assert planned(field(to="x", **one)).constant == text


def test_a_text_that_is_a_list_is_an_array_of_what_is_in_it(tmp_path: Path) -> None:
    plan = plan_of(field(**{"from": "property.p", "to": "tags", "type": "array"}))
    written = [
        ['["b","a"]'],
        [' [ "a", null, " b ", "", 7, true, 1.50 ]\n'],
        ['["a"', "b"],
        ['["a"'],
        ["[sic]"],
        ["[]"],
        ['[" ",null]'],
        ['[{"a":1}]'],
        ['["a",["b"]]'],
        ['["\\ud800"]'],
        ['["' + "x" * 256 + '"]'],
    ]
    people = [{"property_crm_id": [str(number)], "property_p": texts} for number, texts in enumerate(written)]

    counts, mapped, _ = map_people(tmp_path, people, plan)

    assert [mapped[f'{{"external_id":"{number}"}}']["field_tags"] for number in range(len(written))] == [
        '["a","b"]',
        '["1.5","7","a","b","true"]',
        '["[\\"a\\"","b"]',
        '["[\\"a\\""]',
        '["[sic]"]',
        None,
        None,
        None,
        None,
        '["[\\"\\\\ud800\\"]"]',
        None,
    ]
    assert counts.warnings == {("tags", "objects_in_array"): 2, ("tags", "too_long"): 1}


@pytest.mark.parametrize(
    ("value", "type_", "stored"),
    [(3, "float", "3.0"), ("Netherlands", None, "NL"), (True, None, "true"), (" gold ", None, "gold")],
)
def test_a_fixed_value_is_no_drift_when_braze_holds_what_was_sent(
    value: Any, type_: str | None, stored: str, tmp_path: Path
) -> None:
    target = "country" if stored == "NL" else "x"
    path = target if target == "country" else f"custom_attributes.{target}"
    one = field(value=value, to=target, **({"type": type_} if type_ else {}))

    found = observed(tmp_path, one, [stored], path=path)

    assert found == {'{"external_id":"7"}': planned(one).constant}


@pytest.mark.parametrize(
    ("target", "clearable"),
    [("first_name", True), ("email_subscribe", False), ("push_subscribe", False), (GROUP, False)],
)
def test_a_missing_value_clears_no_subscription(target: str, clearable: bool) -> None:
    assert planned(field(**{"from": "property.p", "to": target})).clearable is clearable


def test_each_field_that_is_converted_says_whose_rule_it_follows() -> None:
    plan = plan_of(field(**{"from": "property.p", "to": "dob"}), field(value="bc", to="src"))

    assert warning_sources(plan) == {"dob": "Braze docs, Standard user attributes: YYYY-MM-DD"}


# Identifiers


@pytest.mark.parametrize(
    ("link", "source", "identifier"),
    [
        pytest.param({"braze": "external_id"}, " 007 ", '{"external_id":"007"}', id="external id"),
        pytest.param({"braze": "external_id"}, "x" * 987, '{"external_id":"' + "x" * 987 + '"}', id="longest"),
        pytest.param({"braze": "external_id"}, "x" * 988, None, id="external id too long"),
        pytest.param({"braze": "external_id"}, "é" * 494, None, id="external id too long in bytes"),
        pytest.param({"braze": "braze_id"}, "5f8a", '{"braze_id":"5f8a"}', id="braze id"),
        pytest.param({"braze": "email"}, "Ann@Example.com", '{"email":"ann@example.com"}', id="e-mail"),
        pytest.param({"braze": "email"}, "ann@example..com", None, id="not an e-mail"),
        pytest.param({"braze": "email"}, "\xa0Ann@Example.com\u200b", '{"email":"ann@example.com"}', id="pasted e-mail"),
        pytest.param({"braze": "email"}, "ann@bücher.example", '{"email":"ann@xn--bcher-kva.example"}', id="IDNA"),
        pytest.param({"braze": "email"}, "ann\u200b@example.com", None, id="zero-width space in an e-mail"),
        pytest.param({"braze": "email"}, "o'neill@hotmail.com", None, id="an e-mail that the provider can't have"),
        pytest.param({"braze": "phone"}, "\u202a+31\xa06\u201112345678\u202c", '{"phone":"+31612345678"}', id="pasted phone"),
        pytest.param({"braze": "external_id"}, "\ufeff007\u3000", '{"external_id":"007"}', id="pasted id"),
        pytest.param({"braze": "external_id"}, "\ufeff\xa0", "none", id="nothing but space"),
        pytest.param({"braze": "phone"}, "+31 (0)6 1234-5678", '{"phone":"+31612345678"}', id="phone"),
        pytest.param({"braze": "phone"}, "0612345678", None, id="phone without a country"),
        pytest.param(
            {"braze": "user_alias", "alias_label": 'my "crm"'}, 'a"b',
            '{"user_alias":{"alias_name":"a\\"b","alias_label":"my \\"crm\\""}}', id="alias",
        ),
    ],
)  # fmt: skip
def test_an_identifier_is_written_as_braze_wants_it_or_the_person_is_skipped(
    link: dict[str, Any], source: str, identifier: str | None, tmp_path: Path
) -> None:
    plan = plan_of(field(value=1, to="x"), identifiers=(ExportIdentifier(blueconic="id", **link),))

    counts, mapped, _ = map_people(tmp_path, [{"property_id": [source]}], plan)

    reason = "no_identifier" if identifier == "none" else "bad_identifier"
    found = identifier if identifier != "none" else None
    assert list(mapped) == ([found] if found else [])
    assert counts.skipped == ({} if found else {reason: 1})


def test_two_spellings_of_one_address_are_one_identifier(tmp_path: Path) -> None:
    plan = plan_of(field(value=1, to="x"), identifiers=(ExportIdentifier(blueconic="id", braze="email"),))
    same = ["Ann@bücher.example", "ann@BÜCHER.example\xa0", "ann@xn--bcher-kva.example"]

    counts, mapped, _ = map_people(tmp_path, [{"property_id": same}], plan)

    assert list(mapped) == ['{"email":"ann@xn--bcher-kva.example"}']
    assert counts.skipped == {}


def test_the_profile_id_can_be_the_identifier(tmp_path: Path) -> None:
    plan = plan_of(field(value=1, to="x"), identifiers=(ExportIdentifier(blueconic="profile_id", braze="external_id"),))

    _, mapped, _ = map_people(tmp_path, [{"profile_id": "p-1"}], plan)

    assert list(mapped) == ['{"external_id":"p-1"}']


# The delta


def deltas(leavers: object, *fields: ExportField) -> Any:
    return delta_plan(
        fields, partitions=4, as_of=day(3), send="changed_fields", leavers=leavers, complete=True, allow_stale=False
    )  # type: ignore[arg-type]


FIELDS = (
    field(**{"from": "property.p", "to": "x"}),
    field(**{"from": "property.q", "to": "pet", "type": "object"}),
    field(**{"from": "property.r", "to": "email_subscribe"}),
    field(**{"from": "property.s", "to": GROUP}),
)


def test_the_delta_knows_what_costs_and_what_is_nested() -> None:
    plan = deltas("keep", *FIELDS)

    assert plan.targets == ("x", "pet", "email_subscribe", GROUP)
    assert plan.billable == {"x", "pet"}
    assert plan.documents == {"pet"}
    assert (plan.partitions, plan.as_of, plan.complete, plan.allow_stale) == (4, day(3), True, False)


@pytest.mark.parametrize(
    ("leavers", "written"),
    [
        pytest.param("keep", None, id="keep"),
        pytest.param("clear_fields", {"x": "null", "pet": "null"}, id="clear all that can be empty"),
        pytest.param(
            {"vip": False, "x": None, "email_subscribe": "unsubscribed"},
            {"vip": "false", "x": "null", "email_subscribe": '"unsubscribed"'}, id="set",
        ),
        pytest.param(
            {"country": "Netherlands", "n": 0.0, "tier": " none ", "tags": ["b", "a"], "pet": {"b": 1, "a": None}},
            {"country": '"NL"', "n": "0.0", "tier": '"none"', "tags": '["b","a"]', "pet": '{"b":1}'}, id="in Braze's form",
        ),
    ],
)  # fmt: skip
@pytest.mark.promise(6)
def test_what_leavers_get(leavers: object, written: dict[str, str] | None) -> None:
    assert deltas(leavers, *FIELDS).leavers == written


@pytest.mark.promise(5)
def test_a_mark_for_leavers_outside_of_the_fields_costs_too() -> None:
    assert deltas({"vip": False, "push_subscribe": "unsubscribed"}, FIELDS[0]).billable == {"x", "vip"}


# The fingerprint


# What both directions carry over


@pytest.mark.promise(7)
def test_only_properties_are_carried_one_to_one() -> None:
    fields = [
        field(**{"from": "property.points", "to": "loyalty points"}),
        field(**{"from": "property.email", "to": "email"}),
        field(**{"from": "profile_id", "to": "bc_id"}),
        field(**{"from": "segments", "to": "segments"}),
        field(value="bc", to="src"),
    ]

    assert exported_pairs(fields) == {"loyalty points": ("loyalty points", "points"), "email": ("email", "email")}


# What an import goal saw of Braze


def seen_by_an_import(*columns: str) -> Observation:
    return Observation("import", "braze", "braze", day(2), "s3://b/snapshot", columns, (), "", (), "")


def observed(
    folder: Path,
    one: ExportField,
    texts: list[str] | None,
    *,
    path: str,
    identifiers: tuple[ExportIdentifier, ...] = (CRM,),
    **property_types: str,
) -> dict[str, str | None]:
    """Identifier → JSON text of what a Braze user is seen to hold, in the words of the goal."""
    (wanted,) = observed_users(identifiers, [one], property_types, seen_by_an_import("external_id", path))
    nobody = {source_column("external_id"): [], source_column(path): ["x"]}
    people = [{source_column("external_id"): ["7"], source_column(path): texts}, nobody]

    _, mapped, _ = map_people(folder, people, wanted)
    return {identifier: row[field_column(one.to)] for identifier, row in mapped.items()}


@pytest.mark.parametrize(
    ("one", "path", "texts", "text"),
    [
        pytest.param({"from": "property.p", "to": "first_name"}, "first_name", ["Ann"], '"Ann"', id="standard field"),
        pytest.param({"from": "property.p", "to": "tier"}, "custom_attributes.tier", ["gold"], '"gold"', id="custom"),
        pytest.param(
            {"from": "property.p", "to": "a.b"}, 'custom_attributes["a.b"]', ["gold"], '"gold"', id="name with a dot"
        ),
        pytest.param({"from": "property.n", "to": "n"}, "custom_attributes.n", ["42"], "42", id="whole number"),
        pytest.param({"from": "property.d", "to": "d"}, "custom_attributes.d", ["12.5"], "12.5", id="decimal"),
        pytest.param({"from": "property.d", "to": "d"}, "custom_attributes.d", ["12"], "12.0", id="whole decimal"),
        pytest.param(
            {"from": "property.t", "to": "t"}, "custom_attributes.t", ["2020-07-10 15:00:00.000 UTC"],
            '"2020-07-10T15:00:00.000Z"', id="time",
        ),
        pytest.param(
            {"from": "property.p", "to": "vip", "type": "boolean"}, "custom_attributes.vip", ["true"], "true",
            id="boolean",
        ),
        pytest.param(
            {"from": "property.p", "to": "tags", "type": "array"}, "custom_attributes.tags", ["b", "a"], '["a","b"]',
            id="array",
        ),
        pytest.param(
            {"from": "property.p", "to": "pet", "type": "object"}, "custom_attributes.pet", ['{"b":1,"a":2}'],
            '{"a":2,"b":1}', id="object",
        ),
        pytest.param(
            {"from": "segments", "to": "segs", "type": "string"}, "custom_attributes.segs", ["a,b"], '"a,b"',
            id="list as one text",
        ),
        pytest.param({"from": "segments", "to": "segs"}, "custom_attributes.segs", ["b", "a"], '["a","b"]', id="list"),
        pytest.param({"from": "profile_id", "to": "bc_id"}, "custom_attributes.bc_id", ["p1"], '"p1"', id="profile id"),
        pytest.param({"value": True, "to": "is_bc"}, "custom_attributes.is_bc", ["true"], "true", id="fixed boolean"),
        pytest.param({"value": 7, "to": "agent"}, "custom_attributes.agent", ["7"], "7", id="fixed number"),
        pytest.param({"value": "bc", "to": "src"}, "custom_attributes.src", ["bc"], '"bc"', id="fixed text"),
        pytest.param({"from": "property.p", "to": "tier"}, "custom_attributes.tier", [], "null", id="empty"),
        pytest.param({"from": "property.p", "to": "tier"}, "custom_attributes.tier", None, "null", id="not there"),
        pytest.param({"from": "property.n", "to": "n"}, "custom_attributes.n", ["many"], None, id="of another type"),
    ],
)  # fmt: skip
@pytest.mark.promise(7)
def test_what_braze_holds_reads_as_the_goal_writes_it(
    one: dict[str, Any], path: str, texts: list[str] | None, text: str | None, tmp_path: Path
) -> None:
    found = observed(tmp_path, field(**one), texts, path=path, n="RANGE", d="DECIMAL", t="DATETIME")

    assert found == {'{"external_id":"7"}': text}


def test_each_link_by_which_a_user_can_be_known_has_a_plan_of_its_own(tmp_path: Path) -> None:
    links = (
        CRM,
        ExportIdentifier(blueconic="mail", braze="email"),
        ExportIdentifier(blueconic="other", braze="user_alias", alias_label="crm"),
        ExportIdentifier(blueconic="phone", braze="phone"),
    )
    alias = "user_aliases[alias_label=crm].alias_name"
    there = seen_by_an_import("external_id", "email", alias, "first_name")
    people = [
        {
            source_column("external_id"): ["7"],
            source_column("email"): ["Ann@Example.com"],
            source_column(alias): ["c7"],
            source_column("first_name"): ["Ann"],
        }
    ]

    wanted = observed_users(links, [field(**{"from": "property.p", "to": "first_name"})], {}, there)

    found = [
        identifier
        for number, each in enumerate(wanted)
        for identifier in map_people(tmp_path / str(number), people, each)[1]
    ]
    assert found == [
        '{"external_id":"7"}',
        '{"email":"ann@example.com"}',
        '{"user_alias":{"alias_name":"c7","alias_label":"crm"}}',
    ]


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(("external_id", "custom_attributes.other"), id="no attribute that is written"),
        pytest.param(("custom_attributes.tier",), id="nobody can be known again"),
        pytest.param(("external_id", "tier"), id="a field of another name"),
    ],
)
def test_an_import_that_tells_nothing_of_use_is_not_looked_at(columns: tuple[str, ...]) -> None:
    fields = [field(**{"from": "property.p", "to": "tier"})]

    assert observed_users([CRM], fields, {}, seen_by_an_import(*columns)) == []

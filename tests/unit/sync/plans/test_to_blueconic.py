"""What an import goal asks of the pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_braze_blueconic.exceptions import GoalError
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier, RemainingFields
from airflow_provider_braze_blueconic.sync.engine.columns import property_column, source_column
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.observations.observation import Observation
from airflow_provider_braze_blueconic.sync.plans.import_links import export_sources, unmapped_links
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget, read_targets
from airflow_provider_braze_blueconic.sync.plans.imported import imported_pairs
from airflow_provider_braze_blueconic.sync.plans.observed_profiles import observed_profiles
from airflow_provider_braze_blueconic.sync.plans.resolved_fields import ResolvedFields, resolve_fields
from airflow_provider_braze_blueconic.sync.plans.to_blueconic import (
    import_delta_plan,
    import_mapping_plan,
    import_policy,
)
from tests.support.core import day, map_people, map_values

EXTERNAL = ImportIdentifier(braze="external_id", blueconic="crm_id")
EMAIL = ImportIdentifier(braze="email", blueconic="email")


def row(source: str, to: str, **how: Any) -> ImportField:
    return ImportField.model_validate({"from": source, "to": to, **how})


def resolve(
    *fields: ImportField,
    remaining: dict[str, Any] | None = None,
    found: dict[str, list[str]] | None = None,
    property_types: dict[str, str] | None = None,
    written_by: dict[str, str] | None = None,
) -> ResolvedFields:
    return resolve_fields(
        fields,
        None if remaining is None else RemainingFields(**remaining),
        found=found or {},
        property_types=property_types or {},
        written_by=written_by,
    )


def problems(*fields: ImportField, **how: Any) -> list[str]:
    with pytest.raises(GoalError) as caught:
        resolve(*fields, **how)
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


# What is exported


def test_the_export_holds_what_the_goal_names_each_with_its_first_place() -> None:
    identifiers = [EMAIL, ImportIdentifier(braze="user_alias", alias_label="my crm", blueconic="crm_id")]
    fields = [
        row("email", "mail"),
        row("custom_attributes.tier", "tier"),
        row("custom_attributes.tier", "tier_too"),
        row("purchases[name=sku1].count", "bought"),
    ]

    assert export_sources(identifiers, fields) == {
        "email": "identifiers[0].braze",
        "user_aliases[alias_label=my crm].alias_name": "identifiers[1].braze",
        "custom_attributes.tier": "fields[1].from",
        "purchases[name=sku1].count": "fields[3].from",
        "external_id": "",
    }


def test_an_external_id_that_the_goal_names_has_its_place() -> None:
    assert export_sources([EXTERNAL], []) == {"external_id": "identifiers[0].braze"}


# The goal's own rows


def test_each_row_is_a_target_of_the_type_that_its_property_has() -> None:
    fields = [
        row("email", "mail"),
        row("total_revenue", "revenue", merge="sum", of="increase"),
        row("custom_attributes.tags", "tags", merge="add"),
    ]

    resolved = resolve(*fields, property_types={"mail": "EMAIL", "revenue": "DECIMAL", "tags": "SELECT"})

    assert resolved == ResolvedFields(
        (
            ImportTarget("mail", "email", "set", None, "EMAIL"),
            ImportTarget("revenue", "total_revenue", "sum", "increase", "DECIMAL"),
            ImportTarget("tags", "custom_attributes.tags", "add", None, "SELECT"),
        ),
        {},
        {},
    )


def test_targets_survive_the_way_to_the_next_step() -> None:
    targets = [
        ImportTarget("mail", "email", "set", None, "EMAIL"),
        ImportTarget("revenue", "total_revenue", "sum", "increase", "DECIMAL"),
    ]

    assert read_targets(json.loads(json.dumps([target.as_row() for target in targets]))) == targets


def test_a_property_that_is_not_there_is_named_with_the_nearest() -> None:
    assert problems(row("email", "emial"), property_types={"email": "EMAIL", "city": "SELECT"}) == [
        'fields[0].to: BlueConic has no property "emial". Nearest: "email".'
    ]


def test_only_a_property_of_dates_takes_dates_that_are_written_in_a_form_of_their_own() -> None:
    field = row("custom_attributes.joined", "joined", date_format="%d/%m/%Y")

    assert problems(field, property_types={"joined": "SELECT"}) == [
        'fields[0].date_format: "date_format" needs a property of dates and times; "joined" is of type SELECT in '
        'BlueConic. Use another property, or leave "date_format" out.'
    ]
    # A delivery by file may not know the type.
    for types in ({"joined": "DATETIME"}, {}):
        (target,) = resolve(field, property_types=types).targets
        assert (target.filter_type, target.date_format) == ("DATETIME", "%d/%m/%Y")
        assert read_targets([target.as_row()]) == [target]


def test_a_date_that_can_not_be_read_is_refused_with_the_row() -> None:
    with pytest.raises(ValidationError, match="has no year"):
        row("dob", "birthday", date_format="%d/%m")
    with pytest.raises(ValidationError, match='"sum" can\'t add to a date'):
        row("custom_attributes.x", "y", merge="sum", of="value", date_format="%d/%m/%Y")


@pytest.mark.parametrize(
    ("source", "merge", "texts", "written"),
    [
        ("last_coordinates", "set", ["53.5", "9.9"], '["53.5","9.9"]'),
        ("last_coordinates", "set", ["4.9", "52.4"], '["4.9","52.4"]'),
        ("last_coordinates", "set_or_clear", ["5", "5"], '["5","5"]'),
        ("last_coordinates", "set_if_empty", ["9", "10"], '["9","10"]'),
        ("last_coordinates[1]", "set", ["9.9"], '["9.9"]'),
        ("custom_attributes.route.points", "set", ["2", "1", "2"], '["2","1","2"]'),
        # To add to a property is to unite two sets, and so is what Braze does with the list of a whole attribute.
        ("last_coordinates", "add", ["53.5", "9.9", "9.9"], '["53.5","9.9"]'),
        ("custom_attributes.tags", "set", ["b", "a", "b"], '["a","b"]'),
        ("devices.model", "set", ["b", "a", "b"], '["a","b"]'),
    ],
)
def test_values_keep_the_order_that_they_have_in_braze(
    source: str, merge: Any, texts: list[str], written: str, tmp_path: Path
) -> None:
    target = ImportTarget("where", source, merge, None, "DECIMAL" if "4" in texts[0] else "SELECT")

    assert map_values(tmp_path / "braze", target.rule, [texts]) == [(written, None)]
    assert map_values(tmp_path / "blueconic", target.stored_rule, [texts]) == [(written, None)]


@pytest.mark.parametrize("filter_type", ["SELECT", "EMAIL", "DATETIME"])
def test_nothing_can_be_added_to_a_property_that_holds_no_number(filter_type: str) -> None:
    field = row("total_revenue", "revenue", merge="sum", of="value")

    assert problems(row("email", "m"), field, property_types={"m": "EMAIL", "revenue": filter_type}) == [
        'fields[1].merge: "sum" needs a number, decimal or currency property; '
        f'"revenue" is of type {filter_type} in BlueConic. Use another property, or another merge.'
    ]


@pytest.mark.parametrize("filter_type", ["RANGE", "DECIMAL", "CURRENCY"])
def test_numbers_can_be_added_to(filter_type: str) -> None:
    field = row("total_revenue", "revenue", merge="sum", of="value")

    (target,) = resolve(field, property_types={"revenue": filter_type}).targets

    assert (target.merge, target.of, target.filter_type) == ("sum", "value", filter_type)


def test_all_faults_are_told_at_once() -> None:
    fields = [row("email", "a"), row("total_revenue", "b", merge="sum", of="value")]

    found = problems(
        *fields,
        remaining={"create_properties": True},
        found={"custom_attributes.x y": ["text"], "custom_attributes.x_y": ["text"]},
        property_types={"b": "SELECT"},
    )

    assert [problem.split(":")[0] for problem in found] == ["fields[0].to", "fields[1].merge", "remaining_fields"]


# Remaining fields

FOUND = {"first_name": ["text"], "custom_attributes.tier": ["text"], "custom_attributes.points": ["integer"]}
THERE = {"braze_first_name": "SELECT", "braze_tier": "SELECT", "braze_points": "RANGE"}


def test_without_a_word_about_them_the_remaining_fields_are_left_out() -> None:
    assert resolve(found=FOUND, property_types=THERE) == ResolvedFields((), {}, {})


def test_the_remaining_fields_follow_the_rows_with_prefix_and_merge() -> None:
    resolved = resolve(
        row("email", "mail"),
        remaining={"prefix": "braze_", "merge": "set_if_empty"},
        found=FOUND,
        property_types={"mail": "EMAIL", **THERE},
    )

    assert resolved.targets == (
        ImportTarget("mail", "email", "set", None, "EMAIL"),
        ImportTarget("braze_points", "custom_attributes.points", "set_if_empty", None, "RANGE"),
        ImportTarget("braze_tier", "custom_attributes.tier", "set_if_empty", None, "SELECT"),
        ImportTarget("braze_first_name", "first_name", "set_if_empty", None, "SELECT"),
    )
    assert (resolved.new_properties, resolved.left_out) == ({}, {})


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("custom_attributes.Favourite Store", "Favourite_Store"),
        ("custom_attributes.a-b_C9", "a-b_C9"),
        ('custom_attributes["a.b"]', "a_b"),
        ("custom_attributes.prix (€)", "prix_"),
        ("custom_attributes.Größe", "Gr_e"),
        ("home_city", "home_city"),
    ],
)
def test_a_name_is_brought_into_what_a_property_id_can_hold(source: str, target: str) -> None:
    (resolved,) = resolve(remaining={}, found={source: ["text"]}, property_types={target: "SELECT"}).targets

    assert resolved == ImportTarget(target, source, "set", None, "SELECT")


def test_two_fields_that_would_go_to_one_property_are_refused_with_both_names() -> None:
    found = {"custom_attributes.loyalty tier": ["text"], "custom_attributes.loyalty-tier": ["text"]}
    found |= {'custom_attributes["loyalty.tier"]': ["text"]}

    assert problems(remaining={"create_properties": True}, found=found) == [
        'remaining_fields: the Braze fields "custom_attributes.loyalty tier" and '
        '"custom_attributes["loyalty.tier"]" would both go to the property "loyalty_tier", since a property id has '
        'only letters, digits, "_" and "-". Give one of them a row of its own in "fields", or name it in "exclude".'
    ]


def test_an_attribute_and_a_field_of_one_name_are_refused_too() -> None:
    found = {"first_name": ["text"], "custom_attributes.first_name": ["text"]}

    (problem,) = problems(remaining={"create_properties": True}, found=found)

    assert '"custom_attributes.first_name" and "first_name" would both go to the property "first_name"' in problem


def test_an_explicit_row_wins_over_a_remaining_field_of_the_same_property() -> None:
    resolved = resolve(
        row("custom_attributes.level", "tier"),
        remaining={"create_properties": True},
        found={"custom_attributes.tier": ["text"]},
        property_types={"tier": "SELECT"},
    )

    assert resolved.targets == (ImportTarget("tier", "custom_attributes.level", "set", None, "SELECT"),)
    assert resolved.left_out == {"custom_attributes.tier": '"tier" has its own row.'}


def test_without_the_right_to_create_properties_a_field_without_one_is_left_out_and_named() -> None:
    resolved = resolve(remaining={"prefix": "braze_"}, found=FOUND, property_types={"braze_tier": "SELECT"})

    assert [target.target for target in resolved.targets] == ["braze_tier"]
    assert resolved.new_properties == {}
    assert resolved.left_out == {
        "custom_attributes.points": 'BlueConic has no property "braze_points", and "create_properties" is off.',
        "first_name": 'BlueConic has no property "braze_first_name", and "create_properties" is off.',
    }


@pytest.mark.parametrize(
    ("source", "kinds", "filter_type"),
    [
        ("custom_attributes.x", ["text"], "SELECT"),
        ("custom_attributes.x", ["integer"], "RANGE"),
        ("custom_attributes.x", ["big_integer"], "SELECT"),
        ("custom_attributes.x", ["integer", "float"], "DECIMAL"),
        ("custom_attributes.x", ["long_float"], "SELECT"),
        ("custom_attributes.x", ["time"], "DATETIME"),
        ("custom_attributes.x", ["boolean"], "SELECT"),
        ("custom_attributes.x", ["object"], "SELECT"),
        ("custom_attributes.email", ["text"], "SELECT"),
        ("email", ["text"], "EMAIL"),
    ],
)
def test_a_missing_property_is_created_with_the_type_of_what_was_found(
    source: str, kinds: list[str], filter_type: str
) -> None:
    resolved = resolve(remaining={"create_properties": True, "prefix": "new_"}, found={source: kinds})

    (target,) = resolved.targets
    assert target.filter_type == filter_type
    assert resolved.new_properties == {
        target.target: {"name": f"Braze {source.removeprefix('custom_attributes.')}", "filter_type": filter_type}
    }


def test_a_property_that_is_there_keeps_its_type_whatever_was_found() -> None:
    resolved = resolve(
        remaining={"create_properties": True},
        found={"custom_attributes.x": ["integer"]},
        property_types={"x": "SELECT"},
    )

    assert resolved.targets == (ImportTarget("x", "custom_attributes.x", "set", None, "SELECT"),)
    assert resolved.new_properties == {}


@pytest.mark.promise(7)
def test_what_an_export_goal_brought_to_braze_is_no_remaining_field() -> None:
    resolved = resolve(
        row("custom_attributes.points", "points"),
        remaining={"create_properties": True},
        found={"custom_attributes.tier": ["text"], "first_name": ["text"]},
        property_types={"points": "RANGE"},
        written_by={"tier": "vip_to_braze", "points": "vip_to_braze"},
    )

    assert [target.target for target in resolved.targets] == ["points", "first_name"]
    assert resolved.left_out == {
        "custom_attributes.tier": 'it comes from BlueConic: the goal "vip_to_braze" writes it.'
    }


# Fields that are exported for finding people

ALIAS = ImportIdentifier(braze="user_alias", alias_label="crm", blueconic="crm_id")
MEMBER = ImportIdentifier(braze="custom_attributes.member", blueconic="member_id")


def unmapped(*fields: ImportField, identifiers: tuple[ImportIdentifier, ...], **remaining: Any) -> list[str]:
    return unmapped_links(identifiers, fields, RemainingFields(**remaining))


@pytest.mark.parametrize(
    ("identifiers", "sources"),
    [
        pytest.param((EXTERNAL,), ["external_id"], id="the external id"),
        pytest.param((EMAIL,), ["external_id", "email"], id="the external id comes along always"),
        pytest.param((MEMBER, EXTERNAL), ["external_id", "custom_attributes.member"], id="a custom attribute"),
        pytest.param(
            (EMAIL, ImportIdentifier(braze="email", blueconic="mail")),
            ["external_id", "email"],
            id="named once by two links",
        ),
        pytest.param((ALIAS, EMAIL), ["external_id", "email"], id="an alias is one of several"),
    ],
)
def test_a_field_that_only_finds_people_is_a_remaining_field_like_any_other(
    identifiers: tuple[ImportIdentifier, ...], sources: list[str]
) -> None:
    assert unmapped(identifiers=identifiers) == sources


def test_a_field_that_finds_people_and_has_a_row_of_its_own_is_no_remaining_field() -> None:
    fields = [row("email", "mail"), row("custom_attributes.member", "member_id")]

    assert unmapped(*fields, identifiers=(EMAIL, MEMBER)) == ["external_id"]
    assert unmapped(row("external_id", "crm_id"), identifiers=(EXTERNAL,)) == []


def test_a_field_that_finds_people_can_be_excluded_from_the_remaining_ones() -> None:
    exclude = ["external_id", "custom_attributes.member", "devices"]

    assert unmapped(identifiers=(EMAIL, MEMBER), exclude=exclude) == ["email"]


@pytest.mark.parametrize(
    ("link", "source"),
    [
        pytest.param("custom_attributes.crm", 'custom_attributes["crm"]', id="in another spelling"),
        pytest.param("custom_attributes.ids", "custom_attributes.ids.crm", id="in part"),
        pytest.param("custom_attributes.ids.crm", "custom_attributes.ids", id="as a whole"),
    ],
)
def test_a_field_is_named_however_its_path_is_written(link: str, source: str) -> None:
    identifiers = (ImportIdentifier(braze=link, blueconic="crm_id"),)

    assert unmapped(row(source, "crm"), identifiers=identifiers) == ["external_id"]
    assert unmapped(identifiers=identifiers, exclude=[source]) == ["external_id"]


def test_parts_of_one_attribute_that_find_people_are_no_remaining_fields() -> None:
    links = (
        ImportIdentifier(braze="custom_attributes.ids.crm", blueconic="crm_id"),
        ImportIdentifier(braze="custom_attributes.ids.shop", blueconic="shop_id"),
    )

    assert unmapped(identifiers=links) == ["external_id"]


def test_a_remaining_field_never_takes_the_property_by_which_people_are_found() -> None:
    resolved = resolve_fields(
        [],
        RemainingFields(create_properties=True),
        found={"external_id": [], "custom_attributes.mail": ["text"]},
        property_types={"external_id": "SELECT"},
        finds_people={"external_id", "mail"},
    )

    assert (resolved.targets, resolved.new_properties) == ((), {})
    assert resolved.left_out == {
        "external_id": '"external_id" is an identifier.',
        "custom_attributes.mail": '"mail" is an identifier.',
    }


def test_a_field_that_finds_people_goes_where_the_remaining_fields_go() -> None:
    found: dict[str, list[str]] = {source: [] for source in unmapped(identifiers=(EMAIL, MEMBER))}

    resolved = resolve(
        remaining={"prefix": "braze_", "create_properties": True, "merge": "set_if_empty"},
        found=found,
        property_types={"braze_member": "RANGE"},
    )

    assert resolved.targets == (
        ImportTarget("braze_member", "custom_attributes.member", "set_if_empty", None, "RANGE"),
        ImportTarget("braze_email", "email", "set_if_empty", None, "EMAIL"),
        ImportTarget("braze_external_id", "external_id", "set_if_empty", None, "SELECT"),
    )
    assert resolved.new_properties == {
        "braze_email": {"name": "Braze email", "filter_type": "EMAIL"},
        "braze_external_id": {"name": "Braze external_id", "filter_type": "SELECT"},
    }


def test_a_field_that_finds_people_and_has_no_property_is_left_out_and_named() -> None:
    found: dict[str, list[str]] = {source: [] for source in unmapped(identifiers=(EMAIL,))}

    resolved = resolve(remaining={}, found=found, property_types={"email": "EMAIL"})

    assert [target.target for target in resolved.targets] == ["email"]
    assert resolved.left_out == {
        "external_id": 'BlueConic has no property "external_id", and "create_properties" is off.'
    }


# Mapping


def plan_of(*targets: ImportTarget, identifiers: tuple[ImportIdentifier, ...] = (EXTERNAL,), **how: Any) -> MappingPlan:
    return import_mapping_plan(
        identifiers, targets, **{"match_all": False, "property_types": {}, "partitions": 1, **how}
    )


def user(braze_id: str, **values: list[str]) -> dict[str, Any]:
    """A row of the import's snapshot."""
    columns = {source_column(path.replace("__", ".")): texts for path, texts in values.items()}
    return {"profile_id": braze_id, source_column("external_id"): [], source_column("email"): [], **columns}


def test_a_person_is_the_braze_user_and_found_by_the_links(tmp_path: Path) -> None:
    plan = plan_of(ImportTarget("tier", "custom_attributes.tier", "set", None, "SELECT"), identifiers=(EXTERNAL, EMAIL))
    people = [user("b1", external_id=["7"], email=["Ann@Example.com"], custom_attributes__tier=["gold"])]

    counts, mapped, _ = map_people(tmp_path, people, plan)

    assert mapped == {
        '{"braze_id":"b1"}': {
            "identifier": '{"braze_id":"b1"}',
            "as_of": day(1),
            "last_modified": day(1),
            "matching": '[[{"id":"crm_id","value":"7"}],[{"id":"email","value":"Ann@Example.com"}]]',
            "warnings": None,
            "field_tier": '["gold"]',
        }
    }
    assert (counts.people, counts.skipped) == (1, {})


def test_links_may_have_to_agree(tmp_path: Path) -> None:
    plan = plan_of(identifiers=(EXTERNAL, EMAIL), match_all=True)
    people = [user("b1", external_id=["7"], email=["a@b.nl"]), user("b2", external_id=["8"])]

    counts, mapped, _ = map_people(tmp_path, people, plan)

    assert {name: each["matching"] for name, each in mapped.items()} == {
        '{"braze_id":"b1"}': '[[{"id":"crm_id","value":"7"},{"id":"email","value":"a@b.nl"}]]'
    }
    assert counts.skipped == {"no_identifier": 1}


@pytest.mark.parametrize(
    ("filter_type", "found"), [pytest.param("EMAIL", False, id="e-mail"), pytest.param("SELECT", True, id="text")]
)
def test_an_address_that_an_email_property_can_not_hold_finds_nobody(
    filter_type: str, found: bool, tmp_path: Path
) -> None:
    plan = plan_of(identifiers=(EMAIL,), property_types={"email": filter_type})

    counts, _, _ = map_people(tmp_path, [user("b1", email=["nobody"])], plan)

    assert counts.skipped == ({} if found else {"no_identifier": 1})


def test_the_later_line_of_a_user_who_is_exported_twice_counts(tmp_path: Path) -> None:
    plan = plan_of(ImportTarget("tier", "custom_attributes.tier", "set", None, "SELECT"))
    people = [
        {**user("b1", external_id=["7"], custom_attributes__tier=[tier]), "last_modified": None}
        for tier in ("silver", "gold", "bronze")
    ]

    counts, mapped, skipped = map_people(tmp_path, people, plan)

    assert mapped['{"braze_id":"b1"}']["field_tier"] == '["bronze"]'
    assert counts.skipped == {"same_person_twice": 2}
    assert [each["reason"] for each in skipped] == ["same_person_twice"] * 2


@pytest.mark.parametrize(
    ("merge", "text"),
    [
        ("set", None),
        ("add", None),
        ("remove", None),
        ("sum", None),
        ("set_if_empty", None),
        ("set_or_clear", "null"),
    ],
)
def test_an_empty_source_empties_the_property_only_where_the_row_says_so(
    merge: Any, text: str | None, tmp_path: Path
) -> None:
    plan = plan_of(ImportTarget("x", "custom_attributes.x", merge, None, "RANGE"))

    _, mapped, _ = map_people(tmp_path, [user("b1", external_id=["7"], custom_attributes__x=[])], plan)

    assert mapped['{"braze_id":"b1"}']["field_x"] == text


def test_a_value_that_the_property_can_not_hold_never_empties_it(tmp_path: Path) -> None:
    plan = plan_of(ImportTarget("x", "custom_attributes.x", "set_or_clear", None, "RANGE"))

    counts, mapped, _ = map_people(tmp_path, [user("b1", external_id=["7"], custom_attributes__x=["2147483648"])], plan)

    assert mapped['{"braze_id":"b1"}']["field_x"] is None
    assert counts.warnings == {("x", "over_2147483647"): 1}


# The delta


def test_the_delta_knows_how_each_target_is_merged_and_acts_on_no_leavers() -> None:
    targets = [
        ImportTarget("a", "email", "set", None, "EMAIL"),
        ImportTarget("b", "total_revenue", "sum", "increase", "DECIMAL"),
        ImportTarget("c", "random_bucket", "sum", "value", "RANGE"),
    ]

    plan = import_delta_plan(
        targets, partitions=4, as_of=day(3), send="changed_fields", complete=True, allow_stale=False, policy="p1"
    )

    assert plan.targets == ("a", "b", "c")
    assert plan.merges == {"a": "set", "b": "sum", "c": "sum"}
    assert plan.increases == {"b"}
    assert (plan.leavers, plan.billable, plan.holds_back, plan.policy) == (None, frozenset(), True, "p1")


def test_a_run_may_try_those_again_who_were_refused() -> None:
    plan = import_delta_plan(
        [], partitions=1, as_of=day(3), send="changed_fields", complete=True, allow_stale=False, policy="",
        retry_held=True,
    )  # fmt: skip

    assert plan.holds_back is False


def test_the_policy_changes_with_what_it_holds_and_with_nothing_else() -> None:
    base = {"allow_creation": False, "objectives": ["news"], "legislation": None}

    assert import_policy(base) == import_policy(dict(reversed(base.items())))
    assert import_policy(base) != import_policy({**base, "allow_creation": True})
    assert import_policy(base) != import_policy({**base, "objectives": []})


# What both directions carry over


@pytest.mark.parametrize(
    ("source", "merge", "carried"),
    [
        ("email", "set", "email"),
        ("email", "set_or_clear", "email"),
        ("email", "set_if_empty", None),
        ("custom_attributes.tier", "set", "tier"),
        ('custom_attributes["a.b"]', "set", "a.b"),
        ("custom_attributes.tags", "add", None),
        ("custom_attributes.tags", "remove", None),
        ("custom_attributes.address.city", "set", None),
        ("total_revenue", "set", "total_revenue"),
        ("devices", "set", None),
        ("devices.model", "set", None),
        ("purchases[name=sku1].count", "set", None),
    ],
)
@pytest.mark.promise(7)
def test_only_whole_values_that_replace_what_is_there_are_carried_one_to_one(
    source: str, merge: Any, carried: str | None
) -> None:
    pairs = imported_pairs([ImportTarget("x", source, merge, None, "SELECT")])

    assert pairs == ({"x": (carried, "x")} if carried else {})


# What an export goal saw of BlueConic


def seen_by_an_export(*columns: str) -> Observation:
    return Observation("export", "blueconic", "bc", day(2), "s3://b/snapshot", columns, (), "", (), "")


TIER = ImportTarget("tier", "custom_attributes.tier", "set", None, "SELECT")
POINTS = ImportTarget("points", "custom_attributes.points", "set", None, "RANGE")
REVENUE = ImportTarget("revenue", "total_revenue", "sum", "increase", "DECIMAL")


@pytest.mark.promise(7)
def test_profiles_are_read_as_the_import_writes_them_and_found_by_each_link(tmp_path: Path) -> None:
    wanted = observed_profiles(
        (EXTERNAL, EMAIL), (TIER, POINTS, REVENUE), {}, seen_by_an_export("crm_id", "email", "tier", "points")
    )
    people = [
        {
            property_column("crm_id"): ["7"],
            property_column("email"): ["a@b.nl"],
            property_column("tier"): ["gold"],
            property_column("points"): [],
        },
        {property_column("crm_id"): [], property_column("email"): [], property_column("tier"): ["silver"]},
    ]

    found = []
    for number, each in enumerate(wanted):
        _, mapped, _ = map_people(tmp_path / str(number), people, each)
        found.append({name: (one["field_tier"], one["field_points"]) for name, one in mapped.items()})

    assert found == [
        {'{"id":"crm_id","value":"7"}': ('["gold"]', "null")},
        {'{"id":"email","value":"a@b.nl"}': ('["gold"]', "null")},
    ]
    assert [field.target for field in wanted[0].fields] == ["tier", "points"]


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(("crm_id", "other"), id="no property that is written"),
        pytest.param(("tier",), id="no link"),
        pytest.param(("crm_id", "revenue"), id="a number that is added to"),
    ],
)
def test_a_read_that_tells_nothing_of_use_is_not_looked_at(columns: tuple[str, ...]) -> None:
    assert observed_profiles((EXTERNAL,), (TIER, REVENUE), {}, seen_by_an_export(*columns)) == []

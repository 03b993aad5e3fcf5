"""Paths say what to read of an exported Braze user, and say so when they can't."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.vendors.braze_export_fields import BRAZE_EXPORT_FIELDS
from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts
from airflow_provider_braze_blueconic.vendors.braze_paths import alias_path, attribute_path, parse_path

# Every field of the vendor's page with a value as its table and sample describe it.
USER: dict[str, Any] = {
    "apps": [{"name": "Shop", "platform": "iOS", "version": "1.2.0", "sessions": 3}],
    "attributed_ad": "ad",
    "attributed_adgroup": "group",
    "attributed_campaign": "campaign",
    "attributed_source": "source",
    "braze_id": "5fbd99bac125ca40511f2cb1",
    "campaigns_received": [
        {"name": "Welcome", "api_campaign_id": "c-1", "converted": True, "engaged": {"opened_email": True}},
        {"name": "Spring", "api_campaign_id": "c-2", "converted": False},
    ],
    "canvases_received": [
        {
            "name": "Onboarding",
            "api_canvas_id": "v-1",
            "steps_received": [{"name": "Step 1"}, {"name": "Step 2"}],
        },
        {"name": "Win back", "steps_received": [{"name": "Step 3"}]},
    ],
    "country": "NL",
    "created_at": "2020-07-10 15:00:00.000 UTC",
    "created_from": "SDK",
    "custom_attributes": {
        "tags": ["a", "b"],
        "address": {"city": "Utrecht", "geo": {"lat": 52.1}},
        "a.b": "dotted",
        "My tags": "spaced",
        "bracket]": "closed",
        "gone": None,
    },
    "custom_events": [
        {"name": "opened", "first": "2021-06-28T17:02:43.032Z", "last": "2022-01-01T00:00:00.000Z", "count": 7},
        {"name": "a]b", "count": 1},
    ],
    "devices": [{"model": "iPhone 15", "ad_tracking_enabled": True}, {"model": "Pixel", "carrier": None}, {"os": "9"}],
    "dob": "1980-12-21",
    "email": "zoë@example.com",
    "email_subscribe": "opted_in",
    "external_id": "007",
    "first_name": "Zoë",
    "gender": "F",
    "home_city": "Utrecht",
    "language": "nl",
    "last_coordinates": [41.84157636433568, -87.83520818508256],
    "last_name": "Jansen",
    "phone": "+31612345678",
    "purchases": [{"name": "sku1", "count": 2}, {"name": "sku.2", "count": 5}],
    "push_subscribe": "subscribed",
    "push_tokens": [{"app": "Shop", "token": "t-1"}],
    "random_bucket": 2365,
    "time_zone": "Eastern Time (US & Canada)",
    "total_revenue": 65.0,
    "uninstalled_at": "2022-01-01T00:00:00.000Z",
    "user_aliases": [
        {"alias_name": "1", "alias_label": "crm"},
        {"alias_name": "2", "alias_label": "my [old] crm"},
    ],
}

SCALARS = {
    name: [text if isinstance(text, str) else None]
    for name, text in USER.items()
    if not isinstance(text, list | dict | int | float)
}


@pytest.mark.parametrize("field", BRAZE_EXPORT_FIELDS)
def test_every_documented_field_can_be_read(field: str) -> None:
    path = parse_path(field)

    assert (path.field, path.attribute) == (field, None)
    assert path.texts(USER)
    assert path.texts({}) is None
    assert path.texts({field: None}) is None


@pytest.mark.parametrize("field", SCALARS)
def test_text_stays_as_it_is(field: str) -> None:
    assert parse_path(field).texts(USER) == SCALARS[field]


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("random_bucket", ["2365"]),
        ("total_revenue", ["65"]),
        ("last_coordinates", ["41.84157636433568", "-87.83520818508256"]),
        ("last_coordinates[0]", ["41.84157636433568"]),
        ("last_coordinates[1]", ["-87.83520818508256"]),
        ("last_coordinates[-1]", ["-87.83520818508256"]),
        ("custom_attributes.tags[0]", ["a"]),
        ("custom_attributes.tags[-1]", ["b"]),
        ("custom_attributes.tags[2]", None),
        ("custom_attributes.address[0].city", ["Utrecht"]),
        ("custom_attributes.address.geo.lat[0]", ["52.1"]),
        ("custom_attributes.gone[0]", None),
        ("custom_attributes.tags", ["a", "b"]),
        ("custom_attributes.My tags", ["spaced"]),
        ('custom_attributes["a.b"]', ["dotted"]),
        ('custom_attributes["bracket]"]', ["closed"]),
        ('custom_attributes["tags"]', ["a", "b"]),
        ("custom_attributes.gone", None),
        ("custom_attributes.never", None),
        ("custom_attributes.address", ['{"city":"Utrecht","geo":{"lat":52.1}}']),
        ("custom_attributes.address.city", ["Utrecht"]),
        ("custom_attributes.address.geo.lat", ["52.1"]),
        ("custom_attributes.address.street", None),
        ("custom_attributes.tags.city", None),
        ("purchases[name=sku1].count", ["2"]),
        ("purchases[name=sku.2].count", ["5"]),
        ("purchases[name=sku3].count", None),
        ("purchases[count=5].name", ["sku.2"]),
        ("purchases[name=sku1]", ['{"count":2,"name":"sku1"}']),
        ("purchases[name=sku1][count=2].count", ["2"]),
        ("purchases[name=sku1][count=3].count", None),
        ("custom_events[name=opened].last", ["2022-01-01T00:00:00.000Z"]),
        ('custom_events[name="a]b"].count', ["1"]),
        ("devices.model", ["iPhone 15", "Pixel"]),
        ("devices.carrier", None),
        ("devices[ad_tracking_enabled=true].model", ["iPhone 15"]),
        ("user_aliases[alias_label=crm].alias_name", ["1"]),
        ('user_aliases[alias_label="my [old] crm"].alias_name', ["2"]),
        ("canvases_received.steps_received.name", ["Step 1", "Step 2", "Step 3"]),
        ("campaigns_received", ["Welcome", "Spring"]),
        ("campaigns_received.api_campaign_id", ["c-1", "c-2"]),
        ("campaigns_received[api_campaign_id=c-2].name", ["Spring"]),
        ("campaigns_received.engaged.opened_email", ["true"]),
        ("campaigns_received[converted=false].name", ["Spring"]),
    ],
)
def test_a_path_finds(path: str, texts: list[str] | None) -> None:
    assert parse_path(path).texts(USER) == texts


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("custom_attributes.route.points", ["[5,5]", "[4,52]"]),
        ("custom_attributes.route.points[1]", ["4", "52"]),
        ("custom_attributes.route.points[1][0]", ["4"]),
        ("custom_attributes.route.odd[1]", ["5"]),
        ("custom_attributes.route.odd[0]", None),
        ("custom_attributes.pets.name[1]", ["Rex"]),
        ('custom_attributes["a.b"][0]', ["first"]),
    ],
)
def test_a_place_picks_one_of_several_values(path: str, texts: list[str] | None) -> None:
    route = {"points": [[5, 5], [4, 52]], "odd": [None, 5]}
    attributes = {"route": route, "pets": [{"name": "Bo"}, {}, {"name": "Rex"}], "a.b": ["first"]}

    assert parse_path(path).texts({"custom_attributes": attributes}) == texts


@pytest.mark.parametrize(
    ("path", "is_ordered"),
    [
        ("last_coordinates", True),
        ("custom_attributes.place.coordinates", True),
        ("custom_attributes.pets.name", True),
        ("custom_attributes.tags", False),
        ('custom_attributes["a.b"]', False),
        ("devices.model", False),
        ("purchases.name", False),
        ("campaigns_received", False),
        ("email", False),
    ],
)
def test_order_means_something_in_coordinates_and_inside_of_nested_attributes(path: str, is_ordered: bool) -> None:
    assert parse_path(path).is_ordered is is_ordered


def test_an_object_in_the_place_of_a_list_counts_as_a_list_of_one() -> None:
    # Braze's table calls user_aliases an object, its sample shows a list.
    user = {"user_aliases": {"alias_name": "1", "alias_label": "crm"}}

    assert parse_path("user_aliases[alias_label=crm].alias_name").texts(user) == ["1"]


@pytest.mark.parametrize("odd", ["text", 5, [], ["text"], [None], None, [[{"model": "inner"}]]], ids=repr)
def test_a_step_into_something_odd_finds_nothing_or_what_is_inside(odd: object) -> None:
    found = ["inner"] if isinstance(odd, list) and odd and isinstance(odd[0], list) else None

    assert parse_path("devices.model").texts({"devices": odd}) == found
    assert parse_path("custom_attributes.x").texts({"custom_attributes": odd}) is None


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ('"007"', ["007"]),
        ('""', [""]),
        ('" a\\n"', [" a\n"]),
        ("1e21", ["1000000000000000000000"]),
        ("1.5e-7", ["0.00000015"]),
        ("12.50", ["12.5"]),
        ("12.0", ["12"]),
        ("-0.0", ["0"]),
        ("0", ["0"]),
        ("-5", ["-5"]),
        ("0.1", ["0.1"]),
        ("12345678901234567890123", ["12345678901234567890123"]),
        ("true", ["true"]),
        ("false", ["false"]),
        ("null", None),
        ("[]", []),
        ('["a", null, 1, 2.0, true]', ["a", "1", "2", "true"]),
        ('[["b", "a"], {"z": 1, "a": "é"}]', ['["b","a"]', '{"a":"é","z":1}']),
        ("{}", ["{}"]),
    ],
)
def test_a_value_becomes_texts(value: str, texts: list[str] | None) -> None:
    assert value_texts(json.loads(value)) == texts


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e22)
@example(5e-324)
@settings(max_examples=200, deadline=None)
def test_no_number_is_written_with_an_exponent_or_loses_a_digit(number: float) -> None:
    (text,) = value_texts(number) or [""]

    assert set(text) <= set("-0123456789.")
    assert float(text) == number
    assert not text.endswith(".0")


def test_campaigns_go_by_their_present_name_then_by_their_name_in_the_export_then_by_their_id() -> None:
    user = {
        "campaigns_received": [
            {"name": "old", "api_campaign_id": "c-1"},
            {"name": "unlisted", "api_campaign_id": "c-2"},
            {"api_campaign_id": "c-3"},
            {"last_received": "2026-01-01"},
            None,
            "odd",
        ]
    }
    read = parse_path("campaigns_received").reader({"c-1": "new"})

    assert read(user) == ["new", "unlisted", "c-3", "odd"]
    assert read({}) is None
    assert read({"campaigns_received": []}) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("e_mail", 'Braze exports no field "e_mail". Nearest: "email".'),
        ("Email", 'Braze exports no field "Email". Nearest: "email".'),
        ("purchase[name=x].count", 'Braze exports no field "purchase". Nearest: "purchases".'),
        ("custom_attribute.tier", 'Braze exports no field "custom_attribute". Nearest: "custom_attributes"'),
        ("tier", 'Braze exports no field "tier". For a custom attribute write "custom_attributes.tier".'),
        ("tier.gold", 'Braze exports no field "tier". For a custom attribute write "custom_attributes.tier.gold".'),
        ("", 'expected a field of Braze\'s segment export, such as "email"; found "".'),
        ("[name=x]", 'expected a field of Braze\'s segment export, such as "email"; found "[name=x]".'),
        ("custom_attributes", 'a row reads one custom attribute: write "custom_attributes.<name>".'),
        ("custom_attributes[a=b]", 'a row reads one custom attribute: write "custom_attributes.<name>".'),
        ("email.domain", '"email" is a string in Braze and has no parts. Write "email" alone.'),
        ("last_coordinates.x", '"last_coordinates" is a list of numbers in Braze and has no parts.'),
        ("last_coordinates.x", 'Write "last_coordinates" alone, or "last_coordinates[0]" for one of them.'),
        ("last_coordinates[2]", 'a pair of numbers. Write "last_coordinates[0]" or "last_coordinates[1]".'),
        ("last_coordinates[-3]", 'a pair of numbers. Write "last_coordinates[0]" or "last_coordinates[1]".'),
        ("email[0]", '"email[0]" can\'t be read from "[0]" on.'),
        ("custom_attributes[0]", 'a row reads one custom attribute: write "custom_attributes.<name>".'),
        ("custom_attributes.tags[x]", "or [<name>=<value>], or [<number>] for one of several."),
        ("custom_attributes.tags[1.5]", 'from "[1.5]" on.'),
        ("purchases[name=sku1][0]", 'from "[0]" on.'),
        ("subscription_groups.x", "Braze doesn't export subscription groups. Import one segment for each group"),
        ("user_alias", 'For the name under one label write "user_aliases[alias_label=<label>].alias_name".'),
        ("devices[0]", '"devices[0]" can\'t be read from "[0]" on. Expected .<name>, ["<name with a dot>"] or'),
        ("devices.", '"devices." can\'t be read from "." on.'),
        ("devices..model", 'from "..model" on.'),
        ("devices. model", 'from ". model" on.'),
        ("devices]model", 'from "]model" on.'),
        ('custom_attributes["a', 'from "["a" on.'),
        ("custom_attributes.a\nb", 'from ".a b" on.'),
        ("purchases[name=]", 'from "[name=]" on.'),
        ("purchases[name= x].count", 'put the value in "[name= x]" between quotes: [name="…"].'),
        (r'custom_attributes["a\x"]', r"can't be read: between quotes, write \" for a quote and \\ for \."),
    ],
)
def test_a_path_that_can_not_be_read_says_why(path: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_path(path)

    assert problem in str(caught.value)


def test_a_message_holds_no_more_than_the_beginning_of_a_long_path() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_path("x" * 5_000)

    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("email", "string"),
        ("total_revenue", "float"),
        ("random_bucket", "integer"),
        ("purchases", "array"),
        ("purchases[name=x]", "array"),
        ("purchases[name=x].count", "integer"),
        ("purchases[name=x].last", "time"),
        ("custom_events.count", "integer"),
        ("apps.sessions", "integer"),
        ("devices.not_documented", "any"),
        ("campaigns_received.engaged.opened_email", "any"),
        ("custom_attributes.x", "any"),
        ("custom_attributes.x.count", "any"),
    ],
)
def test_a_path_knows_what_braze_holds_there_as_far_as_its_pages_say(path: str, kind: str) -> None:
    assert parse_path(path).kind == kind


@given(st.text(max_size=20) | st.text(alphabet='ab.[]"\\= \n', max_size=8))
@example("")
@example(" a")
@example("a=b")
@example('a"b')
@example("\u2028")
@settings(max_examples=200, deadline=None)
def test_every_attribute_name_has_a_path_that_is_read_back(name: str) -> None:
    path = parse_path(attribute_path(name))

    assert (path.field, path.attribute) == ("custom_attributes", name)
    assert path.texts({"custom_attributes": {name: "here"}}) == ["here"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("tags", "custom_attributes.tags"),
        ("My tags", "custom_attributes.My tags"),
        ("a.b", 'custom_attributes["a.b"]'),
        ("a[0]", 'custom_attributes["a[0]"]'),
        ('say "hi"', r'custom_attributes["say \"hi\""]'),
    ],
)
def test_a_plain_name_has_a_plain_path(name: str, path: str) -> None:
    assert attribute_path(name) == path


@given(st.text(min_size=1, max_size=12) | st.text(alphabet='ab.[]"\\= ', min_size=1, max_size=8))
@example("crm")
@example("crm]")
@settings(max_examples=150, deadline=None)
def test_every_label_has_a_path_that_finds_its_alias(label: str) -> None:
    user = {"user_aliases": [{"alias_name": "1", "alias_label": label}, {"alias_name": "2", "alias_label": "~"}]}

    assert parse_path(alias_path(label)).texts(user) == (["1"] if label != "~" else ["1", "2"])


def test_a_path_can_be_pickled_before_it_is_read() -> None:
    path = parse_path("purchases[name=sku1].count")

    assert pickle.loads(pickle.dumps(path)) == path

"""The objects of /users/track, exactly as Braze gets them."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.braze.objects import BODY_AFTER, BODY_BEFORE, attributes_sql
from airflow_provider_braze_blueconic.sync.engine.columns import field_column

GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"
OTHER_GROUP = "subscription_groups.fedcba98-7654-3210-fedc-ba9876543210"


def objects(rows: list[dict[str, Any]], targets: list[str], *, allow_creation: bool = False) -> list[tuple[str, str]]:
    """Make the objects of delta rows, given as identifier, kind, to_send and target fields."""
    columns = ["identifier", "kind", "to_send", *(field_column(target) for target in targets)]
    table = [
        (
            row.get("identifier", '{"external_id":"1"}'),
            row.get("kind", "change"),
            row.get("to_send", True),
            *(row.get(target) for target in targets),
        )
        for row in rows
    ]
    with duckdb.connect() as connection:
        names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        types = ", ".join(["VARCHAR", "VARCHAR", "BOOLEAN", *(["VARCHAR"] * len(targets))])
        definition = ", ".join(
            f"{name} {type_}" for name, type_ in zip(names.split(", "), types.split(", "), strict=True)
        )
        connection.execute(f"CREATE TABLE delta ({definition})")
        connection.executemany(f"INSERT INTO delta VALUES ({', '.join('?' * len(columns))})", table)
        return connection.execute(attributes_sql("delta", columns, allow_creation=allow_creation)).fetchall()


def body_of(row: dict[str, Any], targets: list[str], *, allow_creation: bool = False) -> str:
    ((_, body),) = objects([row], targets, allow_creation=allow_creation)
    return body


@pytest.mark.parametrize(
    ("identifier", "begins"),
    [
        ('{"external_id":"crm-1"}', '{"external_id":"crm-1",'),
        ('{"braze_id":"5f3c"}', '{"braze_id":"5f3c",'),
        ('{"email":"ann@example.org"}', '{"email":"ann@example.org",'),
        ('{"phone":"+31612345678"}', '{"phone":"+31612345678",'),
        (
            '{"user_alias":{"alias_name":"7","alias_label":"crm"}}',
            '{"user_alias":{"alias_name":"7","alias_label":"crm"},',
        ),
        ('{"external_id":"Zoë 👩‍👩‍👧 \\"q\\" \\\\"}', '{"external_id":"Zoë 👩‍👩‍👧 \\"q\\" \\\\",'),
    ],
    ids=["external_id", "braze_id", "email", "phone", "user_alias", "odd-characters"],
)
def test_an_object_begins_with_who_it_is(identifier: str, begins: str) -> None:
    body = body_of({"identifier": identifier, "vip": "true"}, ["vip"])

    assert body == begins + '"_update_existing_only":true,"vip":true}'


def test_the_identifier_comes_back_as_it_was_so_that_receipts_find_their_row() -> None:
    ((identifier, _),) = objects([{"identifier": '{"external_id":"crm-1"}', "vip": "true"}], ["vip"])

    assert identifier == '{"external_id":"crm-1"}'


@pytest.mark.parametrize("kind", ["insert", "change", "return"])
@pytest.mark.parametrize(("allow_creation", "update_only"), [(False, "true"), (True, "false")])
def test_creation_is_always_said_and_never_left_to_brazes_default(
    kind: str, allow_creation: bool, update_only: str
) -> None:
    body = body_of({"kind": kind, "vip": "true"}, ["vip"], allow_creation=allow_creation)

    assert body == f'{{"external_id":"1","_update_existing_only":{update_only},"vip":true}}'


def test_somebody_who_left_is_never_created() -> None:
    body = body_of({"kind": "leave", "vip": "false"}, ["vip"], allow_creation=True)

    assert body == '{"external_id":"1","_update_existing_only":true,"vip":false}'


def test_null_clears_and_nothing_is_said_of_a_field_without_a_value() -> None:
    body = body_of({"first_name": "null", "age": None, "tags": '["a","b"]'}, ["first_name", "age", "tags"])

    assert body == '{"external_id":"1","_update_existing_only":true,"first_name":null,"tags":["a","b"]}'


def test_a_value_travels_as_the_very_text_that_the_ledger_will_hold() -> None:
    row = {"a": '"007"', "b": "42", "c": "1.50", "d": '{"k":[1,{"x":null}]}', "e": '"O\'Neil \\"x\\" \\u2028 Zoë"'}

    body = body_of(row, ["a", "b", "c", "d", "e"])

    assert body == (
        '{"external_id":"1","_update_existing_only":true,'
        '"a":"007","b":42,"c":1.50,"d":{"k":[1,{"x":null}]},"e":"O\'Neil \\"x\\" \\u2028 Zoë"}'
    )


def test_attribute_names_with_quotes_and_non_ascii_are_written_as_json() -> None:
    names = ['Say "hi"', "it's", "Größe", "Points now", "back\\slash", "dotted.name", "日本"]

    body = body_of({name: str(number) for number, name in enumerate(names)}, names)

    assert json.loads(body) == {
        "external_id": "1",
        "_update_existing_only": True,
        **{name: number for number, name in enumerate(names)},
    }
    assert '"Größe":2' in body


def test_subscription_groups_travel_in_one_list() -> None:
    body = body_of({"vip": "true", GROUP: '"subscribed"', OTHER_GROUP: '"unsubscribed"'}, ["vip", GROUP, OTHER_GROUP])

    assert body == (
        '{"external_id":"1","_update_existing_only":true,"vip":true,"subscription_groups":['
        '{"subscription_group_id":"01234567-89ab-cdef-0123-456789abcdef","subscription_state":"subscribed"},'
        '{"subscription_group_id":"fedcba98-7654-3210-fedc-ba9876543210","subscription_state":"unsubscribed"}]}'
    )


@pytest.mark.parametrize("state", [None, "null"], ids=["nothing-to-say", "clear"])
def test_a_subscription_group_without_a_state_is_left_out(state: str | None) -> None:
    body = body_of({"vip": "true", GROUP: '"subscribed"', OTHER_GROUP: state}, ["vip", GROUP, OTHER_GROUP])

    assert body == (
        '{"external_id":"1","_update_existing_only":true,"vip":true,"subscription_groups":['
        '{"subscription_group_id":"01234567-89ab-cdef-0123-456789abcdef","subscription_state":"subscribed"}]}'
    )


def test_an_object_without_any_group_has_no_list_of_them() -> None:
    body = body_of({"vip": "true"}, ["vip", GROUP])

    assert body == '{"external_id":"1","_update_existing_only":true,"vip":true}'


def test_only_rows_that_are_to_be_sent_become_objects() -> None:
    rows = [
        {"identifier": '{"external_id":"1"}', "to_send": False, "kind": "return"},
        {"identifier": '{"external_id":"2"}', "vip": "true"},
    ]

    assert [identifier for identifier, _ in objects(rows, ["vip"])] == ['{"external_id":"2"}']


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    who=st.lists(text.filter(bool), min_size=1, max_size=4, unique=True),
    fields=st.dictionaries(
        text.filter(lambda name: name and not name.startswith(("subscription_groups.", "external_id", "_update"))),
        values,
        min_size=1,
        max_size=4,
    ),
)
def test_every_body_parses_to_what_was_meant(who: list[str], fields: dict[str, Any]) -> None:
    written = {name: json.dumps(value, ensure_ascii=False) for name, value in fields.items()}
    rows = [{"identifier": json.dumps({"external_id": one}, ensure_ascii=False), **written} for one in who]
    rows = [{**row, "identifier": row["identifier"].replace('": "', '":"', 1)} for row in rows]

    made = objects(rows, list(fields))
    body = BODY_BEFORE + b",".join(text.encode() for _, text in made) + BODY_AFTER

    assert sorted(json.loads(body)["attributes"], key=lambda entry: entry["external_id"]) == [
        {"external_id": one, "_update_existing_only": True, **fields} for one in sorted(who)
    ]

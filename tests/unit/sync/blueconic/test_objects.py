"""Entries of PUT /profiles out of a delta."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from airflow_provider_braze_blueconic.sync.blueconic.objects import BODY_AFTER, BODY_BEFORE, STRATEGIES, profiles_sql
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, increase_column

BY_ID = '[[{"id":"braze_id","value":"b1"}]]'
BY_ID_OR_EMAIL = '[[{"id":"braze_id","value":"b1"}],[{"id":"email","value":"Zoë \\"Z\\" O\'Neil"}]]'


def entries(
    *rows: dict[str, str | None],
    merges: dict[str, str] | None = None,
    **how: Any,
) -> list[tuple[dict[str, Any], bool]]:
    """Make entries of rows: target → JSON text, ``+target`` for an increase, and the books' own columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    targets = [name for name in names if name not in ("kind", "matching", "to_send") and not name.startswith("+")]
    columns = {name: field_column(name) for name in targets}
    columns |= {name: increase_column(name[1:]) for name in names if name.startswith("+")}
    listed = []
    for number, row in enumerate(rows):
        texts = {
            "identifier": json.dumps({"braze_id": f"b{number + 1}"}, separators=(",", ":")),
            "kind": "change",
            "matching": BY_ID,
            **{name: value for name, value in row.items() if name in ("kind", "matching")},
            **{column: row.get(name) for name, column in columns.items()},
        }
        listed.append({**texts, "to_send": row.get("to_send") != "no"})
    with duckdb.connect() as connection:
        types = ", ".join(f'"{name}" {"BOOLEAN" if name == "to_send" else "VARCHAR"}' for name in listed[0])
        connection.execute(f"CREATE TABLE delta ({types})")
        for one in listed:
            marks = ", ".join("?" * len(one))
            connection.execute(f"INSERT INTO delta VALUES ({marks})", list(one.values()))
        chosen = {**dict.fromkeys(targets, "set"), **(merges or {})}
        sql = profiles_sql("delta", list(listed[0]), merges=chosen, **{"creates": False, **how})
        found = connection.execute(f"SELECT body, repeatable FROM ({sql}) ORDER BY identifier").fetchall()
    return [(json.loads(body), repeatable) for body, repeatable in found]


def rules(*rows: dict[str, str | None], **how: Any) -> list[dict[str, Any]]:
    ((entry, _),) = entries(*rows, **how)
    found: list[dict[str, Any]] = entry["properties"]
    return found


def test_an_entry_addresses_a_person_and_says_everything_whose_default_would_surprise() -> None:
    ((entry, repeatable),) = entries({"city": '["NL"]'})

    assert entry == {
        "identifier": "84b5ff0517cf988d",
        "strategy": "UPDATE",
        "matching": [[{"id": "braze_id", "value": "b1"}]],
        "triggerOnPropertyChange": False,
        "properties": [{"id": "city", "values": ["NL"], "strategy": "SET"}],
    }
    assert repeatable is True


@pytest.mark.promise(8)
def test_the_key_of_an_entry_names_nobody() -> None:
    first, second = entries({"city": '["NL"]'}, {"city": '["NL"]'})

    assert "b1" not in first[0]["identifier"]
    assert first[0]["identifier"] != second[0]["identifier"]
    assert len(first[0]["identifier"]) == 16


def test_the_key_stands_first_in_an_entry() -> None:
    ((entry, _),) = entries({"city": '["NL"]'})

    assert next(iter(entry)) == "identifier"


@pytest.mark.parametrize(
    ("merge", "strategy"),
    [("set", "SET"), ("set_or_clear", "SET"), ("set_if_empty", "SET_IF_EMPTY"), ("add", "ADD"), ("remove", "REMOVE")],
)
def test_a_merge_is_a_strategy(merge: str, strategy: str) -> None:
    assert rules({"tags": '["a","b"]'}, merges={"tags": merge}) == [
        {"id": "tags", "values": ["a", "b"], "strategy": strategy}
    ]


def test_every_merge_has_a_strategy() -> None:
    assert set(STRATEGIES) == {"set", "set_or_clear", "set_if_empty", "add", "remove", "sum"}


def test_null_empties_a_property_and_nothing_says_nothing() -> None:
    assert rules({"city": "null", "country": None, "age": '["7"]'}, merges={"city": "add"}) == [
        {"id": "city", "values": [], "strategy": "SET"},
        {"id": "age", "values": ["7"], "strategy": "SET"},
    ]


@pytest.mark.promise(2)
def test_of_a_sum_only_the_increase_is_sent_and_only_that_row_cannot_be_repeated() -> None:
    (added, can_add), (other, can_other) = entries(
        {"revenue": '["12"]', "+revenue": '["5"]', "city": None},
        {"revenue": '["7"]', "+revenue": None, "city": '["NL"]'},
        merges={"revenue": "sum"},
    )

    assert added["properties"] == [{"id": "revenue", "values": ["5"], "strategy": "INCREMENT"}]
    assert other["properties"] == [{"id": "city", "values": ["NL"], "strategy": "SET"}]
    assert (can_add, can_other) == (False, True)


def test_a_sum_whose_delta_holds_no_increase_is_not_sent_as_a_value() -> None:
    assert rules({"revenue": '["12"]', "city": '["NL"]'}, merges={"revenue": "sum"}) == [
        {"id": "city", "values": ["NL"], "strategy": "SET"}
    ]


def test_names_and_values_with_quotes_arrive_as_they_are() -> None:
    strange = 'it\'s "odd" é'

    assert rules({strange: json.dumps(['Zoë "Z" O\'Neil'], ensure_ascii=False)}) == [
        {"id": strange, "values": ['Zoë "Z" O\'Neil'], "strategy": "SET"}
    ]


def test_where_creating_is_allowed_a_created_profile_gets_what_it_was_looked_for_by() -> None:
    ((entry, _),) = entries(
        {"city": '["NL"]', "matching": BY_ID_OR_EMAIL}, creates=True, links=["braze_id", "email", "phone"]
    )

    assert entry["strategy"] == "UPSERT"
    assert entry["properties"] == [
        {"id": "city", "values": ["NL"], "strategy": "SET"},
        {"id": "braze_id", "values": ["b1"], "strategy": "SET", "restriction": "NEW_PROFILES_ONLY"},
        {"id": "email", "values": ['Zoë "Z" O\'Neil'], "strategy": "SET", "restriction": "NEW_PROFILES_ONLY"},
    ]


def test_a_link_that_a_field_writes_is_added_only_where_the_field_says_nothing() -> None:
    rows = entries(
        {"email": '["x@y.example"]', "city": None, "matching": BY_ID_OR_EMAIL},
        {"email": None, "city": '["NL"]', "matching": BY_ID_OR_EMAIL},
        creates=True,
        links=["email"],
    )

    assert [rule["id"] for rule in rows[0][0]["properties"]] == ["email"]
    assert "restriction" not in rows[0][0]["properties"][0]
    assert [(rule["id"], rule.get("restriction")) for rule in rows[1][0]["properties"]] == [
        ("city", None),
        ("email", "NEW_PROFILES_ONLY"),
    ]


def test_links_are_left_alone_where_nobody_is_created() -> None:
    assert [rule["id"] for rule in rules({"city": '["NL"]'}, creates=False, links=["braze_id"])] == ["city"]


def test_someone_who_left_is_never_created() -> None:
    ((left, _), (stayed, _)) = entries({"city": "null", "kind": "leave"}, {"city": '["NL"]'}, creates=True)

    assert (left["strategy"], stayed["strategy"]) == ("UPDATE", "UPSERT")


def test_zone_and_domain_group_are_said_where_they_are_given() -> None:
    how: dict[str, Any] = {"legislation": "GDPR", "domain_group": "shop", "trigger_on_change": True}

    ((created, _),) = entries({"city": '["NL"]'}, creates=True, **how)
    ((updated, _),) = entries({"city": '["NL"]'}, creates=False, **how)

    assert (created["privacyLegislation"], created["domainGroup"]) == ("GDPR", "shop")
    assert created["triggerOnPropertyChange"] is True
    assert "privacyLegislation" not in updated
    assert updated["domainGroup"] == "shop"


def test_rows_that_only_keep_the_books_are_not_sent() -> None:
    assert entries({"city": '["NL"]', "to_send": "no"}) == []


def test_a_field_of_which_nobody_knows_the_merge_is_refused() -> None:
    with pytest.raises(ValueError, match='"city"'):
        profiles_sql("delta", [field_column("city")], merges={}, creates=False)


def test_entries_make_an_array() -> None:
    assert json.loads(BODY_BEFORE + b'{"identifier":"x"}' + BODY_AFTER) == [{"identifier": "x"}]

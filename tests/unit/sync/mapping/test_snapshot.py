"""From what was read to one row a person: who is skipped, whose record counts, what is said of each field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.blueconic.values import blueconic_rule
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, property_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_of
from airflow_provider_braze_blueconic.sync.mapping import value_files
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappedField
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType
from tests.support.core import day, engine, map_people, mapping, person, read_rows, write_snapshot_file

EMAIL = IdentifierLink(
    "mail", '{"email":', "}", normal="CASE WHEN contains({v}, '@') THEN lower({v}) END"
)  # fmt: skip


def field(target: str, column: str, type_: FieldType = "string", **how: Any) -> MappedField:
    return MappedField(target, quote(column), rule=braze_rule(target, type_), **how)


FIRST_NAME = field("first_name", "fn")
POINTS = field("points", "pts", "integer")


def values(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name.startswith("field_")}


# Who is mapped


def test_a_person_becomes_a_row_of_json_texts(tmp_path: Path) -> None:
    people = [{"crm": ["1"], "fn": ["Ann"], "pts": ["007"], "as_of": day(3), "last_modified": day(2)}]

    counts, mapped, skipped = map_people(tmp_path, people, mapping(FIRST_NAME, POINTS))

    assert mapped == {
        '{"external_id":"1"}': {
            "identifier": '{"external_id":"1"}',
            "as_of": day(3),
            "last_modified": day(2),
            "warnings": None,
            "field_first_name": '"Ann"',
            "field_points": "7",
        }
    }
    assert (counts.people, counts.skipped, counts.warnings) == (1, {}, {})
    assert skipped == []


FIRST_NAME_OF_ALL = MappedField("src", constant='"bc"')


# People who occur twice


@pytest.mark.parametrize(
    ("records", "winner"),
    [
        pytest.param(
            [{"last_modified": day(1)}, {"last_modified": day(3)}, {"last_modified": day(2)}], 1, id="latest modified"
        ),
        pytest.param([{"last_modified": None}, {"last_modified": day(1)}], 1, id="any date before none"),
        pytest.param([{"profile_id": "b"}, {"profile_id": "a"}], 1, id="same date: smallest profile id"),
        pytest.param([{"profile_id": "a"}, {"profile_id": "a"}], 1, id="same profile: read last"),
        pytest.param(
            [{"profile_id": "a", "last_modified": None}, {"profile_id": "b", "last_modified": None}], 0, id="no dates"
        ),
    ],
)
def test_of_a_person_who_occurs_twice_one_record_counts_whatever_the_order(
    records: list[dict[str, Any]], winner: int, tmp_path: Path
) -> None:
    people = [{"crm": ["1"], "fn": [f"n{number}"], **record} for number, record in enumerate(records)]
    plan = mapping(FIRST_NAME)
    part = write_snapshot_file(tmp_path / "a.parquet", people)
    # The same rows, with the same numbers, stored the other way round.
    rows = [{"row": number, "profile_id": f"p{number}", **one} for number, one in enumerate(people)]
    turned = write_snapshot_file(tmp_path / "b.parquet", rows[::-1])

    found = []
    for number, parts in enumerate(([part], [turned])):
        counts = map_snapshot(engine(tmp_path), parts, plan, tmp_path / f"mapped-{number}")
        assert counts.skipped == {"same_person_twice": len(records) - 1}
        found += read_rows((tmp_path / f"mapped-{number}").glob("partition=*/*.parquet"))

    assert [row["field_first_name"] for row in found] == [f'"n{winner}"'] * 2


def test_a_record_without_consent_takes_no_place_among_those_of_a_person_who_occurs_twice(tmp_path: Path) -> None:
    yes, no = {"crm": ["1"], "consented": ["news"]}, {"crm": ["1"], "consented": ["ads"]}
    people = [
        {**yes, "fn": ["old"], "last_modified": day(1)},
        {**yes, "fn": ["new"], "last_modified": day(2)},
        {**no, "fn": ["newest"], "last_modified": day(3)},
    ]

    counts, mapped, _ = map_people(tmp_path, people, mapping(FIRST_NAME, objectives=["news"]))

    assert values(mapped[person("1")]) == {"field_first_name": '"new"'}
    assert counts.skipped == {"no_consent": 1, "same_person_twice": 1}


def test_a_person_is_found_twice_across_the_parts_of_a_snapshot(tmp_path: Path) -> None:
    parts = [
        write_snapshot_file(tmp_path / "0.parquet", [{"crm": ["1"]}, {"crm": ["2"]}]),
        write_snapshot_file(tmp_path / "1.parquet", [{"crm": ["1"]}, {"crm": ["3"]}], first_row=2),
    ]

    counts = map_snapshot(engine(tmp_path), parts, mapping(FIRST_NAME_OF_ALL), tmp_path / "mapped")

    assert (counts.people, counts.skipped) == (3, {"same_person_twice": 1})


# Fields


@pytest.mark.parametrize(
    ("source", "kept", "cleared", "reason"),
    [
        pytest.param(["5"], "5", "5", None, id="a value"),
        pytest.param(None, None, "null", None, id="no property"),
        pytest.param([], None, "null", None, id="no values"),
        pytest.param(["", " "], None, "null", None, id="blank values"),
        pytest.param(["", "5"], "5", "5", None, id="a blank and a value"),
        pytest.param(["5", "5 "], "5", "5", None, id="the same value twice"),
        pytest.param(["x"], None, None, "not_an_integer", id="a refused value"),
        pytest.param(["5", "6"], "5", "5", "several_values_first_sent", id="several values"),
    ],
)
def test_a_missing_value_may_clear_a_field_and_a_refused_one_never_does(
    source: list[str] | None, kept: str | None, cleared: str | None, reason: str | None, tmp_path: Path
) -> None:
    people = [{"crm": ["1"], "pts": source}, {"crm": ["2"], "pts": ["1"]}]

    for name, clear_missing, wanted in (("keep", False, kept), ("clear", True, cleared)):
        counts, mapped, _ = map_people(tmp_path / name, people, mapping(POINTS, clear_missing=clear_missing))

        assert mapped[person("1")]["field_points"] == wanted
        assert counts.warnings == ({("points", reason): 1} if reason else {})


def test_nothing_is_said_of_a_field_to_people_from_whom_it_is_withheld(tmp_path: Path) -> None:
    """Not even that it is empty, and no value that is left out of it is counted."""
    people = [
        {"crm": ["1"], "mail": ["a@b"], "pts": ["7", "8"]},
        {"mail": ["c@d"], "pts": ["7", "8"]},
        {"crm": ["2"], "pts": None},
        {"mail": ["e@f"], "pts": None},
        {"mail": ["g@h"], "pts": ["many"]},
    ]
    withheld = ('{"phone":', '{"email":')
    plan = mapping(
        field("points", "pts", "integer", withheld_from=withheld),
        MappedField("src", constant='"bc"', withheld_from=withheld),
        identifiers=(IdentifierLink("crm", '{"external_id":', "}"), EMAIL),
        clear_missing=True,
    )

    counts, mapped, _ = map_people(tmp_path, people, plan)

    nothing = {"field_points": None, "field_src": None}
    assert {name: values(row) for name, row in mapped.items()} == {
        person("1"): {"field_points": "7", "field_src": '"bc"'},
        person("2"): {"field_points": "null", "field_src": '"bc"'},
        **dict.fromkeys((f'{{"email":"{mail}"}}' for mail in ("c@d", "e@f", "g@h")), nothing),
    }
    assert counts.warnings == {("points", "several_values_first_sent"): 1}


def test_a_field_that_cannot_be_empty_is_never_cleared(tmp_path: Path) -> None:
    subscription = field("email_subscribe", "state", clearable=False)

    _, mapped, _ = map_people(
        tmp_path, [{"crm": ["1"], "state": []}, {"crm": ["2"], "state": ["subscribed"]}],
        mapping(subscription, clear_missing=True),
    )  # fmt: skip

    assert [row["field_email_subscribe"] for row in mapped.values()] == [None, '"subscribed"']


def test_warnings_are_counted_by_field_and_reason_and_only_for_people_who_are_mapped(tmp_path: Path) -> None:
    people = [
        {"crm": ["1"], "fn": ["x" * 256], "pts": ["7.5"]},
        {"crm": ["2"], "fn": ["Bob", "Rob"], "pts": ["x", "y"]},
        {"crm": ["3"], "fn": ["Cid"], "pts": ["3"]},
        {"crm": [], "fn": ["x" * 256], "pts": ["x"]},
    ]

    counts, mapped, _ = map_people(tmp_path, people, mapping(FIRST_NAME, POINTS))

    assert counts.warnings == {
        ("first_name", "several_values_first_sent"): 1,
        ("first_name", "too_long"): 1,
        ("points", "not_an_integer"): 2,
        ("points", "several_values_first_sent"): 1,
    }
    assert values(mapped[person("1")]) == {"field_first_name": None, "field_points": None}
    assert values(mapped[person("2")]) == {"field_first_name": '"Bob"', "field_points": None}


def test_a_constant_goes_to_everybody(tmp_path: Path) -> None:
    _, mapped, _ = map_people(tmp_path, [{"crm": ["1"]}, {"crm": ["2"]}], mapping(MappedField("s", constant='"b\'c"')))

    assert [row["field_s"] for row in mapped.values()] == ['"b\'c"', '"b\'c"']


def test_a_list_becomes_an_array_or_one_text(tmp_path: Path) -> None:
    people = [
        {"crm": ["1"], "segs": ["VIP", "a,b", " VIP "]},
        {"crm": ["2"], "segs": [" "]},
        {"crm": ["3"], "segs": None},
    ]
    plan = mapping(field("as_array", "segs", "array"), field("as_text", "segs", joined=True), clear_missing=True)

    counts, mapped, _ = map_people(tmp_path, people, plan)

    assert values(mapped[person("1")]) == {"field_as_array": '["VIP","a,b"]', "field_as_text": '"VIP,a,b"'}
    assert values(mapped[person("2")]) == {"field_as_array": "null", "field_as_text": "null"}
    assert values(mapped[person("3")]) == {"field_as_array": "null", "field_as_text": "null"}
    assert counts.warnings == {}


@pytest.mark.parametrize("space", [" ", "\t", "\x1f", "\u00a0", "\u3000"])
def test_no_text_of_a_list_keeps_the_space_at_its_edges(space: str, tmp_path: Path) -> None:
    """Whether a list is rebuilt is told by its JSON text, in which each kind of space looks different."""
    lists = [[f"{space}a", "b"], ["a", f"b{space}"], ["a", space, "b"], ["a", "", "b"], ["a", None, "b"], ["b", "a"]]
    people = [{"crm": [str(number)], "segs": texts} for number, texts in enumerate(lists)]

    _, mapped, _ = map_people(tmp_path, people, mapping(field("as_array", "segs", "array")))

    assert [row["field_as_array"] for row in mapped.values()] == ['["a","b"]'] * len(lists)


def test_a_single_text_may_be_an_array_too(tmp_path: Path) -> None:
    level = field("levels", "level", "array", is_list=False)

    _, mapped, _ = map_people(tmp_path, [{"crm": ["1"], "level": " gold "}, {"crm": ["2"]}], mapping(level))

    assert [row["field_levels"] for row in mapped.values()] == ['["gold"]', None]


def test_nested_objects_are_checked_and_brought_into_one_form(tmp_path: Path) -> None:
    people = [
        {"crm": ["1"], "pet": ['{"b":1,"a":2}']},
        {"crm": ["2"], "pet": ['{ "a":2, "b":1 }']},
        {"crm": ["3"], "pet": ['{"inc":5}']},
        {"crm": ["4"], "pet": ["nope"]},
        {"crm": ["5"], "pet": [" "]},
    ]

    counts, mapped, _ = map_people(tmp_path, people, mapping(field("pet", "pet", "object"), clear_missing=True))

    assert [mapped[person(str(number))]["field_pet"] for number in range(1, 6)] == [
        '{"a":2,"b":1}',
        '{"a":2,"b":1}',
        None,
        None,
        "null",
    ]
    assert counts.warnings == {("pet", "not_json"): 1, ("pet", "operator_in_object"): 1}


def test_two_fields_may_share_a_vocabulary_and_a_source(tmp_path: Path) -> None:
    fields = (field("country", "c"), field("language", "c"), field("Country", "c"))

    _, mapped, _ = map_people(tmp_path, [{"crm": ["1"], "c": ["nl"]}], mapping(*fields))

    assert values(mapped[person("1")]) == {
        "field_country": '"NL"',
        "field_language": '"nl"',
        field_column("Country"): '"nl"',
    }


def test_names_of_properties_and_targets_may_hold_anything(tmp_path: Path) -> None:
    names = ["Points now", "points now", "it's", 'say "hi"', "a;b--c", "Zoë 😀", "_x41_", "v0", "identifier"]
    columns = {name: property_column(name) for name in names}
    fields = [field(name, columns[name]) for name in names]
    people = [{"crm": ["1"], **{column: [f"value of {name}"] for name, column in columns.items()}}]

    counts, mapped, _ = map_people(tmp_path, people, mapping(*fields))

    found = mapped[person("1")]
    assert {name: found[field_column(name)] for name in names} == {
        "Points now": '"value of Points now"',
        "points now": '"value of points now"',
        "it's": '"value of it\'s"',
        'say "hi"': '"value of say \\"hi\\""',
        "a;b--c": '"value of a;b--c"',
        "Zoë 😀": '"value of Zoë 😀"',
        "_x41_": '"value of _x41_"',
        "v0": '"value of v0"',
        "identifier": '"value of identifier"',
    }
    assert counts.warnings == {}


def test_objectives_may_hold_quotes(tmp_path: Path) -> None:
    people = [{"crm": ["1"], "consented": ["it's"]}, {"crm": ["2"], "consented": ["its"]}]

    counts, mapped, _ = map_people(tmp_path, people, mapping(FIRST_NAME_OF_ALL, objectives=("it's", "other")))

    assert (list(mapped), counts.skipped) == ([person("1")], {"no_consent": 1})


# The mapped snapshot as a whole


def test_an_empty_segment_is_an_empty_mapped_snapshot(tmp_path: Path) -> None:
    columns = [{"crm": ["1"], "fn": ["Ann"], "pet": ["{}"]}]
    full = write_snapshot_file(tmp_path / "full.parquet", columns)
    empty = tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(full).slice(0, 0), empty)
    plan = mapping(FIRST_NAME, field("pet", "pet", "object"), field("country", "fn"), objectives=("news",))

    counts = map_snapshot(engine(tmp_path), [empty], plan, tmp_path / "mapped")

    assert (counts.people, counts.skipped, counts.warnings) == (0, {}, {})
    assert read_rows((tmp_path / "mapped").glob("partition=*/*.parquet")) == []
    assert read_rows([tmp_path / "mapped" / "skipped.parquet"]) == []


def test_each_person_lies_in_the_partition_of_the_identifier(tmp_path: Path) -> None:
    people = [{"crm": [str(number)]} for number in range(50)]
    part = write_snapshot_file(tmp_path / "s.parquet", people)

    map_snapshot(engine(tmp_path), [part], mapping(FIRST_NAME_OF_ALL, partitions=4), tmp_path / "mapped")

    seen = 0
    for folder in sorted((tmp_path / "mapped").glob("partition=*")):
        number = int(folder.name.removeprefix("partition="))
        for row in read_rows(folder.glob("*.parquet")):
            seen += 1
            assert (row["partition"], number) == (partition_of(row["identifier"], 4), row["partition"])
    assert seen == 50


def test_a_field_without_a_rule_or_a_constant_is_a_mistake_of_the_planner(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing has neither a rule nor a constant"):
        map_people(tmp_path, [{"crm": ["1"]}], mapping(MappedField("nothing", "crm")))


# Lists for a target that takes them


def test_a_single_column_serves_a_rule_that_takes_a_list(tmp_path: Path) -> None:
    rule = blueconic_rule("SELECT", "set")
    plan = mapping(MappedField("id", "profile_id", is_list=False, rule=rule))

    _, mapped, _ = map_people(tmp_path, [{"profile_id": "p7", "crm": ["1"]}], plan)

    assert mapped[person("1")]["field_id"] == '["p7"]'


def test_a_field_that_only_late_parts_have_is_missing_in_the_others(tmp_path: Path) -> None:
    parts = [
        write_snapshot_file(tmp_path / "a.parquet", [{"crm": ["1"], "fn": ["Ann"]}]),
        write_snapshot_file(tmp_path / "b.parquet", [{"crm": ["2"], "fn": ["Bo"], "pts": ["7"]}], first_row=1),
    ]

    map_snapshot(engine(tmp_path), parts, mapping(FIRST_NAME, POINTS), tmp_path / "mapped")

    rows = {
        row["identifier"]: row["field_points"] for row in read_rows((tmp_path / "mapped").glob("partition=*/*.parquet"))
    }
    assert rows == {person("1"): None, person("2"): "7"}


def test_people_and_fields_that_are_mapped_in_pieces_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"crm": [str(n)], "fn": [f"Name {n % 5}"], "pts": ["x" if n % 3 else str(n)]} for n in range(39)]
    people.append({"crm": ["7"], "fn": ["Late"], "pts": ["7"]})
    parts = [
        write_snapshot_file(tmp_path / f"{first}.parquet", people[first : first + 10], first_row=first)
        for first in (0, 10, 20, 30)
    ]
    plan = mapping(FIRST_NAME, POINTS, FIRST_NAME_OF_ALL, partitions=3)

    whole = map_snapshot(engine(tmp_path), parts, plan, tmp_path / "whole", known=[])
    monkeypatch.setattr(value_files, "_VALUES_AT_ONCE", 30)
    monkeypatch.setattr(value_files, "_FIELDS_AT_ONCE", 1)
    pieces = map_snapshot(engine(tmp_path), parts, plan, tmp_path / "pieces", known=[])

    assert pieces == whole
    assert whole.people == 39
    for kind in ("partition=*/*.parquet", "people/partition=*/*.parquet"):
        rows = [read_rows((tmp_path / name).glob(kind)) for name in ("whole", "pieces")]
        assert rows[0] == rows[1]
        assert len(rows[0]) == 39
    assert len(list((tmp_path / "pieces").glob("partition=0/*.parquet"))) == 4

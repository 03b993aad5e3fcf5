"""The fast road of profiles gives what the careful one gives, which is described in test_snapshot.py."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import NotProfiles, ProfileColumns, Rows
from airflow_provider_braze_blueconic.sync.blueconic.profile_parsing import last_modified, moment, parse_profiles

COLUMNS = ProfileColumns(["email", "lastmodifieddate", "a b"], {"i1": "Welcome"})
MOMENTS = ["1793664000123", "0", "-1", "253402300799999", "253402300800000", "9" * 20, "0x1f", "+5", " 7 ", "1_0", "٣",
           "", "yesterday", "1.5"]  # fmt: skip

texts = st.one_of(st.sampled_from(["a", "i1", "Zoë 🎈", '"', ""]), st.text(max_size=5))
lists = st.one_of(st.none(), st.lists(texts, max_size=3), st.lists(st.sampled_from(MOMENTS), max_size=2))
names = st.sampled_from(["email", "lastmodifieddate", "interactions_viewed", "a b", "other", ""])
properties = st.lists(
    st.one_of(
        st.fixed_dictionaries({"id": names, "values": lists}),
        st.fixed_dictionaries({"id": st.one_of(names, st.none())}),
        st.just({}),
    ),
    max_size=5,
)
segments = st.lists(st.fixed_dictionaries({"id": texts}, optional={"name": st.one_of(st.none(), texts)}), max_size=2)
clean = st.fixed_dictionaries(
    {"id": texts},
    optional={
        "properties": st.one_of(st.none(), properties),
        "segments": st.one_of(st.none(), segments),
        "permissions": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"level": st.one_of(st.none(), texts)})),
        "consentedObjectives": lists,
        "creationDate": texts,
    },
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just("half \ud83d")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)
odd = st.builds(
    lambda profile, name, value: {**profile, name: value},
    clean,
    st.sampled_from(["id", "properties", "segments", "permissions", "consentedObjectives", "x"]),
    st.one_of(
        anything,
        st.lists(st.fixed_dictionaries({"id": st.one_of(names, anything), "values": anything}), max_size=2),
    ),
)


def outcome(rows: Any) -> tuple[Any, ...]:
    try:
        found: Rows = rows()
    except UnexpectedAnswer as error:
        return (str(error),)
    except NotProfiles:
        return ("no profiles",)
    return found.batch.to_pylist(), found.repaired, list(found.ids)


@given(st.lists(clean, max_size=5))
@example([{"id": "a", "properties": [{"id": "email", "values": ["1"]}, {"id": "email"}]}])
def test_documented_profiles_come_out_of_the_fast_road_as_of_the_careful_one(profiles: list[Any]) -> None:
    text = json.dumps(profiles).encode()

    parsed = parse_profiles(text)  # raises if the fast road refuses them

    assert len(parsed) == len(profiles)
    assert outcome(lambda: COLUMNS.of_text(text)) == outcome(lambda: COLUMNS.of_profiles(profiles))


@given(st.lists(st.one_of(clean, odd), max_size=4), st.booleans())
def test_odd_profiles_come_out_alike_or_are_told_alike(profiles: list[Any], ascii_only: bool) -> None:
    text = json.dumps(profiles, ensure_ascii=ascii_only).encode(errors="surrogatepass")

    assert outcome(lambda: COLUMNS.of_text(text)) == outcome(lambda: COLUMNS.of_entries(json.loads(text)))


@given(st.lists(st.one_of(st.none(), st.lists(st.sampled_from(MOMENTS), max_size=2)), max_size=4))
def test_moments_of_a_column_are_those_of_its_lists(column: list[list[str] | None]) -> None:
    assert last_modified(column).to_pylist() == [moment(values) for values in column]


@pytest.mark.parametrize(
    "text", [b"[{}", b'[{"id":"a"},]', b'[{"id":"a"}] x', b'[{"id":"\xff"}]', b'[{"x":"\xff","id":"a"}]']
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  several classes, and none of their texts is told
        COLUMNS.of_text(text)


def test_the_fast_road_is_taken_with_all_columns() -> None:
    profile = {
        "id": "p",
        "properties": [{"id": "email", "values": ["a@example.org"]}, {"id": "interactions_viewed", "values": ["i1"]}],
        "segments": [{"id": "s1", "name": "VIP"}, {"id": "s2"}],
        "permissions": {"level": "PERSONAL"},
        "consentedObjectives": ["news"],
    }

    rows = COLUMNS._of_parsed(parse_profiles(json.dumps([profile]).encode()))

    assert rows.batch.schema == COLUMNS.told
    assert isinstance(rows.batch, pa.RecordBatch)
    assert rows.batch.to_pylist() == COLUMNS.of_profiles([profile]).batch.to_pylist()

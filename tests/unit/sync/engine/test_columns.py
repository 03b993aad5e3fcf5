"""Names of target fields survive the trip through a table format that knows neither spaces nor case."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.columns import (
    field_column,
    field_name,
    property_column,
    source_column,
)

names = st.text(min_size=1, max_size=30)
tricky_names = st.text(alphabet="aAxX_x0é .$\"'/", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        pytest.param("first_name", "field_first_name", id="plain"),
        pytest.param("Points now", "field__x50_oints_x20_now", id="case and space"),
        pytest.param("vip-level.2", "field_vip_x2d_level_x2e_2", id="dash and dot"),
        pytest.param("_x41_", "field__x5f_x41_", id="looks like a code"),
        pytest.param("max_x", "field_max_x5f_x", id="underscore before x"),
        pytest.param("é", "field__xc3a9_", id="two bytes"),
        pytest.param("😀", "field__xf09f9880_", id="four bytes"),
        pytest.param('a"b', "field_a_x22_b", id="quote"),
        pytest.param("ª", "field__xc2aa_", id="lower case outside ASCII"),
        pytest.param("٣", "field__xd9a3_", id="digit outside ASCII"),
    ],
)
def test_column_of_a_field_is_written_and_read_back(name: str, column: str) -> None:
    assert field_column(name) == column
    assert field_name(column) == name


@given(names | tricky_names)
@example("_x41_")
@example("__x_x5f__x")
@settings(max_examples=150, deadline=None)
def test_every_field_name_survives_the_round_trip(name: str) -> None:
    assert field_name(field_column(name)) == name


@given(names | tricky_names, names | tricky_names)
@example("Points", "points")
@example("A", "_x41_")
@example("é", "É")
@settings(max_examples=150, deadline=None)
def test_two_field_names_never_share_a_column_even_where_case_is_ignored(one: str, other: str) -> None:
    assert (field_column(one).casefold() == field_column(other).casefold()) == (one == other)


@given(names | tricky_names)
@settings(max_examples=150, deadline=None)
def test_a_column_name_has_only_lower_case_letters_digits_and_underscores(name: str) -> None:
    assert re.fullmatch("[a-z0-9_]+", field_column(name))


def test_a_property_column_is_told_from_a_field_column() -> None:
    assert property_column("First name") == "property__x46_irst_x20_name"


def test_a_path_into_an_exported_user_has_a_column_of_its_own() -> None:
    assert source_column("custom_attributes.Tags") == "source_custom_attributes_x2e__x54_ags"
    assert source_column('custom_attributes["a.b"]') == "source_custom_attributes_x5b__x22_a_x2e_b_x22__x5d_"


def test_a_column_that_holds_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="'as_of' is not a field column"):
        field_name("as_of")

"""Fixed values take the form in which Braze stores them, by the rule of mapped values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.braze.constants import constant_text
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_text
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType

GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"
ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("target", "value", "type_", "text"),
    [
        ("score", 3, "float", "3.0"),
        ("score", 3, None, "3"),
        ("score", 3.0, None, "3.0"),
        ("score", -0.0, None, "0.0"),
        ("score", 1e22, None, "1e+22"),
        ("score", 3, "string", '"3"'),
        ("vip", True, None, "true"),
        ("tier", "  gold\xa0", None, '"gold"'),
        ("tier", 'say "hi"\nå', None, '"say \\"hi\\"\\nå"'),
        ("seen", "2026-01-01", "time", '"2026-01-01T00:00:00.000Z"'),
        ("tags", "vip", "array", '["vip"]'),
        ("tags", '["b", "a", "b"]', "array", '["a","b"]'),
        ("country", "Netherlands", None, '"NL"'),
        ("country", "DEU", None, '"DE"'),
        ("language", "no", None, '"nb"'),
        ("gender", "vrouw", None, '"F"'),
        ("time_zone", "europe/amsterdam", None, '"Europe/Amsterdam"'),
        ("email", "Info@Bücher.example", None, '"info@xn--bcher-kva.example"'),
        ("phone", "+31 (0)20 123 45 67", None, '"+31201234567"'),
        ("dob", "12/21/1980", None, '"1980-12-21"'),
        ("email_subscribe", "Unsubscribed", None, '"unsubscribed"'),
        (GROUP, True, None, '"subscribed"'),
        (GROUP, False, None, '"unsubscribed"'),
        ("tier", None, None, "null"),
    ],
)
def test_a_fixed_value_takes_braze_s_form(
    target: str, value: str | float | bool | None, type_: FieldType | None, text: str
) -> None:
    assert constant_text(target, value, type_) == (text, None)


@pytest.mark.parametrize(
    ("target", "value", "type_", "reason"),
    [
        ("country", "Narnia", None, "unknown_country"),
        ("language", "fy", None, "unknown_language"),
        ("email", "ann", None, "bad_email"),
        ("email", "a@gmail.com", None, "bad_email"),
        ("time_zone", "Mars/Phobos", None, "unknown_time_zone"),
        ("seen", "3001-01-01", "time", "bad_date"),
        ("number", 10**19, None, "not_an_integer"),
        pytest.param("number", 10**5000, None, "not_an_integer", id="more digits than Python writes"),
        ("tags", "x" * 256, "array", "too_long"),
        ("tags", '[{"a":1}]', "array", "objects_in_array"),
        ("pet", '{"inc":5}', "object", "operator_in_object"),
        ("tier", "\ud800", None, "not_text"),
        ("tier", "", None, None),
        ("tier", "\u200b \xa0", None, None),
        ("tags", "[]", "array", None),
    ],
)
def test_a_fixed_value_that_braze_would_not_store_has_no_form(
    target: str, value: str | float, type_: FieldType | None, reason: str | None
) -> None:
    assert constant_text(target, value, type_) == (None, reason)


@given(st.text(max_size=20) | st.integers(-(10**15), 10**15) | st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_needs_no_rule_is_what_the_rule_gives(value: str | int | bool) -> None:
    kind: FieldType = "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "integer"
    source = value if isinstance(value, str) else str(value).lower()

    assert constant_text("x", value, None) == map_text(braze_rule("x", kind), source)


def test_plain_constants_need_no_database() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_braze_blueconic.sync.braze.constants import constant_text\n"
        "constant_text('source', 'blueconic', None), constant_text('vip', False, None), constant_text('n', 5, None)\n"
        "sys.exit('duckdb' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

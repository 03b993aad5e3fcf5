"""A batch of lines, read as a whole, brings what its lines bring one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import BatchReader
from airflow_provider_braze_blueconic.sync.braze.segment_export_kinds import note_kind
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import LineBatch
from airflow_provider_braze_blueconic.sync.braze.segment_export_request import REMAINING_FIELDS
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings
from airflow_provider_braze_blueconic.sync.braze.segment_export_users import BrokenLine, read_user
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts
from airflow_provider_braze_blueconic.vendors.braze_paths import attribute_path, parse_path

PATHS = [
    "email",
    "total_revenue",
    "campaigns_received",
    "last_coordinates[0]",
    "devices.model",
    "purchases[name=5].count",
    "user_aliases[alias_label=crm].alias_name",
    "user_aliases[alias_label=crm]",
    "custom_attributes.a",
    "custom_attributes.b.c",
    "custom_attributes.b.c.d",
    "custom_attributes.b[0]",
]
EXCLUDED = ["phone", "custom_attributes.hidden"]
NAMES = {"c-1": "Welcome"}


def _expected(lines: Sequence[bytes]) -> dict[str, Any]:
    """Read line by line, value by value: what each path finds, and each remaining field, with its kinds."""
    paths = [parse_path(path) for path in PATHS]
    named = {path.owner for path in [*paths, *map(parse_path, EXCLUDED)]}
    rows: list[dict[str, Any]] = []
    kinds: dict[str, set[str]] = {}
    broken: list[tuple[int, str]] = []
    repairs = 0
    for number, line in enumerate(lines, start=1):
        try:
            user, is_repaired = read_user(line)
        except BrokenLine as why:
            broken.append((number, str(why)))
            continue
        repairs += is_repaired
        row: dict[str, Any] = {path.text: path.reader(NAMES)(user) for path in paths}
        values = {field: user.get(field) for field in REMAINING_FIELDS if (field, None) not in named}
        attributes = user.get("custom_attributes")
        for name, value in attributes.items() if type(attributes) is dict else ():
            if ("custom_attributes", name) not in named:
                values[attribute_path(name)] = value
        for path, value in values.items():
            if (texts := value_texts(value)) is not None:
                row[path] = texts
                note_kind(value, kinds.setdefault(path, set()))
        rows.append({"profile_id": user["braze_id"], **row})
    columns = [*PATHS, *kinds]
    return {
        "rows": [{name: row.get(name) for name in ("profile_id", *columns)} for row in rows],
        "kinds": kinds,
        "broken": broken,
        "repaired": repairs,
    }


def _found(lines: Sequence[bytes], reader: BatchReader | None = None) -> dict[str, Any]:
    reader = reader or BatchReader(ReadSettings(PATHS, remaining=True, excluded=EXCLUDED, campaign_names=NAMES))
    read = reader.read(LineBatch("file", list(range(1, len(lines) + 1)), list(lines)))
    names = {source_column(path): path for path in [*PATHS, *read.kinds]}
    read.rows.validate(full=True)
    return {
        "rows": [{names.get(name, name): value for name, value in row.items()} for row in read.rows.to_pylist()],
        "kinds": {path: set(kinds) for path, kinds in read.kinds.items()},
        "broken": [(number, error) for _, number, error, _ in read.broken],
        "repaired": read.repaired,
    }


_TEXTS = st.text(max_size=4) | st.sampled_from(
    ["crm", "5", "", " ", "\ud83d", "\ud83d\ude00", "é", "a.b", "2026-10-01T08:00:00.000Z", " 2026-10-01 08:00", "1:2e5",
     "2026-02-30T08:00:00Z", "2026-10-31 08:00:00,5 +02:00"]
)  # fmt: skip
_NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [-0.0, 0.0, 3.0, 12.5, 0.12345, 1e-5, 1.5e-7, 5e-324, 1e15, 1e16, 1e22, 2**31, -(2**31), 2**64, 10**30]
    )
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["c", "d", "alias_label", "alias_name", "name", "count"]) | _TEXTS, inner, max_size=4
        )
    ),
    max_leaves=8,
)
_OBJECTS = st.fixed_dictionaries(
    {}, optional={"model": _VALUES, "name": st.sampled_from(["5", 5, 5.0, "x", None]) | _VALUES, "count": _VALUES,
                  "alias_label": st.sampled_from(["crm", "other"]), "alias_name": _TEXTS,
                  "api_campaign_id": st.sampled_from(["c-1", "c-2", 7])}
)  # fmt: skip
_FIELDS = {
    **dict.fromkeys(["email", "total_revenue", "first_name", "created_at", "phone", "last_coordinates"], _VALUES),
    **dict.fromkeys(["campaigns_received", "devices", "purchases", "user_aliases", "custom_events"],
                    st.lists(_OBJECTS, max_size=2) | _OBJECTS | _VALUES),
    "custom_attributes": st.dictionaries(st.sampled_from(["a", "b", "hidden", "e", "a.b"]), _VALUES, max_size=4) | _VALUES,
}  # fmt: skip
_MARKS = st.sampled_from([b"", b"", b"", b" ", b"\xff", b"\\ud83d", b",", b"1", b"e999", b"NaN", b'"', b"{}"])


@st.composite
def _lines(draw: st.DrawFn) -> list[bytes]:
    """Users as JSON may write them, alike enough to make columns of one type, and sometimes with a few bytes too many."""
    fields = draw(st.fixed_dictionaries({}, optional=_FIELDS))
    lines: list[bytes] = []
    for number in range(draw(st.integers(1, 4))):
        fields = draw(st.just(fields) | st.fixed_dictionaries({}, optional=_FIELDS))
        braze_id = draw(st.sampled_from([f"b{number}", f"b{number}", " ", 5]))
        text = json.dumps({"braze_id": braze_id, **fields}, ensure_ascii=draw(st.booleans()))
        line = text.encode(errors="surrogatepass")
        at = draw(st.integers(0, len(line)))
        lines.append(line[:at] + draw(_MARKS) + line[at:] + b"\n")
    return lines


def _users(*users: dict[str, Any]) -> list[bytes]:
    return [json.dumps({"braze_id": f"b{number}", **user}).encode() for number, user in enumerate(users)]


@given(lines=_lines())
@example(lines=_users({"total_revenue": 1.5}, {"total_revenue": 3.0}, {"total_revenue": -0.0}, {"total_revenue": 1e22}))
@example(lines=_users({"first_name": "a"}, {}, {"first_name": "b"}))
@example(lines=_users({"custom_events": [{"at": 1e16}]}, {"custom_events": [{"at": 0.00001}]}))
@example(
    lines=_users({"purchases": [{"name": "5", "count": 1}, {"name": "5", "count": 2}]}, {"purchases": {"name": 5}})
)
@example(lines=_users({"custom_attributes": {"e": ["a", None]}}, {"custom_attributes": {"e": []}}))
@example(lines=_users({"custom_attributes": {"e": 2**63}}, {"custom_attributes": {"e": 1}}))
@example(lines=_users({"created_at": "2026-10-01T08:00:00Z"}, {"created_at": "2026-02-31T08:00:00Z"}))
@example(lines=[b'{"braze_id":"b1"', b'"x":1}'])
@example(lines=[b'{"braze_id":"b1"},{"braze_id":"b2"}', b""])
@settings(max_examples=400, deadline=None)
def test_a_batch_brings_what_its_lines_bring_one_by_one(lines: list[bytes]) -> None:
    assert _found(lines) == _expected(lines)


@given(batches=st.lists(_lines(), min_size=2, max_size=3))
@settings(max_examples=50, deadline=None)
def test_the_kinds_of_all_batches_together_are_those_of_all_lines(batches: list[list[bytes]]) -> None:
    reader = BatchReader(ReadSettings(PATHS, remaining=True, excluded=EXCLUDED, campaign_names=NAMES))

    kinds: dict[str, set[str]] = {}
    for lines in batches:
        for path, new in _found(lines, reader)["kinds"].items():
            kinds.setdefault(path, set()).update(new)

    assert kinds == _expected([line for lines in batches for line in lines])["kinds"]


def test_many_attributes_that_few_users_have_each_keep_their_rows() -> None:
    lines = _users(*({"custom_attributes": {f"rare {number}": number, "e": "all"}} for number in range(40)))

    assert _found(lines) == _expected(lines)


def test_the_collector_is_on_again_after_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    assert gc.isenabled()
    _found(_users({}))

    assert gc.isenabled()

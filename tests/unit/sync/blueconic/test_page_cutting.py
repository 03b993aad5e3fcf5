"""A page of profiles is cut between profiles, wherever its bytes are torn apart on the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.blueconic.page_cutting import BrokenPage, PageCutter

TRICKY = ['},{"id":"', '"', "\\", ']}],"profiles":[', "Zoë 🎈", "", '\\",']
texts = st.one_of(st.sampled_from(TRICKY), st.text(max_size=8))
entries = st.lists(st.fixed_dictionaries({"id": texts, "values": st.lists(texts, max_size=3)}), max_size=4)
profiles = st.one_of(
    st.fixed_dictionaries({"id": texts, "properties": entries, "segments": entries}),
    st.fixed_dictionaries({"consentedObjectives": st.lists(texts), "id": texts, "properties": entries}),
    st.fixed_dictionaries({"id": texts, "values": st.lists(texts, max_size=2)}),
    st.just({}),
)
values = st.one_of(texts, st.integers(), st.none(), st.lists(texts, max_size=2), st.just([{"rel": "next", "id": "x"}]))
names = st.sampled_from(["nextCursor", "links", "totalResults", "cursor", "a"])
ends = st.dictionaries(names, values, max_size=3)


def read(text: bytes, cuts: Sequence[int], *, block_bytes: int) -> tuple[dict[str, Any], list[list[Any]]]:
    """Give a page to the cutter, torn apart at some places; return the page and its blocks."""
    blocks: list[list[Any]] = []
    cutter = PageCutter(lambda block: blocks.append(json.loads(block)), block_bytes=block_bytes)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        cutter.feed(text[start:end])
    return cutter.finish(), blocks


def rendered(page: dict[str, Any], *, spaces: bool, ascii_only: bool) -> bytes:
    separators = (" , ", " :\n ") if spaces else (",", ":")
    return json.dumps(page, ensure_ascii=ascii_only, separators=separators).encode()


@given(
    before=ends, people=st.lists(profiles, max_size=12), after=ends, cuts=st.lists(st.integers(0, 10_000), max_size=6),
    block_bytes=st.sampled_from([1, 40, 200, 1 << 18]), spaces=st.booleans(), ascii_only=st.booleans(),
)  # fmt: skip
@example(before={}, people=[{}, {}], after={}, cuts=[], block_bytes=1, spaces=False, ascii_only=True)
def test_blocks_and_rest_are_the_page(
    before: dict[str, Any], people: list[Any], after: dict[str, Any], cuts: list[int], block_bytes: int,
    spaces: bool, ascii_only: bool,
) -> None:  # fmt: skip
    page = {**{f"x{name}" if name in after else name: value for name, value in before.items()}, "profiles": people}
    text = rendered({**page, **after}, spaces=spaces, ascii_only=ascii_only)

    body, blocks = read(text, cuts, block_bytes=block_bytes)

    assert body == {**page, **after, "profiles": []}
    assert [profile for block in blocks for profile in block] == people


@given(
    people=st.lists(profiles, min_size=1, max_size=6), after=ends, keep=st.integers(0, 10_000),
    block_bytes=st.sampled_from([1, 40, 1 << 18]),
)  # fmt: skip
@pytest.mark.promise(6)
def test_page_that_breaks_off_is_never_whole(
    people: list[Any], after: dict[str, Any], keep: int, block_bytes: int
) -> None:
    text = rendered({"nextCursor": "c", "profiles": people, **after}, spaces=False, ascii_only=True)

    with pytest.raises(BrokenPage):
        read(text[: keep % len(text)], [7], block_bytes=block_bytes)


@given(
    people=st.lists(profiles, min_size=1, max_size=5), after=ends, place=st.integers(0, 10_000),
    sign=st.sampled_from(list(b'[]{},:"\\ x1')), block_bytes=st.sampled_from([1, 40, 1 << 18]),
)  # fmt: skip
@pytest.mark.promise(6)
def test_page_with_a_wrong_sign_is_broken_or_read_as_it_stands(
    people: list[Any], after: dict[str, Any], place: int, sign: int, block_bytes: int
) -> None:
    text = bytearray(rendered({"totalResults": 1, "profiles": people, **after}, spaces=False, ascii_only=True))
    text[place % len(text)] = sign
    try:
        meant = json.loads(text)
    except ValueError:
        meant = None

    try:
        body, blocks = read(bytes(text), [], block_bytes=block_bytes)
    except BrokenPage:
        found = None
    else:
        taken = [profile for block in blocks for profile in block]
        found = {**body, "profiles": taken} if body.get("profiles") == [] else body

    assert found == (meant if isinstance(meant, dict) else None)


@pytest.mark.parametrize(
    "text",
    [
        b'{"profiles":[{"id":"a"},]}',
        b'{"profiles":[{"id":"a"}],"profiles":[{"id":"b"}]}',
        b'{"profiles":[{"id":"a"}]} x',
        b'{"profiles":[{"id":"a"}]',
        b'{"profiles":[{"id":"a"}]]',
        b'{"profiles":[,{"id":"a"}]}',
        b'{"profiles":[{"id":"a"} {"id":"b"}]}',
        b"[]",
        b"",
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 18])
def test_what_is_no_whole_page_is_broken(text: bytes, block_bytes: int) -> None:
    with pytest.raises(BrokenPage):
        read(text, [], block_bytes=block_bytes)


def test_a_list_of_profiles_inside_of_something_else_is_not_the_pages_own() -> None:
    text = b'{"links":[{"profiles":[{"id":"x"}]}],"note":"\\"profiles\\":[","profiles":[{"id":"a"}]}'

    body, blocks = read(text, [20, 50], block_bytes=1)

    assert blocks == [[{"id": "a"}]]
    assert body["links"] == [{"profiles": [{"id": "x"}]}]


def test_a_page_of_many_blocks_is_never_held_as_a_whole() -> None:
    held: list[int] = []
    cutter = PageCutter(lambda block: held.append(len(block)), block_bytes=1_000)
    profile = json.dumps({"id": "p", "properties": [{"id": "email", "values": ["a@example.org"]}] * 3}).encode()

    cutter.feed(b'{"profiles":[')
    for number in range(2_000):
        cutter.feed(b"," * (number > 0) + profile)
    cutter.feed(b"]}")
    cutter.finish()

    assert max(held) < 1_500
    assert len(held) > 100

"""A column of JSON values as a column of lists of texts: what ``value_texts`` makes of each, made of all at once.

Values of one type go through Arrow or msgspec as a column; a column of several types, and what those write otherwise,
goes through ``value_texts`` value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["element_types", "spread", "text_lists", "value_types"]

Values = Sequence[Any]
"""A value for each user, ``None`` where there is none."""

_OTHER_FLOAT = r"[:\[,]-?(?:[0-9][0-9.]*e|0\.0000)"
"""A float that msgspec may write otherwise than ``json``: it has an exponent, or would get one."""
_OTHER_DECIMAL = r"e|^-0$|^-?0\.0000"
"""The same of a float alone; and minus zero, which is zero."""
_TEXT = frozenset({str})
_NOTHING: frozenset[type] = frozenset()
_encoder = msgspec.json.Encoder(order="sorted")


def value_types(values: Values) -> frozenset[type]:
    """Tell of which types the values are that are not null."""
    return frozenset(map(type, values)) - {type(None)}


def element_types(lists: Values) -> frozenset[type]:
    """Tell of which types the elements of lists are, null included; a list may be null."""
    return frozenset(map(type, chain.from_iterable(filter(None, lists))))


def text_lists(values: Values) -> tuple[pa.Array, frozenset[type]]:
    """Write each value as texts.

    :return: a list of strings for each value, null for null; and of which types the values are that are not null.
    """
    import pyarrow as pa

    try:
        # Most columns are texts, and Arrow takes nothing else for one.
        texts = pa.array(values, pa.string())
    except pa.ArrowException:
        types = value_types(values)
    else:
        return _alone(texts), _TEXT if texts.null_count < len(texts) else _NOTHING
    write = _WRITERS.get(next(iter(types))) if len(types) == 1 else None
    lists = write(values) if write else None
    return pa.array(map(value_texts, values), pa.list_(pa.string())) if lists is None else lists, types


def spread(lists: pa.Array, rows: Sequence[int], count: int) -> pa.Array:
    """Put lists into these rows of a column of so many; the others are null."""
    import pyarrow as pa

    places: list[int | None] = [None] * count
    for place, row in enumerate(rows):
        places[row] = place
    return lists.take(pa.array(places, pa.int32()))


def _integers(values: Values) -> pa.Array | None:
    import pyarrow as pa

    try:
        return _alone(pa.array(values, pa.int64()).cast(pa.string()))
    except (OverflowError, pa.ArrowException):  # more than 64 bits
        return None


def _floats(values: Values) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    written = _encoder.encode(values)[1:-1].split(b",")
    shortened = [None if text == b"null" else text.removesuffix(b".0") for text in written]
    texts = pa.array(shortened, pa.string())
    return None if pc.any(pc.match_substring_regex(texts, _OTHER_DECIMAL)).as_py() else _alone(texts)


def _booleans(values: Values) -> pa.Array:
    import pyarrow as pa

    return _alone(pa.array(values, pa.bool_()).cast(pa.string()))


def _documents(values: Values) -> pa.Array | None:
    import pyarrow as pa

    texts = [None if text == b"null" else text for text in _lines(values)]
    documents = pa.array(texts, pa.string())
    return None if _has_other_float(documents) else _alone(documents)


def _lists(values: Values) -> pa.Array | None:
    import pyarrow as pa

    types, kind = element_types(values), pa.list_(pa.string())
    if types <= {str}:
        return pa.array(values, kind)
    if types != {dict}:
        return None
    documents = pa.array(_lines(list(chain.from_iterable(filter(None, values)))), pa.string())
    if _has_other_float(documents):
        return None
    ends = accumulate((len(value) if value else 0 for value in values), initial=0)
    # A list whose beginning is null is null itself.
    begins = [None if value is None else begin for value, begin in zip(values, ends, strict=False)]
    return pa.ListArray.from_arrays(pa.array([*begins, len(documents)], pa.int32()), documents)


def _lines(documents: Values) -> list[bytes]:
    """Write the JSON text of each; a line end in a text is escaped."""
    return _encoder.encode_lines(documents).split(b"\n")[:-1]


def _has_other_float(texts: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(texts, _OTHER_FLOAT)).as_py())


def _alone(texts: pa.Array) -> pa.Array:
    """Make a list of one of each text, null of null: the lists take the validity of the texts, so nothing is copied."""
    import pyarrow as pa

    count = len(texts)
    buffers = [texts.buffers()[0], _one_each(count)]
    return pa.Array.from_buffers(pa.list_(pa.string()), count, buffers, texts.null_count, children=[texts])


@lru_cache(maxsize=16)
def _one_each(count: int) -> pa.Buffer:
    import pyarrow as pa

    return pa.array(range(count + 1), pa.int32()).buffers()[1]


_WRITERS: Mapping[type, Callable[[Values], pa.Array | None]] = {
    int: _integers,
    float: _floats,
    bool: _booleans,
    dict: _documents,
    list: _lists,
}

"""A rule: how one target field's values are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Lookup", "ValueRule"]


@dataclass(frozen=True)
class Lookup:
    """A closed vocabulary: spellings (lower case, trimmed) and the JSON text of what the target stores.

    :param name: names the relation in SQL; lookups of one name hold the same rows.
    :param texts: spelling → JSON text.
    """

    name: str
    texts: Mapping[str, str]


@dataclass(frozen=True)
class ValueRule:
    """How one target field's values are written, and why some can't be.

    :param text: SQL for the JSON text; ``{v}`` stands for the trimmed, non-empty source text, or for the list of
        them if ``takes_list``. With a ``lookup``, ``{lookup}`` is the JSON text found for the spelling.
    :param reasons: reason and SQL condition on ``{v}``; the first match counts, the last one's condition is ``TRUE``.
    :param source: where the rule comes from, for the report.
    :param doubts: word and SQL condition on ``{v}``: the value is sent, and counted, since it may mean another one.
    :param takes_list: the rule wants all values of the source, not the first.
    :param is_set: of those, each value once, in code-point order.
    :param lookup: vocabulary to join.
    :param lookup_key: SQL for the spelling to look up.
    :param check: source text → (JSON text, None) or (None, reason), for rules that SQL can't express. It is asked once
        for each distinct text, and ``{lookup}`` is the JSON text that it gave.
    :param is_email: ``text`` is made by :func:`~airflow_provider_braze_blueconic.sync.values.emails.braze_email_sql`.
    """

    text: str
    reasons: tuple[tuple[str, str], ...]
    source: str
    doubts: tuple[tuple[str, str], ...] = ()
    takes_list: bool = False
    is_set: bool = False
    lookup: Lookup | None = None
    lookup_key: str = "lower({v})"
    check: Callable[[str], tuple[str | None, str | None]] | None = None
    is_email: bool = False

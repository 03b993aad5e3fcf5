"""BlueConic's entries of ``PUT /profiles``, made of the delta's JSON texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_braze_blueconic.exceptions import SettingError
from airflow_provider_braze_blueconic.sync.engine.columns import (
    FIELD_PREFIX,
    INCREASE_PREFIX,
    field_column,
    field_name,
    increase_column,
)
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.values.texts import canonical_json

__all__ = ["BODY_AFTER", "BODY_BEFORE", "BODY_SHOWN_KEYS", "STRATEGIES", "profiles_sql"]

BODY_BEFORE = b"["
BODY_AFTER = b"]"

BODY_SHOWN_KEYS = frozenset({"domainGroup", "id", "identifier", "privacyLegislation", "restriction", "strategy"})
"""Keys of an entry under which there is never a value of the person, but words of the API and names out of the goal."""

STRATEGIES: Mapping[str, str] = {
    "set": "SET",
    "set_or_clear": "SET",
    "set_if_empty": "SET_IF_EMPTY",
    "add": "ADD",
    "remove": "REMOVE",
    "sum": "INCREMENT",  # "SUM" in another place of the same definition: the sender finds out
}
"""Merge → strategy of a property's rule: REST API v2, release 103, ``PUT /profiles``, read 2026-11."""

_KEY_CHARACTERS = 16


def profiles_sql(
    source: str,
    columns: Sequence[str],
    *,
    merges: Mapping[str, str],
    creates: bool,
    links: Sequence[str] = (),
    legislation: str | None = None,
    domain_group: str | None = None,
    trigger_on_change: bool = False,
) -> str:
    """SQL that yields ``identifier``, ``body`` and ``repeatable`` for each row to send.

    ``body`` is one entry as JSON text. It begins with a key that names nobody and by which its result is found again;
    ``strategy`` is always said, since its default creates nobody in silence, and so is ``triggerOnPropertyChange``,
    whose default sets off a webhook for each profile. Someone who left is never created.

    Who is created gets the properties by which they were looked for, unless a field writes them: without them the next
    run would not find them, and create them once more.

    ``repeatable`` is false for a row in which a number is added to.

    :param source: SQL for the delta's rows.
    :param columns: the delta's columns.
    :param merges: target → merge; a number that is added to takes its ``increase_…`` column, not its ``field_…``.
    :param creates: create people whom BlueConic does not know.
    :param links: properties by which people are looked for.
    :param legislation: zone of the profiles that are created.
    :param domain_group: where BlueConic looks for profiles and creates them; ``None`` for its default.
    :raises SettingError: the delta holds a target without a merge, or with an unknown one.
    """
    sums = [column for column in columns if column.startswith(INCREASE_PREFIX)]
    fields = [column for column in columns if column.startswith(FIELD_PREFIX)]
    rules = [_sum_rule(column) for column in sums]
    rules += [_rule(column, merges) for column in fields if merges.get(field_name(column)) != "sum"]
    if creates:
        rules += [_link_rule(link, columns) for link in links]
    parts = [
        '\'{"identifier":"\'',
        f"left(md5(identifier), {_KEY_CHARACTERS})",
        '\'","strategy":"\'',
        "CASE WHEN kind = 'leave' THEN 'UPDATE' ELSE 'UPSERT' END" if creates else "'UPDATE'",
        '\'","matching":\'',
        "matching",
        literal(
            _common(creates=creates, legislation=legislation, domain_group=domain_group, trigger=trigger_on_change)
        ),
        f"concat_ws(',', {', '.join(rules or ['NULL'])})",  # leaves out what is NULL
        "']}'",
    ]
    repeatable = " AND ".join(f"{quote(column)} IS NULL" for column in sums) or "TRUE"
    # Of someone who is no longer in the source it may not be known any more by what BlueConic would find them.
    rows = f"{source} WHERE to_send AND matching IS NOT NULL"
    return f"SELECT identifier, concat({', '.join(parts)}) AS body, {repeatable} AS repeatable FROM {rows}"


def _common(*, creates: bool, legislation: str | None, domain_group: str | None, trigger: bool) -> str:
    """Make the part of an entry that is the same for everybody, up to the beginning of its rules."""
    texts = {"privacyLegislation": legislation if creates else None, "domainGroup": domain_group}
    said = "".join(f',"{name}":{canonical_json(text)}' for name, text in texts.items() if text)
    return f'{said},"triggerOnPropertyChange":{canonical_json(trigger)},"properties":['


def _rule(column: str, merges: Mapping[str, str]) -> str:
    """SQL for the rule of a field, NULL where there is nothing to say.

    UNVERIFIED that a property is emptied by setting no values: no other way is documented.
    """
    target = field_name(column)
    merge = merges.get(target, "")
    if merge not in STRATEGIES:
        msg = f'The delta holds the property "{target}", but nothing says how it is merged.'
        raise SettingError(msg)
    name = canonical_json(target)
    values = quote(column)
    rule = f"""{literal(f'{{"id":{name},"values":')} || {values} || {literal(f',"strategy":"{STRATEGIES[merge]}"}}')}"""
    cleared = literal(f'{{"id":{name},"values":[],"strategy":"SET"}}')
    return f"CASE WHEN {values} = 'null' THEN {cleared} ELSE {rule} END"


def _sum_rule(column: str) -> str:
    target = canonical_json(field_name(FIELD_PREFIX + column.removeprefix(INCREASE_PREFIX)))
    before, after = f'{{"id":{target},"values":', f',"strategy":"{STRATEGIES["sum"]}"}}'
    return f"{literal(before)} || {quote(column)} || {literal(after)}"


def _link_rule(link: str, columns: Sequence[str]) -> str:
    """SQL for the rule that gives a created profile what it was looked for by, NULL where a field writes it."""
    name = canonical_json(link)
    values = f"[(c->'value')::VARCHAR FOR c IN json_extract(matching, '$[*][*]') IF (c->>'id') = {literal(link)}]"
    before, after = f'{{"id":{name},"values":[', '],"strategy":"SET","restriction":"NEW_PROFILES_ONLY"}'
    rule = f"{literal(before)} || array_to_string({values}, ',') || {literal(after)}"
    unsaid = [f"len({values}) > 0"]
    unsaid += [
        f"{quote(column)} IS NULL" for column in (field_column(link), increase_column(link)) if column in columns
    ]
    return f"CASE WHEN {' AND '.join(unsaid)} THEN {rule} END"

"""Braze's attributes objects, made of the delta's JSON texts."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, field_name
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.values.texts import canonical_json
from airflow_provider_braze_blueconic.vendors.braze_attributes import SUBSCRIPTION_GROUP_PREFIX

__all__ = ["BODY_AFTER", "BODY_BEFORE", "attributes_sql"]

BODY_BEFORE = b'{"attributes":['
BODY_AFTER = b"]}"


def attributes_sql(source: str, columns: Sequence[str], *, allow_creation: bool) -> str:
    """SQL that yields ``identifier`` and ``body`` (one attributes object as JSON text) for each row to send.

    ``_update_existing_only`` is always sent: its default differs by identifier (true for aliases, false for the
    rest), and either default loses or creates people in silence. A leaver is never created.

    :param source: SQL for the delta's rows.
    :param columns: the delta's columns.
    """
    fields = [(column, field_name(column)) for column in columns if column.startswith(FIELD_PREFIX)]
    plain = [(column, name) for column, name in fields if not name.startswith(SUBSCRIPTION_GROUP_PREFIX)]
    groups = [(column, name) for column, name in fields if name.startswith(SUBSCRIPTION_GROUP_PREFIX)]
    update_only = f"CASE WHEN kind = 'leave' THEN 'true' ELSE '{str(not allow_creation).lower()}' END"
    # concat() reads NULL as an empty text, but a name may only come with its value: || keeps the NULL.
    parts = [
        "identifier[1:-2]",
        "',\"_update_existing_only\":'",
        update_only,
        *(f"{literal(',' + canonical_json(name) + ':')} || {quote(column)}" for column, name in plain),
    ]
    if groups:
        parts.append(_subscription_groups(groups))
    return f"SELECT identifier, concat({', '.join(parts)}, '}}') AS body FROM {source} WHERE to_send"


def _subscription_groups(groups: Sequence[tuple[str, str]]) -> str:
    objects = []
    for column, name in groups:
        group = canonical_json(name.removeprefix(SUBSCRIPTION_GROUP_PREFIX))
        before = f'{{"subscription_group_id":{group},"subscription_state":'
        # Clearing a subscription has no meaning in Braze: only a state is sent.
        objects.append(f"{literal(before)} || nullif({quote(column)}, 'null') || '}}'")
    present = f"[o FOR o IN [{', '.join(objects)}] IF o IS NOT NULL]"
    return (
        f"CASE WHEN len({present}) > 0 THEN ',\"subscription_groups\":[' || array_to_string({present}, ',') || ']' END"
    )

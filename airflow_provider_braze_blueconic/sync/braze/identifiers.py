"""The JSON of an identifier by which Braze finds a person: what stands before and after the person's own value."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.values.texts import canonical_json

__all__ = ["alias_edges", "identifier_edges"]


def identifier_edges(name: str) -> tuple[str, str]:
    """Return the edges of an identifier that is one value, such as ``{"external_id":`` and ``}``."""
    return f"{{{canonical_json(name)}:", "}"


def alias_edges(label: str | None) -> tuple[str, str]:
    """Return the edges of an alias, whose name is the person's own and whose label is the goal's."""
    return '{"user_alias":{"alias_name":', f',"alias_label":{canonical_json(label)}}}}}'

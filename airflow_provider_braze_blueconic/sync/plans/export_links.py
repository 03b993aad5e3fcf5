"""How Braze finds the people of an export goal: the links, in Braze's form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.braze.identifiers import alias_edges, identifier_edges
from airflow_provider_braze_blueconic.sync.braze.phones import bare_phone_sql, is_phone_sql
from airflow_provider_braze_blueconic.sync.engine.columns import property_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink
from airflow_provider_braze_blueconic.sync.values.emails import braze_email_sql
from airflow_provider_braze_blueconic.vendors.braze_paths import alias_path

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportIdentifier

__all__ = ["NAMED_WITHOUT_ID", "identifier_link", "identifier_link_by", "link_path", "links_fingerprint"]

_EXTERNAL_ID_BYTES = 987  # Braze docs "POST /users/track": EXTERNAL_USER_ID_TOO_LARGE, read 2026-11
NAMED_WITHOUT_ID = "profile_id"
"""What every profile has without being asked for."""


def identifier_link(link: ExportIdentifier) -> IdentifierLink:
    """Say how a link is read of a profile."""
    if link.blueconic == NAMED_WITHOUT_ID:
        return identifier_link_by(link, "profile_id", is_list=False)
    return identifier_link_by(link, quote(property_column(link.blueconic)), is_list=True)


def identifier_link_by(link: ExportIdentifier, column: str, *, is_list: bool) -> IdentifierLink:
    """Say how a link is read of a column, quoted."""
    before, after = identifier_edges(link.braze)
    normal = "{v}"
    if link.braze == "external_id":
        normal = f"CASE WHEN strlen({{v}}) <= {_EXTERNAL_ID_BYTES} THEN {{v}} END"
    elif link.braze == "user_alias":
        before, after = alias_edges(link.alias_label)
    elif link.braze == "email":
        normal = braze_email_sql("{v}")
    elif link.braze == "phone":
        bare = bare_phone_sql("{v}")
        normal = f"CASE WHEN {is_phone_sql(bare)} THEN {bare} END"
    return IdentifierLink(column, before, after, is_list=is_list, normal=normal, is_email=link.braze == "email")


def links_fingerprint(identifiers: Sequence[ExportIdentifier]) -> int:
    """Number the links, within what a Delta table can keep of an application: a signed integer of 64 bits."""
    text = "\n".join(link.model_dump_json(by_alias=True) for link in identifiers)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def link_path(link: ExportIdentifier) -> str:
    """Return the path of an identifier link into an exported user."""
    return alias_path(link.alias_label or "") if link.braze == "user_alias" else link.braze

"""The fields that a segment export requests, derived from the paths that a goal reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_braze_blueconic.vendors.braze_export_fields import BRAZE_EXPORT_FIELDS, CUSTOM_ATTRIBUTES
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["EXPORT_ATTRIBUTES", "REMAINING_FIELDS", "ExportRequest", "export_request"]

EXPORT_ATTRIBUTES = 500
"""Custom attributes that one export may name: docs "POST /users/export/segment", read 2026-11."""

_WITHOUT_ASKING = frozenset({"campaigns_received", "canvases_received", "push_tokens"})
"""Fields that only come where a row names them: the first two are long, and push tokens are secrets of devices."""
REMAINING_FIELDS = tuple(field for field in BRAZE_EXPORT_FIELDS if field not in _WITHOUT_ASKING)
"""Fields, beside the custom attributes, that ``remaining_fields`` brings."""

_IDENTITY = "braze_id"


@dataclass(frozen=True)
class ExportRequest:
    """What is asked for.

    :param fields: ``fields_to_export``, sorted.
    :param custom_attributes: ``custom_attributes_to_export``, sorted; empty where all of them are asked for.
    """

    fields: tuple[str, ...]
    custom_attributes: tuple[str, ...] = ()

    def fingerprint(self, tree: str) -> str:
        """Name the request: another one means other data.

        :param tree: where the export lands, which names the segment.
        """
        text = json.dumps([tree, self.fields, self.custom_attributes])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def explains(self, user: dict[str, object]) -> bool:
        """Tell whether an exported user can be an answer to this request.

        Every user has an id, and nothing comes that was not asked for. What is missing proves nothing, since Braze
        leaves out what is empty.
        """
        if _IDENTITY not in user or not user.keys() <= {*self.fields, CUSTOM_ATTRIBUTES}:
            return False
        attributes = user.get(CUSTOM_ATTRIBUTES) or {}
        if not isinstance(attributes, dict) or CUSTOM_ATTRIBUTES in self.fields:
            return isinstance(attributes, dict)
        return attributes.keys() <= set(self.custom_attributes)


def export_request(paths: Iterable[str], *, remaining: bool = False) -> ExportRequest:
    """Ask for exactly what the paths read, and for the id by which a user is told from others.

    :param paths: paths into an exported user.
    :param remaining: every documented field and every custom attribute too.
    :raises ValueError: for a text that is no path.
    """
    parsed = [parse_path(path) for path in paths]
    names = {path.attribute for path in parsed if path.attribute is not None}
    fields = {_IDENTITY, *(path.field for path in parsed if path.attribute is None)}
    if remaining:
        fields |= {*REMAINING_FIELDS, CUSTOM_ATTRIBUTES}
    if len(names) > EXPORT_ATTRIBUTES:
        fields.add(CUSTOM_ATTRIBUTES)
    # The field makes Braze ignore the names and export all attributes.
    if CUSTOM_ATTRIBUTES in fields:
        names = set()
    return ExportRequest(tuple(sorted(fields)), tuple(sorted(names)))

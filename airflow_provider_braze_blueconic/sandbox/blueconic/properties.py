"""The profile properties of the sandbox's BlueConic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.history import HISTORY, SYSTEM, stamp

__all__ = ["LEVELS", "is_system_property", "save_property", "seed_properties"]

LEVELS = ("DO_NOT_TRACK", "ANONYMOUS", "PERSONAL")
_PROPERTY_ID = re.compile(r"[A-Za-z0-9_-]+")
_FILTER_TYPES = ("RANGE", "CURRENCY", "DECIMAL", "SELECT", "EMAIL", "DATETIME")
_SENSITIVITIES = ("NON_PII", "PII")
_MERGE_STRATEGIES = ("BOTH", "SUM", "HIGHEST", "LOWEST", "LATEST", "OLDEST", "KEEP_CURRENT", "SYSTEM_DEFINED")
_READ_ONLY = {"creationDate", "creator", "lastModifiedDate", "lastModifiedUser", "profileCount", "totalProfileCount"}


def _property(property_id: str, name: str, filter_type: str, **more: Any) -> dict[str, Any]:
    return {
        "id": property_id,
        "name": name,
        "description": "",
        "tags": [],
        "filterType": filter_type,
        "indexed": False,
        "createNewProfile": False,
        "availableForSegmentation": True,
        "showInUI": True,
        "canRead": False,
        "canWrite": False,
        "dataSensitivity": "NON_PII",
        "permissionLevel": "ANONYMOUS",
        "mergeStrategy": "LATEST",
        "useValidation": filter_type != "SELECT",
        "precision": 0,
        "values": [],
        **HISTORY,
        **more,
    }


def seed_properties() -> list[dict[str, Any]]:
    personal: dict[str, Any] = {"dataSensitivity": "PII", "permissionLevel": "PERSONAL"}
    unique: dict[str, Any] = {"indexed": True, **personal}
    system: dict[str, Any] = {"creator": SYSTEM, "lastModifiedUser": SYSTEM, "mergeStrategy": "SYSTEM_DEFINED"}
    return [
        _property("crm_id", "CRM id", "SELECT", **unique),
        _property("email", "E-mail address", "EMAIL", **unique),
        _property("braze_external_id", "Braze external ID", "SELECT", **unique),
        _property("firstname", "First name", "SELECT", **personal),
        _property("lastname", "Last name", "SELECT", **personal),
        _property("points", "Loyalty points", "RANGE", mergeStrategy="SUM", range={"min": 0, "max": 2_147_483_647}),
        _property("revenue", "Total revenue", "DECIMAL", mergeStrategy="SUM", precision=2),
        _property("interests", "Interests", "SELECT", mergeStrategy="BOTH"),
        _property("city", "City", "SELECT"),
        _property("country", "Country", "SELECT"),
        _property("language", "Language", "SELECT"),
        _property("phone", "Phone number", "SELECT", **personal),
        _property("birthdate", "Date of birth", "DATETIME", **personal),
        _property("last_purchase", "Last purchase", "DATETIME", mergeStrategy="HIGHEST"),
        _property("newsletter", "Newsletter", "SELECT"),
        _property("email_consent_state", "E-mail subscription", "SELECT"),
        _property("address", "Address", "SELECT", **personal),
        _property("bio", "About me", "SELECT"),
        _property("customer_number", "Customer number", "SELECT", **personal),
        _property("visits", "Visits", "RANGE", mergeStrategy="SUM"),
        _property("interactions_viewed", "Viewed interactions", "SELECT", **{**system, "mergeStrategy": "BOTH"}),
        _property("braze_tags", "Braze tags", "SELECT", mergeStrategy="BOTH"),
        _property("braze_revenue", "Braze revenue", "DECIMAL", precision=2),
        _property("braze_city", "Braze city", "SELECT"),
        _property("braze_favourite_store", "Braze favourite store", "SELECT"),
        _property("braze_campaigns", "Braze campaigns", "SELECT", mergeStrategy="BOTH"),
        _property("braze_last_survey", "Braze last survey", "DATETIME", mergeStrategy="HIGHEST"),
        _property("creationdate", "Creation date", "DATETIME", **system),
        _property("lastmodifieddate", "Last modified date", "DATETIME", **system),
        _property("lastvisitdate", "Last visited date", "DATETIME", **system),
        _property("domaingroup", "Domain group", "SELECT", **system),
    ]


def is_system_property(described: Mapping[str, Any]) -> bool:
    """Tell whether a property is BlueConic's own, so that nobody may write it."""
    return bool(described["creator"] == SYSTEM)


def _check_property(property_id: str, document: Mapping[str, Any]) -> None:
    if not _PROPERTY_ID.fullmatch(property_id):
        raise ValueError("the id may hold letters, digits, hyphens and underscores only")
    if document.get("id", property_id) != property_id:
        raise ValueError("the id in the body differs from the id in the path")
    for name, allowed in (
        ("filterType", _FILTER_TYPES),
        ("permissionLevel", LEVELS),
        ("dataSensitivity", _SENSITIVITIES),
        ("mergeStrategy", _MERGE_STRATEGIES),
    ):
        if name in document and document[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}")


def save_property(
    known: Mapping[str, Any] | None, property_id: str, document: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Return a property as it is after a PUT.

    :param known: the property before, if there was one.
    :raises ValueError: when BlueConic would answer 400.
    """
    _check_property(property_id, document)
    if known is not None and is_system_property(known):
        raise ValueError("the property belongs to a plug-in")
    saved = dict(known) if known else _property(property_id, property_id, "SELECT")
    saved.update({name: each for name, each in document.items() if name in saved.keys() - _READ_ONLY})
    if saved["indexed"]:  # a unique identifier is personal data
        saved["dataSensitivity"], saved["permissionLevel"] = "PII", "PERSONAL"
    saved["lastModifiedDate"] = stamp(now)
    return saved

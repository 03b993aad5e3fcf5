"""What a BlueConic tenant has set up: segments, profile properties, objectives and dialogues."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .people import REFERENCE

__all__ = [
    "ALL_SEGMENT",
    "DIALOGUES",
    "EMPTY_SEGMENT",
    "LEVELS",
    "NEWSLETTER_SEGMENT",
    "NO_LEGISLATION",
    "OBJECTIVES",
    "PRIVACY_LEGISLATIONS",
    "VIP_SEGMENT",
    "Segment",
    "describe_dialogue",
    "describe_objective",
    "describe_segment",
    "has_consent",
    "is_system_property",
    "save_property",
    "seed_properties",
    "seed_segments",
    "stamp",
]

ALL_SEGMENT = "seg-all"
VIP_SEGMENT = "seg-vip"
NEWSLETTER_SEGMENT = "seg-newsletter"
EMPTY_SEGMENT = "seg-nobody"

_PROPERTY_ID = re.compile(r"[A-Za-z0-9_-]+")
_FILTER_TYPES = ("RANGE", "CURRENCY", "DECIMAL", "SELECT", "EMAIL", "DATETIME")
LEVELS = ("DO_NOT_TRACK", "ANONYMOUS", "PERSONAL")
_SENSITIVITIES = ("NON_PII", "PII")
_MERGE_STRATEGIES = ("BOTH", "SUM", "HIGHEST", "LOWEST", "LATEST", "OLDEST", "KEEP_CURRENT", "SYSTEM_DEFINED")
NO_LEGISLATION = "NONE"
PRIVACY_LEGISLATIONS = frozenset(
    {
        "ARGENTINA_DPL",
        "AUSTRALIA_PRIVACY_ACT",
        "BELIZE_DPA",
        "BRAZIL_LGPD",
        "CCPA",
        "CDPA_CTCPDA",
        "CHILE_L19_628",
        "CHINA_PIPL",
        "COLOMBIA_L1581_D1377",
        "COSTA_RICA_L8968",
        "DPDPA",
        "EL_SALVADOR",
        "FDBR",
        "GDPR",
        "GUATEMALA_LAIP",
        "HAITI_APD",
        "HONDURAS_LPDCP",
        "ICDPA",
        "INDIANA_INCDPA",
        "ISRAEL_PPL",
        "JAMAICA_DPA",
        "JAPAN_APPI",
        "KENTUCKY_KCDPA",
        "MARYLAND_MODPA",
        "MEXICO_LFPDPPP",
        "MINNESOTA_MCDPA",
        "MTCDPA",
        "NEDPA",
        "NEW_ZEALAND_PRIVACY_ACT",
        "NHPA",
        "NICARAGUA_L787",
        "NJDPA",
        "NONE",
        "NYPA",
        "OCPA",
        "PANAMA_L81",
        "PERU_DPL",
        "PIPEDA",
        "RHODE_ISLAND_RIDTPPA",
        "SB1392",
        "SB190",
        "SB220",
        "SOUTH_KOREA_PIPA",
        "SWITZERLAND_DPA",
        "TDPSA",
        "TENNESSEE_TIPA",
        "TRINIDAD_TOBAGO_DPA",
        "UCPA",
        "UK_GDPR",
    }
)
"""Zones that a profile can be created in: definition of ``PUT /profiles``, read 2026-11."""
DIALOGUES = (
    ("dia-welcome", "Welcome message", ("var-welcome-a", "var-welcome-b")),
    ("dia-spring", "Spring offer", ("var-spring-a",)),
    ("dia-survey", "How did we do?", ("var-survey-a", "var-survey-b", "var-survey-c")),
)
OBJECTIVES = (("newsletter", "Newsletter", ("GDPR", "UK_GDPR")), ("personalisation", "Personalisation", ("GDPR",)))


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_OWNER = {"fullName": "Sandbox", "userName": "sandbox@example.com"}
_SYSTEM = {"fullName": "BlueConic", "userName": "BlueConic"}
_HISTORY: dict[str, Any] = {
    "creationDate": stamp(REFERENCE - timedelta(days=2000)),
    "creator": _OWNER,
    "lastModifiedDate": stamp(REFERENCE - timedelta(days=100)),
    "lastModifiedUser": _OWNER,
}
_READ_ONLY = {"creationDate", "creator", "lastModifiedDate", "lastModifiedUser", "profileCount", "totalProfileCount"}


@dataclass(slots=True)
class Segment:
    """One segment; ``members`` are profile ids.

    :param shows_count: BlueConic leaves ``profileCount`` out of some segments.
    """

    id: str
    name: str
    description: str
    tags: list[str]
    shows_count: bool = True
    members: set[str] = field(default_factory=set)


def seed_segments() -> list[Segment]:
    return [
        Segment(ALL_SEGMENT, "All Visitors", "Everybody", []),
        Segment(VIP_SEGMENT, "VIP customers", "Customers with a loyalty card", ["braze", "loyalty"]),
        Segment(NEWSLETTER_SEGMENT, "Newsletter readers", "Consented to the newsletter", ["braze"]),
        Segment(EMPTY_SEGMENT, "Nobody yet", "Waits for its first profile", []),
        Segment("seg-prospects", "VIP prospects", "Not a VIP today", ["loyalty"]),
        Segment("seg-known", "Known, with e-mail", "", []),
        Segment("seg-recent-buyers", "Recent buyers", "", []),
        Segment("seg-dutch", "Dutch speakers", "", []),
        Segment("seg-hour-0", "Preferred visit hour: Morning", "", []),
        Segment("seg-hour-1", "Preferred visit hour: Afternoon", "", []),
        Segment("seg-hour-2", "Preferred visit hour: Evening", "", [], shows_count=False),
        Segment("seg-retired", "VIP customers 2019", "An old definition", []),
    ]


def describe_segment(segment: Segment) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "tags": list(segment.tags),
        "inverseOf": "",
        "inversedBy": "",
        **_HISTORY,
    }
    if segment.shows_count:
        shown["profileCount"] = len(segment.members)
    return shown


def describe_dialogue(dialogue_id: str, name: str, variants: Sequence[str]) -> dict[str, Any]:
    return {
        "id": dialogue_id,
        "name": name,
        "description": "",
        "isEnabled": True,
        "tags": [],
        "targetChannels": [],
        "variants": [
            {
                "id": variant,
                "name": f"{name}, variant {variant[-1].upper()}",
                "description": "",
                "isEnabled": True,
                "pluginId": "htmlinteractiontype",
                "tags": [],
                **_HISTORY,
            }
            for variant in variants
        ],
        **_HISTORY,
    }


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
        **_HISTORY,
        **more,
    }


def seed_properties() -> list[dict[str, Any]]:
    personal: dict[str, Any] = {"dataSensitivity": "PII", "permissionLevel": "PERSONAL"}
    unique: dict[str, Any] = {"indexed": True, **personal}
    system: dict[str, Any] = {"creator": _SYSTEM, "lastModifiedUser": _SYSTEM, "mergeStrategy": "SYSTEM_DEFINED"}
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
    return bool(described["creator"] == _SYSTEM)


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


def has_consent(objective_id: str, *, consented: Sequence[str], refused: Sequence[str], legislation: str) -> bool:
    """Tell whether a profile consented to an objective, or lives in a zone where that one needs no consent.

    Where none is needed, a refusal still counts. Nobody has consented to an objective that does not exist (UNVERIFIED).
    """
    zones = next((each for known, _, each in OBJECTIVES if known == objective_id), None)
    if zones is None or objective_id in refused:
        return False
    return objective_id in consented or legislation not in zones


def describe_objective(
    objective_id: str, name: str, legislations: Sequence[str], *, consented: int, refused: int, total: int
) -> dict[str, Any]:
    return {
        "id": objective_id,
        "name": name,
        "title": name,
        "description": "",
        "objectiveDescription": f"Consent for: {name}",
        "needsConsent": True,
        "legislations": list(legislations),
        "references": [{"id": "conn-braze", "type": "connection"}],
        "consentedProfileCount": consented,
        "refusedProfileCount": refused,
        "totalProfileCount": total,
        "tags": [],
        **_HISTORY,
    }

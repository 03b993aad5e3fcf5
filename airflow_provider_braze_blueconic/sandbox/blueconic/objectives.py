"""The objectives of the sandbox's BlueConic, to which people consent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.history import HISTORY

__all__ = ["OBJECTIVES", "describe_objective", "has_consent"]

OBJECTIVES = (("newsletter", "Newsletter", ("GDPR", "UK_GDPR")), ("personalisation", "Personalisation", ("GDPR",)))


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
        **HISTORY,
    }

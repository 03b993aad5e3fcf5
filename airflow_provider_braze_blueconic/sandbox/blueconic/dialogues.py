"""The dialogues of the sandbox's BlueConic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.history import HISTORY

__all__ = ["DIALOGUES", "describe_dialogue"]

DIALOGUES = (
    ("dia-welcome", "Welcome message", ("var-welcome-a", "var-welcome-b")),
    ("dia-spring", "Spring offer", ("var-spring-a",)),
    ("dia-survey", "How did we do?", ("var-survey-a", "var-survey-b", "var-survey-c")),
)


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
                **HISTORY,
            }
            for variant in variants
        ],
        **HISTORY,
    }

"""What a path finds in an exported user: JSON values, written as texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from airflow_provider_braze_blueconic.vendors.braze_export_fields import CAMPAIGNS, CUSTOM_ATTRIBUTES
from airflow_provider_braze_blueconic.vendors.braze_path_steps import Step, Where

__all__ = ["Reader", "User", "attribute_reader", "campaigns_reader", "field_reader", "step_reader", "value_texts"]

User = Mapping[str, Any]
Reader = Callable[[User], "list[str] | None"]

_NOTHING = [None]


def value_texts(value: object) -> list[str] | None:
    """Write a JSON value as texts; :meth:`~.braze_paths.BrazePath.texts` says how."""
    if type(value) is str:
        return [value]
    if value is None:
        return None
    if type(value) is list:
        return [_text(element) for element in value if element is not None]
    return [_text(value)]


def _text(value: object) -> str:
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return _decimal_text(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _decimal_text(value: float) -> str:
    text = repr(value)
    if text.endswith(".0"):
        text = text[:-2]
    elif "e" in text:
        text = format(Decimal(text), "f")
    return "0" if text == "-0" else text  # equal to zero, and another text


def field_reader(field: str) -> Reader:
    """Make the function that reads a whole field."""

    def read(user: User) -> list[str] | None:
        value = user.get(field)
        return [value] if type(value) is str else value_texts(value)

    return read


def attribute_reader(name: str) -> Reader:
    """Make the function that reads a whole custom attribute."""

    def read(user: User) -> list[str] | None:
        attributes = user.get(CUSTOM_ATTRIBUTES)
        if type(attributes) is not dict:
            return None
        value = attributes.get(name)
        return [value] if type(value) is str else value_texts(value)

    return read


def step_reader(field: str, steps: tuple[Step, ...]) -> Reader:
    """Make the function that reads what steps lead to."""

    def read(user: User) -> list[str] | None:
        values: list[Any] = [user.get(field)]
        for step in steps:
            if values == _NOTHING:
                return None
            if isinstance(step, int):
                values = _pick(values, step)
                continue
            reached: list[Any] = []
            for value in values:
                _reach(value, step, reached)
            values = reached
        if len(values) == 1 and type(values[0]) is str:
            return values
        found = [texts for value in values if (texts := value_texts(value)) is not None]
        if not found:
            return None
        return found[0] if len(found) == 1 else [text for texts in found for text in texts]

    return read


def _pick(values: list[Any], place: int) -> list[Any]:
    """Pick one of all the values that were reached; in a list, one that is null keeps its place."""
    several: list[Any] = []
    for value in values:
        if type(value) is list:
            several += value
        elif value is not None:
            several.append(value)
    return [several[place]] if -len(several) <= place < len(several) else []


def _reach(value: object, step: str | Where, reached: list[Any]) -> None:
    """Add what one step finds in a value. An object counts as a list of one: Braze's page calls some lists objects."""
    if type(value) is dict:
        if isinstance(step, str):
            reached.append(value.get(step))
        elif (held := value.get(step.key)) is not None and (held if type(held) is str else _text(held)) == step.value:
            reached.append(value)
    elif type(value) is list:
        for element in value:
            _reach(element, step, reached)


def campaigns_reader(names: Mapping[str, str]) -> Reader:
    """Make the function that reads the names of the campaigns."""

    def read(user: User) -> list[str] | None:
        campaigns = user.get(CAMPAIGNS)
        if type(campaigns) is not list:
            return value_texts(campaigns)
        found: list[str] = []
        for campaign in campaigns:
            if type(campaign) is not dict:
                found += value_texts(campaign) or ()
                continue
            campaign_id, own = campaign.get("api_campaign_id"), campaign.get("name")
            name = names.get(campaign_id) if type(campaign_id) is str else None
            found += value_texts(name or own or campaign_id) or ()
        return found

    return read

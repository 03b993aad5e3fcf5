"""Paths into an exported Braze user: what an import goal can read, and the texts found there.

::

    email                                           a field of the export
    custom_attributes.address.city                  a custom attribute, and a part of it
    custom_attributes["a.b"]                        a name with a dot, a bracket or a quote
    devices.model                                   a step over a list visits each element
    purchases[name=sku1].count                      only the elements with this value
    last_coordinates[0]                             one of several: 0 is the first, -1 the last
    user_aliases[alias_label="my crm"].alias_name   quoted where the value holds a bracket or a quote
    campaigns_received                              alone: the names of the campaigns

Standard library only, like the goals' models, which use it too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from airflow_provider_braze_blueconic.sync.near_names import nearest

__all__ = [
    "BRAZE_EXPORT_FIELDS",
    "CAMPAIGNS",
    "CUSTOM_ATTRIBUTES",
    "BrazePath",
    "ExportKind",
    "Where",
    "alias_path",
    "attribute_path",
    "parse_path",
    "value_texts",
]

ExportKind = Literal["string", "integer", "float", "time", "boolean", "array", "object", "any"]
"""What a field of an exported Braze user holds; ``any`` for custom attributes and what no page names."""

User = Mapping[str, Any]
Reader = Callable[[User], "list[str] | None"]

CUSTOM_ATTRIBUTES = "custom_attributes"
CAMPAIGNS = "campaigns_received"

# Docs "POST /users/export/segment", fields_to_export, read 2026-11. `custom_attributes` is asked for by attribute.
# campaigns_received and canvases_received are not in that table, but are named as fields by the same page.
BRAZE_EXPORT_FIELDS: Mapping[str, ExportKind] = MappingProxyType(
    {
        "apps": "array",
        "attributed_ad": "string",
        "attributed_adgroup": "string",
        "attributed_campaign": "string",
        "attributed_source": "string",
        "braze_id": "string",
        "campaigns_received": "array",
        "canvases_received": "array",
        "country": "string",
        "created_at": "time",
        "created_from": "string",
        "custom_events": "array",
        "devices": "array",
        "dob": "string",
        "email": "string",
        "email_subscribe": "string",
        "external_id": "string",
        "first_name": "string",
        "gender": "string",
        "home_city": "string",
        "language": "string",
        "last_coordinates": "array",
        "last_name": "string",
        "phone": "string",
        "purchases": "array",
        "push_subscribe": "string",
        "push_tokens": "array",
        "random_bucket": "integer",
        "time_zone": "string",
        "total_revenue": "float",
        "uninstalled_at": "time",
        "user_aliases": "array",
    }
)

# The same page, user object and sample output, read 2026-11. A part that is not here can be read all the same, since
# the page's own table and sample differ; only its kind is not known.
_COUNTED: Mapping[str, ExportKind] = {"name": "string", "first": "time", "last": "time", "count": "integer"}
_PARTS: Mapping[str, Mapping[str, ExportKind]] = {
    "apps": {
        "name": "string",
        "platform": "string",
        "version": "string",
        "sessions": "integer",
        "first_used": "time",
        "last_used": "time",
    },
    "campaigns_received": {
        "name": "string",
        "api_campaign_id": "string",
        "last_received": "time",
        "engaged": "object",
        "converted": "boolean",
        "multiple_converted": "object",
        "variation_name": "string",
        "variation_api_id": "string",
        "in_control": "boolean",
    },
    "canvases_received": {
        "name": "string",
        "api_canvas_id": "string",
        "last_received_message": "time",
        "last_entered": "time",
        "last_exited": "time",
        "last_entered_control_at": "time",
        "variation_name": "string",
        "in_control": "boolean",
        "steps_received": "array",
    },
    "custom_events": _COUNTED,
    "devices": {
        "model": "string",
        "os": "string",
        "carrier": "string",
        "idfv": "string",
        "idfa": "string",
        "device_id": "string",
        "google_ad_id": "string",
        "roku_ad_id": "string",
        "ad_tracking_enabled": "boolean",
    },
    "purchases": _COUNTED,
    "push_tokens": {
        "app": "string",
        "platform": "string",
        "token": "string",
        "device_id": "string",
        "notifications_enabled": "boolean",
    },
    "user_aliases": {"alias_name": "string", "alias_label": "string"},
}

_NAME = re.compile(r'[^.\[\]"]+')
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_QUOTED_KEY = re.compile(rf"\[({_QUOTED})\]")
_WHERE = re.compile(rf'\[([^.\[\]"=]+)=({_QUOTED}|[^\[\]"]+)\]')
_INDEX = re.compile(r"\[(-?[0-9]{1,4})\]")
_COORDINATES = "last_coordinates"
_COORDINATES_THERE = 2  # the same page: longitude and latitude
_BARE_VALUE = re.compile(r'[^\[\]"]+')
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Where:
    """A step that keeps only elements whose ``key`` has this value, written as a text."""

    key: str
    value: str


Step = str | Where | int
"""A key, a filter, or the place of one of several values."""


@dataclass(frozen=True)
class BrazePath:
    """One path, ready to be read from a million users.

    :param text: as its author wrote it.
    :param field: what Braze's ``fields_to_export`` must hold; ``custom_attributes`` are asked for one by one instead.
    :param attribute: the custom attribute's name; ``None`` for any other field.
    :param steps: what follows the field, the attribute's name included: keys, filters and places.
    """

    text: str
    field: str
    attribute: str | None
    steps: tuple[Step, ...]

    @property
    def owner(self) -> tuple[str, str | None]:
        """The field, and of a custom attribute its name, that the path reads or reads a part of."""
        return self.field, self.attribute

    @property
    def is_whole(self) -> bool:
        """Whether the path reads all of its field or custom attribute, and not a part."""
        return len(self.steps) == (0 if self.attribute is None else 1)

    @property
    def is_ordered(self) -> bool:
        """Whether the order of several values means something, and so does one that is there twice.

        Coordinates are a pair, and what stands inside a nested attribute is kept as it was written. A list that is a
        whole attribute is a set to Braze, which moves an element to the end when it comes again; the lists of devices,
        purchases and the like have no order either.
        """
        if self.attribute is not None:
            return len(self.steps) > 1
        return self.field == _COORDINATES

    @property
    def kind(self) -> ExportKind:
        """What Braze holds there, as far as its pages say."""
        if not self.steps:
            return BRAZE_EXPORT_FIELDS[self.field]
        keys = [step for step in self.steps if isinstance(step, str)]
        if not keys:
            return "float" if self.field == _COORDINATES else "array"
        return _PARTS.get(self.field, {}).get(keys[0], "any") if len(keys) == 1 else "any"

    def texts(self, user: User) -> list[str] | None:
        """Read one user.

        :return: ``None`` if nothing is there, or null. Text stays as it is; numbers are in plain decimal notation;
            a list gives a text for each element; an object, and a list inside a list, gives its canonical JSON text.
        """
        return self._read(user)

    def reader(self, campaign_names: Mapping[str, str] | None = None) -> Reader:
        """Make the function that reads one user; :meth:`texts` says what it returns.

        :param campaign_names: campaign id → name, for a path that is ``campaigns_received`` alone. A campaign that is
            not in it goes by the name in the export, or else by its id.
        """
        if self.field == CAMPAIGNS and not self.steps:
            return _campaigns_reader(campaign_names or {})
        if not self.steps:
            return _field_reader(self.field)
        if len(self.steps) == 1 and self.attribute is not None:
            return _attribute_reader(self.attribute)
        return _step_reader(self.field, self.steps)

    @cached_property
    def _read(self) -> Reader:
        return self.reader()


def alias_path(label: str) -> str:
    """Write the path of the alias that has this label."""
    value = label if _BARE_VALUE.fullmatch(label) and _is_plain(label) else json.dumps(label, ensure_ascii=False)
    return f"user_aliases[alias_label={value}].alias_name"


def attribute_path(name: str) -> str:
    """Write the path of a custom attribute; :func:`parse_path` reads it back."""
    if _NAME.fullmatch(name) and _is_plain(name):
        return f"{CUSTOM_ATTRIBUTES}.{name}"
    return f"{CUSTOM_ATTRIBUTES}[{json.dumps(name, ensure_ascii=False)}]"


def parse_path(text: str) -> BrazePath:
    """Read a path as written in a goal.

    :raises ValueError: with a sentence that says what is wrong with it.
    """
    head = _NAME.match(text)
    field = head[0] if head else ""
    if field != CUSTOM_ATTRIBUTES and field not in BRAZE_EXPORT_FIELDS:
        _refuse_field(text, field)
    # Devices, purchases and the like stand in no order, so the first of them is another one every night.
    steps = _parse_steps(text, len(field), places=field in (CUSTOM_ATTRIBUTES, _COORDINATES))
    if field == CUSTOM_ATTRIBUTES:
        attribute = steps[0] if steps else None
        if not isinstance(attribute, str):
            raise ValueError(f'custom attributes are read one by one: write "{CUSTOM_ATTRIBUTES}.<name>".')
        return BrazePath(text, field, attribute, steps)
    if field == _COORDINATES and len(steps) == 1 and isinstance(place := steps[0], int):
        if place in range(-_COORDINATES_THERE, _COORDINATES_THERE):
            return BrazePath(text, field, None, steps)
        raise ValueError(f'"{field}" is a pair of numbers. Write "{field}[0]" or "{field}[1]".')
    if steps and field not in _PARTS:
        is_pair = field == _COORDINATES
        kind = "a list of numbers" if is_pair else f"a {BRAZE_EXPORT_FIELDS[field]}"
        one = f', or "{field}[0]" for one of them' if is_pair else ""
        raise ValueError(f'"{field}" is {kind} in Braze and has no parts. Write "{field}" alone{one}.')
    return BrazePath(text, field, None, steps)


def _refuse_field(text: str, field: str) -> NoReturn:
    if field == "subscription_groups":
        raise ValueError("Braze doesn't export subscription groups. Import one segment for each group instead.")
    if field == "user_alias":
        raise ValueError(
            "Braze exports a list of aliases. "
            'For the name under one label write "user_aliases[alias_label=<label>].alias_name".'
        )
    if not field:
        raise ValueError(f'expected a field of Braze\'s export, such as "email"; found {_quoted(text)}.')
    near = nearest(field, [*BRAZE_EXPORT_FIELDS, CUSTOM_ATTRIBUTES])
    near = near or f' For a custom attribute write "{CUSTOM_ATTRIBUTES}.{_short(text)}".'
    raise ValueError(f"Braze exports no field {_quoted(field)}.{near}")


def _parse_steps(text: str, position: int, *, places: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    while position < len(text):
        if text[position] == "." and (name := _NAME.match(text, position + 1)) and _is_plain(name[0]):
            steps.append(name[0])
            position = name.end()
        elif quoted := _QUOTED_KEY.match(text, position):
            steps.append(_unquoted(quoted[1]))
            position = quoted.end()
        elif places and (place := _INDEX.match(text, position)):
            steps.append(int(place[1]))
            position = place.end()
        elif (where := _WHERE.match(text, position)) and _is_plain(where[1]):
            value = where[2]
            if not value.startswith('"') and not _is_plain(value):
                raise ValueError(f'put the value in {_quoted(where[0])} between quotes: [{where[1]}="…"].')
            steps.append(Where(where[1], _unquoted(value) if value.startswith('"') else value))
            position = where.end()
        else:
            place_too = ", or [<number>] for one of several" if places else ""
            raise ValueError(
                f"{_quoted(text)} can't be read from {_quoted(text[position:])} on. "
                f'Expected .<name>, ["<name with a dot>"] or [<name>=<value>]{place_too}.'
            )
    return tuple(steps)


def _is_plain(name: str) -> bool:
    return name.strip() == name != "" and name.isprintable()


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        raise ValueError(
            f"{_short(quoted)} can't be read: between quotes, write \\\" for a quote and \\\\ for \\."
        ) from None


def _quoted(text: str) -> str:
    return f'"{_short(text)}"'


def _short(text: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"


def value_texts(value: object) -> list[str] | None:
    """Write a JSON value as texts; :meth:`BrazePath.texts` says how."""
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


def _field_reader(field: str) -> Reader:
    def read(user: User) -> list[str] | None:
        value = user.get(field)
        return [value] if type(value) is str else value_texts(value)

    return read


def _attribute_reader(name: str) -> Reader:
    def read(user: User) -> list[str] | None:
        attributes = user.get(CUSTOM_ATTRIBUTES)
        if type(attributes) is not dict:
            return None
        value = attributes.get(name)
        return [value] if type(value) is str else value_texts(value)

    return read


def _step_reader(field: str, steps: tuple[Step, ...]) -> Reader:
    def read(user: User) -> list[str] | None:
        values = [user.get(field)]
        for step in steps:
            reached: list[Any] = []
            if isinstance(step, int):
                values = _pick(values, step)
                continue
            for value in values:
                _reach(value, step, reached)
            values = reached
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
    if type(value) is list:
        for element in value:
            _reach(element, step, reached)
    elif type(value) is dict:
        if isinstance(step, str):
            reached.append(value.get(step))
        elif (held := value.get(step.key)) is not None and _text(held) == step.value:
            reached.append(value)


def _campaigns_reader(names: Mapping[str, str]) -> Reader:
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

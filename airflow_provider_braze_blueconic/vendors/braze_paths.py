"""Paths into an exported Braze user: what an import goal can read.

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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.vendors.braze_export_fields import (
    BRAZE_EXPORT_FIELDS,
    CAMPAIGNS,
    COORDINATES,
    COORDINATES_THERE,
    CUSTOM_ATTRIBUTES,
    EXPORT_PARTS,
    ExportKind,
)
from airflow_provider_braze_blueconic.vendors.braze_path_steps import (
    NAME,
    Step,
    in_quotes,
    is_plain,
    parse_steps,
    short,
)
from airflow_provider_braze_blueconic.vendors.braze_path_values import (
    Reader,
    User,
    attribute_reader,
    campaigns_reader,
    field_reader,
    step_reader,
)

__all__ = ["BrazePath", "alias_path", "attribute_path", "parse_path"]

_BARE_VALUE = re.compile(r'[^\[\]"]+')


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
        return self.field == COORDINATES

    @property
    def kind(self) -> ExportKind:
        """What Braze holds there, as far as its pages say."""
        if not self.steps:
            return BRAZE_EXPORT_FIELDS[self.field]
        keys = [step for step in self.steps if isinstance(step, str)]
        if not keys:
            return "float" if self.field == COORDINATES else "array"
        return EXPORT_PARTS.get(self.field, {}).get(keys[0], "any") if len(keys) == 1 else "any"

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
            return campaigns_reader(campaign_names or {})
        if not self.steps:
            return field_reader(self.field)
        if len(self.steps) == 1 and self.attribute is not None:
            return attribute_reader(self.attribute)
        return step_reader(self.field, self.steps)

    @cached_property
    def _read(self) -> Reader:
        return self.reader()


def alias_path(label: str) -> str:
    """Write the path of the alias that has this label."""
    value = label if _BARE_VALUE.fullmatch(label) and is_plain(label) else json.dumps(label, ensure_ascii=False)
    return f"user_aliases[alias_label={value}].alias_name"


def attribute_path(name: str) -> str:
    """Write the path of a custom attribute; :func:`parse_path` reads it back."""
    if NAME.fullmatch(name) and is_plain(name):
        return f"{CUSTOM_ATTRIBUTES}.{name}"
    return f"{CUSTOM_ATTRIBUTES}[{json.dumps(name, ensure_ascii=False)}]"


def parse_path(text: str) -> BrazePath:
    """Read a path as written in a goal.

    :raises ValueError: with a sentence that says what is wrong with it.
    """
    head = NAME.match(text)
    field = head[0] if head else ""
    if field != CUSTOM_ATTRIBUTES and field not in BRAZE_EXPORT_FIELDS:
        _refuse_field(text, field)
    # Devices, purchases and the like stand in no order, so the first of them is another one every night.
    steps = parse_steps(text, len(field), places=field in (CUSTOM_ATTRIBUTES, COORDINATES))
    if field == CUSTOM_ATTRIBUTES:
        return _custom_attribute(text, steps)
    if field == COORDINATES:
        _check_coordinates(steps)
    elif steps and field not in EXPORT_PARTS:
        raise ValueError(
            f'"{field}" is a {BRAZE_EXPORT_FIELDS[field]} in Braze and has no parts. Write "{field}" alone.'
        )
    return BrazePath(text, field, None, steps)


def _custom_attribute(text: str, steps: tuple[Step, ...]) -> BrazePath:
    attribute = steps[0] if steps and isinstance(steps[0], str) else None
    if attribute is None:
        raise ValueError(f'a row reads one custom attribute: write "{CUSTOM_ATTRIBUTES}.<name>".')
    return BrazePath(text, CUSTOM_ATTRIBUTES, attribute, steps)


def _check_coordinates(steps: tuple[Step, ...]) -> None:
    if not steps:
        return
    if len(steps) > 1 or not isinstance(steps[0], int):
        raise ValueError(
            f'"{COORDINATES}" is a list of numbers in Braze and has no parts. '
            f'Write "{COORDINATES}" alone, or "{COORDINATES}[0]" for one of them.'
        )
    if steps[0] not in range(-COORDINATES_THERE, COORDINATES_THERE):
        raise ValueError(f'"{COORDINATES}" is a pair of numbers. Write "{COORDINATES}[0]" or "{COORDINATES}[1]".')


def _refuse_field(text: str, field: str) -> NoReturn:
    if field == "subscription_groups":
        raise ValueError("Braze doesn't export subscription groups. Import one segment for each group instead.")
    if field == "user_alias":
        raise ValueError(
            "Braze exports a list of aliases. "
            'For the name under one label write "user_aliases[alias_label=<label>].alias_name".'
        )
    if not field:
        raise ValueError(f'expected a field of Braze\'s segment export, such as "email"; found {in_quotes(text)}.')
    near = nearest(field, [*BRAZE_EXPORT_FIELDS, CUSTOM_ATTRIBUTES])
    near = near or f' For a custom attribute write "{CUSTOM_ATTRIBUTES}.{short(text)}".'
    raise ValueError(f"Braze exports no field {in_quotes(field)}.{near}")

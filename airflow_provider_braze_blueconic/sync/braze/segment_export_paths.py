"""What the paths of a goal read of many users at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.braze.segment_export_texts import text_lists, value_types
from airflow_provider_braze_blueconic.vendors.braze_export_fields import CAMPAIGNS, CUSTOM_ATTRIBUTES
from airflow_provider_braze_blueconic.vendors.braze_path_steps import Where
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ExportUsers", "PathColumn"]


class ExportUsers:
    """Users of an export, by column.

    :param users: as their lines have them.
    """

    def __init__(self, users: Sequence[Mapping[str, Any]]) -> None:
        self.users = users

    def field(self, name: str) -> list[Any]:
        """Give the value of a field, of each user."""
        return [user.get(name) for user in self.users]

    def attribute(self, name: str) -> list[Any]:
        """Give the value of a custom attribute, of each user."""
        return [attributes.get(name) for attributes in self.attributes]

    @cached_property
    def attributes(self) -> list[Mapping[str, Any]]:
        """The custom attributes of each user; none where what stands there is no object."""
        none: Mapping[str, Any] = {}
        return [value if type(value) is dict else none for value in self.field(CUSTOM_ATTRIBUTES)]


class PathColumn:
    """One path, read as a column: what its own reader finds in each user.

    Most lists that a path walks through have one element. Users for whom that is otherwise go through the reader.

    :param campaign_names: campaign id → name.
    """

    def __init__(self, text: str, campaign_names: Mapping[str, str] | None) -> None:
        path = parse_path(text)
        self._path = path
        self._read = path.reader(campaign_names)
        steps = path.steps if path.attribute is None else path.steps[1:]
        self._steps = [step for step in steps if not isinstance(step, int)]
        is_campaigns = path.field == CAMPAIGNS and not path.steps
        self._one_by_one = is_campaigns or len(self._steps) < len(steps)

    def lists(self, users: ExportUsers) -> pa.Array:
        """Give the texts of each user, as a column of lists."""
        import pyarrow as pa

        if self._one_by_one:
            return pa.array(map(self._read, users.users), pa.list_(pa.string()))
        path = self._path
        values = users.field(path.field) if path.attribute is None else users.attribute(path.attribute)
        odd: set[int] = set()
        for step in self._steps:
            values = _reached(_objects(values, odd), step, odd)
        for row in odd:
            # The texts of a list of texts are these texts.
            values[row] = self._read(users.users[row])
        return text_lists(values)[0]


def _objects(values: list[Any], odd: set[int]) -> list[dict[str, Any] | None]:
    """Give the one object in each value, ``None`` where there is none; rows with several things are odd."""
    if value_types(values) <= {dict}:
        return values
    objects: list[dict[str, Any] | None] = []
    for row, value in enumerate(values):
        found = value
        if type(value) is list:
            found = value[0] if len(value) == 1 else None
            if value and type(found) is not dict:
                odd.add(row)
        objects.append(found if type(found) is dict else None)
    return objects


def _reached(objects: list[dict[str, Any] | None], step: str | Where, odd: set[int]) -> list[Any]:
    if not isinstance(step, Where):
        return [None if found is None else found.get(step) for found in objects]
    held = [None if found is None else found.get(step.key) for found in objects]
    if not value_types(held) <= {str}:
        # Another value is compared as a text.
        odd.update(row for row, value in enumerate(held) if value is not None and type(value) is not str)
    return [found if value == step.value else None for found, value in zip(objects, held, strict=True)]

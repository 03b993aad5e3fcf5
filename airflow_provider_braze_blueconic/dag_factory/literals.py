"""Texts of a goal file where Airflow expects templates: Airflow never renders what an author wrote."""

from __future__ import annotations

from typing import Any

__all__ = ["Template", "literal", "literal_partial", "literal_task"]

_SPECIAL = ("{{", "{%", "{#", "\n", "\r")
"""What makes Jinja change a text: its three kinds of tags, and line breaks, which it rewrites and takes off the end."""


class Template(str):
    """A text of ours that Airflow is to render, unlike any text of a goal."""

    __slots__ = ()


def literal(value: Any) -> Any:
    """Write a value so that Airflow's rendering gives it back as it is.

    A text that Jinja would change becomes an expression that holds the text. Unlike Airflow's own ``literal()``, that
    also works as a part of another text, such as the subject of an e-mail, and is a text itself wherever it is looked
    at before it is rendered.

    :param value: a text, or a list, tuple or mapping of such; a :class:`Template`, and all else, stays as it is.
    """
    if isinstance(value, Template):
        return str(value)
    if type(value) is str:
        return _expression(value) if any(mark in value for mark in _SPECIAL) else value
    if type(value) in (list, tuple):
        return type(value)(literal(element) for element in value)
    if type(value) is dict:
        return {name: literal(element) for name, element in value.items()}
    return value


def _expression(text: str) -> str:
    # Jinja reads a text in quotes as Python does. Its own marks are escaped too: a goal may hold "}}".
    plain = text.encode("unicode_escape").decode("ascii")
    for mark in "{}%#\"'":
        plain = plain.replace(mark, f"\\x{ord(mark):02x}")
    return f'{{{{ "{plain}" }}}}'


def literal_task(operator: type[Any], **settings: Any) -> Any:
    """Make a task whose settings come from a goal: in a templated field they are taken literally."""
    return operator(**_literal_fields(operator, settings))


def literal_partial(operator: type[Any], **settings: Any) -> Any:
    """Begin a mapped task as :func:`literal_task` makes one."""
    return operator.partial(**_literal_fields(operator, settings))


def _literal_fields(operator: type[Any], settings: dict[str, Any]) -> dict[str, Any]:
    return {name: literal(value) if name in operator.template_fields else value for name, value in settings.items()}

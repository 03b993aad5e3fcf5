"""The values that an author may write in a goal, as types whose messages say what they expect."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from airflow_provider_braze_blueconic.goals.schedules import PRESETS, airflow_schedule, known_timezone
from airflow_provider_braze_blueconic.goals.shown_values import quoted
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.sync.store.folder_names import folder_problem
from airflow_provider_braze_blueconic.sync.values.date_formats import date_format_problem
from airflow_provider_braze_blueconic.vendors.blueconic_legislations import LEGISLATIONS
from airflow_provider_braze_blueconic.vendors.braze_attributes import Scalar

__all__ = [
    "BarePresetOrSchedule",
    "ConnectionId",
    "DateFormat",
    "Day",
    "Delimiter",
    "EmailAddress",
    "Flag",
    "GoalId",
    "Label",
    "Legislation",
    "Line",
    "Number",
    "OldGoalId",
    "PropertyId",
    "S3Files",
    "S3Folder",
    "Schedule",
    "Separator",
    "StateFolder",
    "TimeZone",
    "Title",
    "Value",
    "Whole",
    "pattern",
    "refused_by",
    "unique",
]

_Item = TypeVar("_Item")

_LABEL_CHARACTERS = 100  # a DAG tag in Airflow's metadata database
_NAME_CHARACTERS = 250
_GOAL_ID = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$"
_CONNECTION_ID = r"^[\w#!()\-.:/\\]{1,200}$"  # what Airflow takes for a connection id
_S3_FOLDER = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/?#*\s]+)*/?$"
# Without what sync.store.staging.folder_problem() refuses, in words that editors understand.
_S3_STATE = (
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    r"(/(?!\.{1,2}(/|$))([^/?#*\s%\\|^\[\]\x00-\x1f\x7f-\x9f\u2028\u2029]|%(?![0-9A-Fa-f]{2}))+)*/?$"
)
_S3_FILES = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^?#]*[^/?#]$"
_PROPERTY_ID = r"^[A-Za-z0-9_-]+$"  # BlueConic: letters, digits, "-" and "_"
_EMAIL = r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+$"
_YEARS = range(1970, 3000)  # of a start; the first and last years of the calendar can't be written in all time zones


def pattern(
    expression: str, expected: str, problem_of: Callable[[str], str | None] = lambda _: None
) -> tuple[AfterValidator, Any]:
    """Make a validator with our own sentence, and the same rule for editors.

    :param problem_of: says more of a text than that it is not what was expected; ``None`` where it can't. Not a
        validator of its own: in which order pydantic calls two of them depends on its version.
    """
    compiled = re.compile(expression)

    def problem_in(text: str) -> str | None:
        return problem_of(text) or (None if compiled.fullmatch(text) else f"expected {expected}.")

    return AfterValidator(refused_by(problem_in)), Field(json_schema_extra={"pattern": expression})


def refused_by(problem_of: Callable[[Any], str | None], *, quoting: bool = False) -> Callable[[Any], Any]:
    """Make a validator that refuses a value of which a function names a problem.

    :param problem_of: says what is wrong with a value, as sentences; ``None`` if nothing is. It is not asked about
        ``None``, which is no value.
    :param quoting: begin the message with the value.
    """

    def check(value: Any) -> Any:
        problem = problem_of(value) if value is not None else None
        if problem:
            raise ValueError(f"{quoted(value)} {problem}" if quoting else problem)
        return value

    return check


def _visible(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("expected text of one line, without spaces at its edges.")
    return text


def at_most(characters: int) -> AfterValidator:
    """Make a validator of a text's length."""

    def check(text: str) -> str:
        if len(text) > characters:
            raise ValueError(f"has {len(text)} characters; at most {characters} are possible.")
        return text

    return AfterValidator(check)


def unique(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Refuse a list that has something twice."""
    twice = sorted({str(item) for item in items if items.count(item) > 1})
    if twice:
        raise ValueError(f'has "{twice[0]}" more than once.')
    return items


def _without_slash(uri: object) -> object:
    return uri.rstrip("/") if isinstance(uri, str) and uri != "s3://" else uri


def _scalar(value: object) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
            raise ValueError("expected a number that JSON can hold.")
        return value
    raise ValueError("expected a single value: text, a number, true or false.")


def _iso_date(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such day in the calendar.") from None
    if not isinstance(value, date):
        raise ValueError("expected a date, such as 2026-11-30.")  # noqa: TRY004  pydantic wants it
    if value.year not in _YEARS:
        raise ValueError(f"expected a date between the years {_YEARS[0]} and {_YEARS[-1]}.")
    return value


def _known_legislation(zone: str) -> str:
    if zone not in LEGISLATIONS:
        raise ValueError(f"expected a zone that BlueConic knows.{nearest(zone, LEGISLATIONS)}")
    return zone


def _bare_preset(text: object) -> object:
    return f"@{text}" if f"@{text}" in PRESETS else text


GoalId = Annotated[
    str,
    *pattern(_GOAL_ID, 'letters, digits, "_" and "-", at most 100 of them, beginning with a letter, a digit or "_"'),
]
OldGoalId = Annotated[str, *pattern(_GOAL_ID, 'the goal\'s old id: letters, digits, "_" and "-"')]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Line = Annotated[str, AfterValidator(_visible)]
Title = Annotated[Line, at_most(_NAME_CHARACTERS)]
Label = Annotated[str, AfterValidator(_visible), at_most(_LABEL_CHARACTERS)]
Value = Annotated[Scalar, BeforeValidator(_scalar)]
DateFormat = Annotated[str, AfterValidator(refused_by(date_format_problem, quoting=True))]
Day = Annotated[date, BeforeValidator(_iso_date)]
Schedule = Annotated[str, AfterValidator(airflow_schedule)]
BarePresetOrSchedule = Annotated[str, BeforeValidator(_bare_preset), AfterValidator(airflow_schedule)]
TimeZone = Annotated[str, AfterValidator(known_timezone)]
Legislation = Annotated[str, AfterValidator(_known_legislation)]
ConnectionId = Annotated[str, *pattern(_CONNECTION_ID, "an Airflow connection id")]
S3Folder = Annotated[
    str,
    BeforeValidator(_without_slash),
    *pattern(_S3_FOLDER, 'a bucket or a folder in one, such as "s3://bucket/folder"'),
]
StateFolder = Annotated[
    str,
    BeforeValidator(_without_slash),
    *pattern(_S3_STATE, 'a bucket or a folder in one, such as "s3://bucket/folder"', folder_problem),
]
S3Files = Annotated[str, *pattern(_S3_FILES, 'files in a bucket, such as "s3://bucket/path/*.csv"')]
PropertyId = Annotated[str, *pattern(_PROPERTY_ID, 'a property id of letters, digits, "_" and "-"')]
EmailAddress = Annotated[str, *pattern(_EMAIL, "one e-mail address")]
Delimiter = Annotated[str, *pattern(r'^[^"\r\n]$', "one character that is neither a quotation mark nor a line break")]
Separator = Annotated[
    str, *pattern(r'^[^"\r\n]{1,10}$', "up to ten characters without quotation marks and line breaks")
]

"""The goal as pydantic models: what a goal file may hold, and the Python API for the same.

Descriptions here are the reference page and the JSON Schema; both are made by ``goals/reference.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from airflow_provider_braze_blueconic.goals.checks import (
    check_export,
    check_export_field,
    check_export_identifier,
    check_import,
    check_import_field,
    check_import_identifier,
    export_source_problem,
    import_identifier_problem,
    import_source_problem,
)
from airflow_provider_braze_blueconic.goals.findings import Finding, quoted
from airflow_provider_braze_blueconic.goals.schedules import PRESETS, airflow_schedule, known_timezone
from airflow_provider_braze_blueconic.goals.targets import LEGISLATIONS, FieldType, Scalar, braze_name_problem
from airflow_provider_braze_blueconic.sync.csv_files import FilePattern
from airflow_provider_braze_blueconic.sync.near_names import nearest
from airflow_provider_braze_blueconic.sync.staging import folder_problem
from airflow_provider_braze_blueconic.sync.times import date_format_problem

__all__ = [
    "Connections",
    "CsvDelivery",
    "CsvSource",
    "ExportField",
    "ExportGoal",
    "ExportIdentifier",
    "ExportSource",
    "ExportUpload",
    "Goal",
    "ImportField",
    "ImportGoal",
    "ImportIdentifier",
    "ImportSource",
    "ImportUpload",
    "LeaversSet",
    "Limits",
    "Notify",
    "Reconcile",
    "RemainingFields",
    "Retention",
    "SegmentSource",
]

_Item = TypeVar("_Item")

_GOAL_ID = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$"
_LABEL_CHARACTERS = 100  # a DAG tag in Airflow's metadata database
_NAME_CHARACTERS = 250
_CONNECTION_ID = r"^[\w#!()\-.:/\\]{1,200}$"  # what Airflow takes for a connection id
_S3_FOLDER = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/?#*\s]+)*/?$"
# Without what sync.staging.folder_problem() refuses, in words that editors understand.
_S3_STATE = (
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    r"(/(?!\.{1,2}(/|$))([^/?#*\s%\\|^\[\]\x00-\x1f\x7f-\x9f\u2028\u2029]|%(?![0-9A-Fa-f]{2}))+)*/?$"
)
_S3_FILES = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^?#]*[^/?#]$"
_PROPERTY_ID = r"^[A-Za-z0-9_-]+$"  # BlueConic: letters, digits, "-" and "_"
_EMAIL = r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+$"
_LARGEST_REQUEST_RATE = 10_000  # requests per second; above any limit that either vendor publishes
_YEARS = range(1970, 3000)  # of a start; the first and last years of the calendar can't be written in all time zones
_LONGEST_RETENTION = 3_650  # days; a typing error above that


def _pattern(expression: str, expected: str) -> tuple[AfterValidator, Any]:
    """Make a validator with our own sentence, and the same rule for editors."""
    compiled = re.compile(expression)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"expected {expected}.")
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": expression})


def _visible(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("expected text of one line, without spaces at its edges.")
    return text


def _at_most(characters: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > characters:
            raise ValueError(f"has {len(text)} characters; at most {characters} are possible.")
        return text

    return AfterValidator(check)


def _unique(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    twice = sorted({str(item) for item in items if items.count(item) > 1})
    if twice:
        raise ValueError(f'has "{twice[0]}" more than once.')
    return items


def _without_slash(uri: object) -> object:
    return uri.rstrip("/") if isinstance(uri, str) and uri != "s3://" else uri


def _one_folder(uri: str) -> str:
    problem = folder_problem(uri)
    if problem:
        raise ValueError(problem)
    return uri


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


def _raise(findings: Iterable[Finding]) -> None:
    found = tuple(findings)
    if found:
        text = "\n".join(f"{finding.where}: {finding.text()}" for finding in found)
        raise PydanticCustomError("goal_findings", "{text}", {"text": text, "findings": found})


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Line = Annotated[str, AfterValidator(_visible)]
ConnectionId = Annotated[str, *_pattern(_CONNECTION_ID, "an Airflow connection id")]
S3Folder = Annotated[
    str,
    BeforeValidator(_without_slash),
    *_pattern(_S3_FOLDER, 'a bucket or a folder in one, such as "s3://bucket/folder"'),
]
StateFolder = Annotated[
    str,
    BeforeValidator(_without_slash),
    AfterValidator(_one_folder),
    *_pattern(_S3_STATE, 'a bucket or a folder in one, such as "s3://bucket/folder"'),
]
PropertyId = Annotated[str, *_pattern(_PROPERTY_ID, 'a property id of letters, digits, "_" and "-"')]
Label = Annotated[str, AfterValidator(_visible), _at_most(_LABEL_CHARACTERS)]
EmailAddress = Annotated[str, *_pattern(_EMAIL, "one e-mail address")]
Value = Annotated[Scalar, BeforeValidator(_scalar)]
Delimiter = Annotated[str, *_pattern(r'^[^"\r\n]$', "one character that is neither a quotation mark nor a line break")]
Separator = Annotated[
    str, *_pattern(r'^[^"\r\n]{1,10}$', "up to ten characters without quotation marks and line breaks")
]


def _date_format(text: str) -> str:
    problem = date_format_problem(text)
    if problem:
        raise ValueError(f"{quoted(text)} {problem}")
    return text


DateFormat = Annotated[str, AfterValidator(_date_format)]


def _known_legislation(zone: str) -> str:
    if zone not in LEGISLATIONS:
        raise ValueError(f"expected a zone that BlueConic knows.{nearest(zone, LEGISLATIONS)}")
    return zone


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Connections(_Part):
    """Ids of the Airflow connections that hold the endpoints and secrets. No secret stands in a goal."""

    braze: ConnectionId = Field(default="braze_default", description="Connection of type `braze`.")
    blueconic: ConnectionId = Field(default="blueconic_default", description="Connection of type `blueconic`.")
    aws: ConnectionId = Field(
        default="aws_default", description="Connection of type `aws`, for the bucket that `staging` names."
    )


class Limits(_Part):
    """What a run may use. Where a limit would be broken, the run stops before anything is sent."""

    data_points: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None,
        description="Data points that one run may cost, at most: Braze bills each attribute written. Export only.",
    )
    requests_per_second: Annotated[Number, Field(gt=0, le=_LARGEST_REQUEST_RATE)] | None = Field(
        default=None,
        description="Requests per second to the target, at most. The target's own limit applies where it is lower.",
    )
    rejected_percent: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description=(
            "Share of the people whom a run sends, in percent, that may be rejected, or end with an unknown outcome, "
            "before the run counts as failed. People whom the target doesn't know, or who didn't consent, count as "
            "sent and not as rejected. The upload stops as soon as the limit is sure to be broken."
        ),
    )
    leavers_percent: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description=(
            "Share of the known people, in percent, that may have left the segment since the last run; "
            "more is taken for a broken snapshot. Export only."
        ),
    )
    clears_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=50,
        description=(
            "Share, in percent, of the people with a value in a field for whom one run may empty that field; more is "
            "taken for a source that can't be read any more. The default counts from 5 people on, a number of your own "
            "from the first; `100` switches it off. People who left don't count."
        ),
    )


class Retention(_Part):
    """How long what runs leave in `staging` is kept, in days. A task of each run removes what is older."""

    work_days: Annotated[Whole, Field(ge=1, le=_LONGEST_RETENTION)] = Field(
        default=7,
        description=(
            "Work files of a run: mapped people, deltas, receipts of its parts, exports. They hold personal data. "
            "A failed run can be cleared as long as they are there."
        ),
    )
    snapshot_days: Annotated[Whole, Field(ge=0, le=_LONGEST_RETENTION)] = Field(
        default=30,
        description=(
            "Snapshots of the segment, with which a past date can be run again as it was. They hold personal data. "
            "`0` keeps none. CSV files are their own history: what was read of them counts as work files."
        ),
    )
    history_days: Annotated[Whole, Field(ge=7, le=_LONGEST_RETENTION)] = Field(
        default=7,
        description=(
            "How far back the tables (ledger, receipts, runs) can be read as they were. At least 7, so that nobody who "
            "reads a table loses a file under their eyes. The clean-up writes it into the tables' properties. The rows "
            "themselves stay."
        ),
    )


class Notify(_Part):
    """Whom to tell about runs, through Airflow's e-mail settings."""

    when: Literal["failure", "every_run"] = Field(
        default="failure", description="`failure` tells only about failed runs, `every_run` about each."
    )
    email: Annotated[tuple[EmailAddress, ...], AfterValidator(_unique)] = Field(
        default=(), description="Addresses that get the message."
    )


class _Goal(_Part):
    """What both directions have in common."""

    id: Annotated[
        str,
        *_pattern(
            _GOAL_ID, 'letters, digits, "_" and "-", at most 100 of them, beginning with a letter, a digit or "_"'
        ),
    ] = Field(
        description=(
            "The goal's own name in Airflow and in S3: its DAG is `braze_blueconic__<id>`, its state lies under "
            "`<staging>/<id>/`. A changed id is a new goal with an empty ledger, which sends everything again, "
            "unless `renamed_from` names the old one."
        )
    )
    renamed_from: Annotated[str, *_pattern(_GOAL_ID, 'the goal\'s old id: letters, digits, "_" and "-"')] | None = (
        Field(
            default=None,
            description=(
                "The id that this goal had before, if it was changed. Its first run under the new id takes over what "
                "the goal knows; from then on the old id can't run any more. It may stay in the file."
            ),
        )
    )
    name: Annotated[Line, _at_most(_NAME_CHARACTERS)] | None = Field(
        default=None, description="Title in the Airflow UI. Without it the id is shown."
    )
    description: str | None = Field(default=None, description="What the goal is for; shown in the Airflow UI.")
    labels: Annotated[tuple[Label, ...], AfterValidator(_unique)] = Field(
        default=(), description="Tags of the DAG, to filter by in the Airflow UI."
    )
    enabled: Flag = Field(default=True, description="`false` keeps the goal's DAG from being scheduled.")
    schedule: Annotated[str, AfterValidator(airflow_schedule)] | None = Field(
        default=None,
        description=(
            "When to run: five cron fields (minute, hour, day, month, weekday) or `@hourly`, `@daily`, `@weekly`, "
            "`@monthly`, `@quarterly`, `@yearly`. The first Monday of a month is `1#1`, the last Friday `5L`. "
            "Without a schedule the goal runs only when it is triggered."
        ),
    )
    timezone: Annotated[str, AfterValidator(known_timezone)] = Field(
        default="UTC",
        description="IANA time zone of the schedule, and of the days of past dates, such as `Europe/Amsterdam`.",
    )
    start_date: Annotated[date, BeforeValidator(_iso_date)] | None = Field(
        default=None,
        description="First day that can be run or backfilled, as `YYYY-MM-DD` in the goal's time zone.",
    )
    connections: Connections = Field(
        default=Connections(), description="Ids of the Airflow connections; each has a default."
    )
    staging: StateFolder = Field(
        description=(
            "S3 bucket, or folder in it, that holds the goal's ledger, receipts and working files. "
            "Several goals can share it."
        )
    )
    objectives: Annotated[tuple[Line, ...], AfterValidator(_unique)] = Field(
        default=(),
        description=(
            "Ids of BlueConic objectives: only people who consented to at least one of them are synced. "
            "Without objectives consent is not looked at."
        ),
    )
    limits: Limits = Field(default=Limits(), description="What a run may use before it stops itself.")
    partitions: Annotated[Whole, Field(ge=1, le=256)] = Field(
        default=4,
        description=(
            "Into how many parts the people are divided. It is the unit of state (the ledger is kept by partition) "
            "and of parallel uploads (one task each). A changed number rewrites the ledger once."
        ),
    )
    max_attempts: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=5,
        description=(
            "After so many runs in which the target refused the same values of a person, or did not say what it did "
            "with them, that person rests until a value changes or somebody releases them."
        ),
    )
    retention: Retention = Field(default=Retention(), description="How long what runs leave in `staging` is kept.")
    notify: Notify = Field(default=Notify(), description="Whom to tell about runs.")

    @model_validator(mode="after")
    def _renamed(self) -> Self:
        if self.renamed_from == self.id:
            _raise([Finding("renamed_from", "is the goal's id; expected the id that it had before.", "id")])
        return self


class SegmentSource(_Part):
    """A segment of BlueConic, read through its API."""

    segment: Line = Field(description="Id or exact name of the segment in BlueConic.")
    read: Literal["full", "modified"] = Field(
        default="full",
        description=(
            "`full` reads every profile of the segment; `modified` only those that changed since the last good run, "
            "with an overlap. `modified` can't see who left the segment, nor who entered it by the passing of time."
        ),
    )


class CsvSource(_Part):
    """CSV files that BlueConic's own Amazon S3 connection wrote."""

    s3_csv: Annotated[str, *_pattern(_S3_FILES, 'files in a bucket, such as "s3://bucket/path/*.csv"')] = Field(
        description=(
            "The files: `*` for any characters but `/`; `%Y`, `%m`, `%d` (and `%H`, `%M`, `%S`) for the date of the "
            "data, `%%` for a percent sign. With a date, a run reads the files of its own date and the earlier ones "
            "that are not finished; without one, all that are not finished. Fields then read `property.<column>`."
        )
    )
    delimiter: Delimiter = Field(default=",", description="The character between two cells.")
    multi_value_separator: Separator | None = Field(
        default=None,
        description="Text between several values in one cell. Without it each cell is one value.",
    )
    done: Flag = Field(
        default=False,
        description=(
            "Whether `.done` is added to a file's name after everything in it was acknowledged; it needs the right to "
            "delete. A date can then not be run again, since the files are not found any more."
        ),
    )
    required: Flag = Field(
        default=False, description="Whether a run fails that finds no file; else it has nothing to do."
    )
    broken_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=1.0,
        description=(
            "Share of the rows, in percent, that may have another number of cells than the header, or broken quotes. "
            "They are kept in `rejects.jsonl`; with more of them the run stops before anything is sent."
        ),
    )
    aws: ConnectionId | None = Field(
        default=None, description="Connection for the bucket, if `connections.aws` can't read it."
    )

    @field_validator("s3_csv")
    @classmethod
    def _readable(cls, text: str) -> str:
        FilePattern.parse(text)
        return text


def _source_kind(value: object) -> str:
    keys = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    return "~csv" if "s3_csv" in keys and "segment" not in keys else "~segment"


ExportSource = Annotated[
    Annotated[SegmentSource, Tag("~segment")] | Annotated[CsvSource, Tag("~csv")], Discriminator(_source_kind)
]


class ExportIdentifier(_Part):
    """One identifier link: a BlueConic value and the Braze identifier that holds the same."""

    blueconic: Line = Field(description="Id of the BlueConic property, or `profile_id` for the profile's own id.")
    braze: Literal["external_id", "braze_id", "email", "phone", "user_alias"] = Field(
        description="The identifier in Braze. `braze_id` finds existing users only."
    )
    alias_label: Line | None = Field(default=None, description="Label of the alias; only with `braze: user_alias`.")

    @model_validator(mode="after")
    def _whole(self) -> ExportIdentifier:
        _raise(check_export_identifier(self.model_dump(by_alias=True)))
        return self


class ExportField(_Part):
    """One field: where a value comes from, and the Braze attribute that it goes to."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["from"]}, {"required": ["value"]}]},
    )

    from_: str | None = Field(
        default=None,
        alias="from",
        description=(
            "`property.<id>` (a profile property), `profile_id`, `segments` (all segments that the profile is in), "
            "`interactions` (all dialogues that it has seen) or `permission_level`. Either this or `value`."
        ),
    )
    value: Value = Field(
        default=None,
        description=("A fixed value for everybody, sent in the form in which Braze stores it. Either this or `from`."),
    )
    to: str = Field(
        description=(
            "Attribute in Braze: a standard one in Braze's own spelling, `subscription_groups.<group id>`, "
            "or any other name for a custom attribute. `email` is not sent for people who are identified by `email` or "
            "`phone`, nor `phone` for people who are identified by `phone`."
        )
    )
    type: FieldType | None = Field(
        default=None,
        description=(
            "What the value becomes. Without it, a standard attribute gets its own type, "
            "and a custom one the type that the property has in BlueConic."
        ),
    )
    as_: Literal["ids", "names"] | None = Field(
        default=None,
        alias="as",
        description=(
            "Whether `segments` or `interactions` are written as ids or as names; "
            "by default segments as names and interactions as ids."
        ),
    )
    date_format: DateFormat | None = Field(
        default=None,
        description=(
            "How the property writes its dates, as Python's `strptime` has it: `%d/%m/%Y`, "
            "`%Y-%m-%d %H:%M:%S %z`. Without it ISO 8601, numbers since 1970 and `MM/DD/YYYY` are read."
        ),
    )

    @field_validator("from_")
    @classmethod
    def _known_source(cls, text: str | None) -> str | None:
        problem = export_source_problem(text) if text is not None else None
        if problem:
            raise ValueError(problem)
        return text

    @field_validator("to")
    @classmethod
    def _braze_name(cls, text: str) -> str:
        problem = braze_name_problem(text)
        if problem:
            raise ValueError(f"{quoted(text)} {problem}")
        return text

    @model_validator(mode="after")
    def _whole(self) -> ExportField:
        _raise(check_export_field(_given(self)))
        return self

    @property
    def kind(self) -> Literal["value", "property", "profile_id", "segments", "interactions", "permission_level"]:
        """What kind of information the field sends."""
        if self.from_ is None:
            return "value"
        if self.property_id is not None:
            return "property"
        return self.from_  # type: ignore[return-value]  # _known_source lets only these words through

    @property
    def property_id(self) -> str | None:
        """The BlueConic property (or the CSV column), if the field reads one."""
        if self.from_ is None or not self.from_.startswith("property."):
            return None
        return self.from_.removeprefix("property.")

    @property
    def written_as(self) -> Literal["ids", "names"] | None:
        """How segments or interactions are written, the default included; ``None`` for other kinds."""
        if self.kind == "segments":
            return self.as_ or "names"
        if self.kind == "interactions":
            return self.as_ or "ids"
        return None


class LeaversSet(_Part):
    """Fixed values for people who left the segment; the goal checks the names and values."""

    set: dict[str, Value] = Field(
        min_length=1,
        description=(
            "Braze attribute → value; `null` clears it. Attributes outside `fields` are possible, and are sent at each "
            "departure. Somebody for whom Braze never accepted anything gets nothing."
        ),
    )


def _leavers_kind(value: object) -> str:
    return "~set" if isinstance(value, Mapping | LeaversSet) else "~word"


class ExportUpload(_Part):
    """How an export sends."""

    bulk: Flag = Field(
        default=False,
        description="Use Braze's `/users/track/bulk` (1,000 people a request), which Braze must have enabled.",
    )
    workers: Annotated[Whole, Field(ge=1, le=32)] = Field(
        default=1,
        description="Partitions that are uploaded at the same time; they share `limits.requests_per_second`.",
    )


class ImportUpload(_Part):
    """How an import sends."""

    workers: Annotated[Whole, Field(ge=1, le=32)] = Field(
        default=1,
        description="Partitions that are uploaded at the same time; they share `limits.requests_per_second`.",
    )


class ImportSource(_Part):
    """A segment of Braze, exported by Braze into a bucket."""

    segment: Line = Field(description="Id or exact name of the segment in Braze.")
    export: S3Folder = Field(
        description="S3 bucket, with the root path if there is one, that Braze's Amazon S3 settings write to."
    )
    aws: ConnectionId | None = Field(
        default=None, description="Connection for that bucket, if `connections.aws` can't read it."
    )
    poll_seconds: Annotated[Number, Field(gt=0, le=3_600)] = Field(
        default=10, description="Time between two looks for the files of the export."
    )
    wait_minutes: Annotated[Number, Field(gt=0, le=1_440)] = Field(
        default=60, description="How long to wait for the export, in all."
    )
    quiet_seconds: Annotated[Number, Field(gt=0, le=3_600)] = Field(
        default=60,
        description=(
            "Braze doesn't say when an export is done: it counts as done when for so long no file was new or grew, "
            "and the number of people is plausible."
        ),
    )
    broken_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=1,
        description="Share of lines, in percent, that may be unreadable; they are counted and kept in a file.",
    )


def _bare_preset(text: object) -> object:
    return f"@{text}" if f"@{text}" in PRESETS else text


class Reconcile(ImportSource):
    """A second DAG of the goal that looks at what Braze really holds, and puts right what differs."""

    schedule: Annotated[str, BeforeValidator(_bare_preset), AfterValidator(airflow_schedule)] | None = Field(
        default=None,
        description=(
            "When to look: `weekly`, `monthly`, or five cron fields, away from the goal's own runs. "
            "Without a schedule only when it is triggered."
        ),
    )
    segment: Line = Field(
        description="Id or exact name of a Braze segment that holds the people of this goal, such as all users."
    )


class ExportGoal(_Goal):
    """Sends a BlueConic segment to Braze."""

    goal: Literal["export"] = Field(default="export", description="The direction: BlueConic to Braze.")
    source: ExportSource = Field(description="Whom to send: a segment, or CSV files in S3.")
    identifiers: tuple[ExportIdentifier, ...] = Field(
        min_length=1,
        description=(
            "By what a profile and a Braze user are the same person. Of several links, "
            "the first for which the profile has a value is used."
        ),
    )
    allow_creation: Flag = Field(
        default=False, description="Whether people whom Braze doesn't know are created there. Impossible by `braze_id`."
    )
    fields: tuple[ExportField, ...] = Field(min_length=1, description="What to send, one row for each Braze attribute.")
    send: Literal["changed_fields", "whole_profile"] = Field(
        default="changed_fields",
        description=(
            "`changed_fields` sends only what differs from what Braze has acknowledged; `whole_profile` sends all "
            "fields of a person of whom one changed, and costs a data point for each."
        ),
    )
    when_missing: Literal["keep", "clear"] = Field(
        default="keep",
        description="When a profile has no value for a field: `keep` Braze's value, or `clear` it.",
    )
    leavers: Annotated[
        Annotated[Literal["keep", "clear_fields"], Tag("~word")] | Annotated[LeaversSet, Tag("~set")],
        Discriminator(_leavers_kind),
    ] = Field(
        default="keep",
        description=(
            "People who left the segment: `keep` what Braze has, `clear_fields` of this goal, "
            "or `{set: {<attribute>: <value>}}`. The last two need `source.read: full`."
        ),
    )
    upload: ExportUpload = Field(default=ExportUpload(), description="How to send.")
    reconcile: Reconcile | None = Field(
        default=None,
        description=(
            "Compares what Braze holds with what it acknowledged, in a DAG of its own, "
            "`braze_blueconic__<id>__reconcile`. Without it there is none."
        ),
    )

    @model_validator(mode="after")
    def _whole(self) -> ExportGoal:
        _raise(check_export(self.model_dump(by_alias=True)))
        return self


class ImportIdentifier(_Part):
    """One identifier link: a field of the Braze user and the BlueConic property that holds the same."""

    braze: str = Field(
        description="`external_id`, `braze_id`, `email`, `phone`, `user_alias` or `custom_attributes.<name>`."
    )
    blueconic: PropertyId = Field(description="Id of the BlueConic property; it must be a unique identifier there.")
    alias_label: Line | None = Field(default=None, description="Label of the alias; only with `braze: user_alias`.")

    @field_validator("braze")
    @classmethod
    def _known(cls, text: str) -> str:
        problem = import_identifier_problem(text)
        if problem:
            raise ValueError(problem)
        return text

    @model_validator(mode="after")
    def _whole(self) -> ImportIdentifier:
        _raise(check_import_identifier(self.model_dump(by_alias=True)))
        return self


class ImportField(_Part):
    """One field: where a value comes from, the BlueConic property that it goes to, and how it is merged."""

    from_: str = Field(
        alias="from",
        description=(
            "A field of the exported Braze user: `email`, `custom_attributes.<name>`, a part of one "
            "(`custom_attributes.address.city`, `devices.model`), or one element of a list "
            "(`purchases[name=sku1].count`, `custom_events[name=x].last`, `last_coordinates[0]`). "
            "`campaigns_received` alone gives the names "
            'of the campaigns. A name with a dot is written `custom_attributes["a.b"]`.'
        ),
    )
    to: PropertyId = Field(description="Id of the BlueConic property.")
    merge: Literal["set", "add", "sum", "set_if_empty", "set_or_clear", "remove"] = Field(
        default="set",
        description=(
            "`set` replaces (an empty source changes nothing), `add` adds to the list of values, `sum` adds to the "
            "number, `set_if_empty` fills only an empty property, `set_or_clear` replaces or, with an empty source, "
            "empties, `remove` takes values from the list."
        ),
    )
    of: Literal["value", "increase"] | None = Field(
        default=None,
        description=(
            "What `sum` adds: the whole `value` in every run in which it changed, or only its `increase` "
            "since the value that was last acknowledged (all of it the first time). Needed with `sum`."
        ),
    )
    date_format: DateFormat | None = Field(
        default=None,
        description=(
            "How the field writes its dates, as Python's `strptime` has it: `%d/%m/%Y`; for properties of dates and "
            "times. Without it ISO 8601, numbers since 1970 and `MM/DD/YYYY` are read."
        ),
    )

    @field_validator("from_")
    @classmethod
    def _known_source(cls, text: str) -> str:
        problem = import_source_problem(text)
        if problem:
            raise ValueError(problem)
        return text

    @model_validator(mode="after")
    def _whole(self) -> ImportField:
        _raise(check_import_field(_given(self)))
        return self


class RemainingFields(_Part):
    """What happens to the fields of the Braze user that no row of `fields` names."""

    merge: Literal["set", "add", "set_if_empty", "set_or_clear"] = Field(
        default="set", description="How each of them is merged."
    )
    prefix: Annotated[str, *_pattern(r"^[A-Za-z0-9_-]*$", 'letters, digits, "_" and "-"')] = Field(
        default="", description="Text before the name of each property."
    )
    create_properties: Flag = Field(
        default=False, description="Whether properties that BlueConic doesn't have are created there."
    )
    exclude: Annotated[tuple[str, ...], AfterValidator(_unique)] = Field(
        default=(),
        description="Fields to leave out, written as in `from`: `custom_attributes.<name>`, `devices`.",
    )

    @field_validator("exclude")
    @classmethod
    def _known(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            problem = import_source_problem(path)
            if problem:
                raise ValueError(problem)
        return paths


class CsvDelivery(_Part):
    """Delivery as CSV files, for BlueConic's own Amazon S3 connection to read."""

    s3_csv: S3Folder = Field(
        description=(
            "S3 folder of the CSV files: one a run in which anything changed, `<goal id>_<time of the data>_<id>.csv`."
        )
    )
    delimiter: Delimiter = Field(default=",", description="The character between two cells.")
    multi_value_separator: Separator | None = Field(
        default="|",
        description=(
            "Text between several values in one cell. A field with a value that holds it is left out for that person, "
            "and counted. `null` writes fields of one value only."
        ),
    )
    gzip: Flag = Field(default=False, description="Whether the files are compressed, as `.csv.gz`.")
    aws: ConnectionId | None = Field(
        default=None, description="Connection for that folder, if `connections.aws` can't write there."
    )


class ImportGoal(_Goal):
    """Brings a Braze segment into BlueConic."""

    goal: Literal["import"] = Field(default="import", description="The direction: Braze to BlueConic.")
    source: ImportSource = Field(description="Whom to bring: a segment, and where Braze writes its export.")
    identifiers: tuple[ImportIdentifier, ...] = Field(
        min_length=1, description="By what a Braze user and a profile are the same person."
    )
    match: Literal["any", "all"] = Field(
        default="any", description="Whether `any` identifier link is enough for a match, or `all` must agree."
    )
    allow_creation: Flag = Field(
        default=False, description="Whether people whom BlueConic doesn't know become new profiles."
    )
    legislation: Annotated[str, AfterValidator(_known_legislation)] | None = Field(
        default=None,
        description=(
            "Privacy legislation of created profiles, such as `GDPR` or `CCPA`. "
            "Without one, BlueConic ignores changes of consent for them."
        ),
    )
    fields: tuple[ImportField, ...] = Field(
        default=(),
        description="What to bring, one row for each BlueConic property. May be empty with `remaining_fields`.",
    )
    remaining_fields: RemainingFields | None = Field(
        default=None, description="What to do with all fields that no row names. Without it they are left out."
    )
    domain_group: Line | None = Field(
        default=None,
        description="BlueConic domain group to match and create in. Without one, BlueConic's default group.",
    )
    trigger_on_change: Flag = Field(
        default=False, description="Whether the import fires triggers in BlueConic that listen to property changes."
    )
    deliver: CsvDelivery | None = Field(default=None, description="Another road than BlueConic's API: CSV files in S3.")
    upload: ImportUpload = Field(default=ImportUpload(), description="How to send.")

    @model_validator(mode="after")
    def _whole(self) -> ImportGoal:
        _raise(check_import(self.model_dump(by_alias=True)))
        return self


Goal = Annotated[ExportGoal | ImportGoal, Field(discriminator="goal")]


def _given(part: BaseModel) -> dict[str, Any]:
    """Give the written keys alone: a ``value`` of null is something else than none."""
    return part.model_dump(by_alias=True, exclude_unset=True)

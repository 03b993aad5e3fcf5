"""An import goal: a Braze segment, sent to BlueConic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airflow_provider_braze_blueconic.goals.goal import GoalSettings
from airflow_provider_braze_blueconic.goals.import_checks import check_import
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier, RemainingFields
from airflow_provider_braze_blueconic.goals.part import Part, raise_findings
from airflow_provider_braze_blueconic.goals.segment_export import ImportSource
from airflow_provider_braze_blueconic.goals.words import (
    ConnectionId,
    Delimiter,
    Flag,
    Legislation,
    Line,
    S3Folder,
    Separator,
    Whole,
)

__all__ = ["CsvDelivery", "ImportGoal", "ImportUpload"]


class CsvDelivery(Part):
    """Delivery as CSV files, for BlueConic's own Amazon S3 connection to read."""

    s3_csv: S3Folder = Field(
        description=(
            "S3 folder for the CSV files. Each run in which anything changed writes one: `<goal id>_<time of "
            "the data>_<id>.csv`."
        )
    )
    delimiter: Delimiter = Field(default=",", description="The character between two cells.")
    multi_value_separator: Separator | None = Field(
        default="|",
        description=(
            "Text between several values in one cell. If a value contains this text, the field is left out for "
            "that person, and counted. With `null`, only fields with one value are written."
        ),
    )
    gzip: Flag = Field(default=False, description="Whether to compress the files, as `.csv.gz`.")
    aws: ConnectionId | None = Field(
        default=None, description="Connection for that folder, if `connections.aws` can't write there."
    )


class ImportUpload(Part):
    """How an import sends."""

    workers: Annotated[Whole, Field(ge=1, le=32)] = Field(
        default=1,
        description="Partitions that upload at the same time; they share `limits.requests_per_second`.",
    )


class ImportGoal(GoalSettings):
    """Brings a Braze segment into BlueConic."""

    goal: Literal["import"] = Field(default="import", description="The direction: Braze to BlueConic.")
    source: ImportSource = Field(
        description="The people to bring: a segment, and where Braze writes its segment export."
    )
    identifiers: tuple[ImportIdentifier, ...] = Field(
        min_length=1, description="The links that identify a profile and a Braze user as the same person."
    )
    match: Literal["any", "all"] = Field(
        default="any", description="Whether `any` identifier link is enough for a match, or `all` must agree."
    )
    allow_creation: Flag = Field(
        default=False, description="Whether to create profiles for people whom BlueConic doesn't know."
    )
    legislation: Legislation | None = Field(
        default=None,
        description=(
            "Privacy legislation of created profiles, such as `GDPR` or `CCPA`. Without one, BlueConic ignores "
            "changes of consent for these profiles."
        ),
    )
    fields: tuple[ImportField, ...] = Field(
        default=(),
        description="What to bring, one row for each BlueConic property. May be empty with `remaining_fields`.",
    )
    remaining_fields: RemainingFields | None = Field(
        default=None, description="What to do with all fields that no row names. By default, they are left out."
    )
    domain_group: Line | None = Field(
        default=None,
        description="BlueConic domain group in which to match and create profiles; by default, BlueConic's own.",
    )
    trigger_on_change: Flag = Field(
        default=False, description="Whether the import fires triggers in BlueConic that listen to property changes."
    )
    deliver: CsvDelivery | None = Field(
        default=None, description="Deliver CSV files in S3 instead of calling BlueConic's API."
    )
    upload: ImportUpload = Field(default=ImportUpload(), description="How to send.")

    @model_validator(mode="after")
    def _whole(self) -> ImportGoal:
        raise_findings(check_import(self.model_dump(by_alias=True)))
        return self

"""The source of an export goal: a segment of BlueConic, or files that BlueConic wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from airflow_provider_braze_blueconic.goals.part import Part
from airflow_provider_braze_blueconic.goals.words import ConnectionId, Delimiter, Flag, Line, Number, S3Files, Separator
from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern

__all__ = ["CsvSource", "ExportSource", "SegmentSource"]


class SegmentSource(Part):
    """A segment of BlueConic, read through its API."""

    segment: Line = Field(description="Id or exact name of the segment in BlueConic.")
    read: Literal["full", "modified"] = Field(
        default="full",
        description=(
            "`full` reads every profile of the segment; `modified` reads only those that changed since the last "
            "good run, with an overlap. `modified` can't see who left the segment, nor who entered it only because "
            "time passed."
        ),
    )


class CsvSource(Part):
    """CSV files that BlueConic's own Amazon S3 connection wrote."""

    s3_csv: S3Files = Field(
        description=(
            "The files: `*` for any characters but `/`; `%Y`, `%m`, `%d` (and `%H`, `%M`, `%S`) for the date of "
            "the data, `%%` for a percent sign. With a date, a run reads the files of its own date and earlier "
            "files that aren't finished; without one, all files that aren't finished. Fields then read "
            "`property.<column>`."
        )
    )
    delimiter: Delimiter = Field(default=",", description="The character between two cells.")
    multi_value_separator: Separator | None = Field(
        default=None,
        description="Text between several values in one cell. By default, each cell is one value.",
    )
    done: Flag = Field(
        default=False,
        description=(
            "Whether to add `.done` to a file's name once everything in it is acknowledged. This needs the right "
            "to delete objects. You then can't run a date again, since its files are no longer found."
        ),
    )
    required: Flag = Field(
        default=False, description="Whether a run fails if it finds no file; otherwise it does nothing."
    )
    broken_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=1.0,
        description=(
            "Share of the rows, in percent, that may be unreadable: with another number of cells than the header, "
            "or with broken quotes. They are kept in `rejects.jsonl`. If there are more, the run stops before it "
            "sends anything."
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

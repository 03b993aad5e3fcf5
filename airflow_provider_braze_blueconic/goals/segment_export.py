"""The segment export that a goal has Braze write: of which segment, into which bucket."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_provider_braze_blueconic.goals.part import Part
from airflow_provider_braze_blueconic.goals.words import BarePresetOrSchedule, ConnectionId, Line, Number, S3Folder

__all__ = ["ImportSource", "Reconcile"]


class ImportSource(Part):
    """A segment of Braze, exported by Braze into a bucket."""

    segment: Line = Field(description="Id or exact name of the segment in Braze.")
    export: S3Folder = Field(
        description="S3 bucket, with the root path if there is one, that Braze's Amazon S3 settings name."
    )
    aws: ConnectionId | None = Field(
        default=None, description="Connection for that bucket, if `connections.aws` can't read it."
    )
    poll_seconds: Annotated[Number, Field(gt=0, le=3_600)] = Field(
        default=10, description="Time between two checks for the files of the segment export."
    )
    wait_minutes: Annotated[Number, Field(gt=0, le=1_440)] = Field(
        default=60, description="How long to wait for the segment export in total."
    )
    quiet_seconds: Annotated[Number, Field(gt=0, le=3_600)] = Field(
        default=60,
        description=(
            "Braze doesn't say when a segment export is done: it counts as done when no file was new or grew for "
            "this long, and the number of people is plausible."
        ),
    )
    broken_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=1,
        description="Share of lines, in percent, that may be unreadable; the run counts them and keeps them in a file.",
    )


class Reconcile(ImportSource):
    """A second DAG of the goal that looks at what Braze really holds, and puts right what differs."""

    schedule: BarePresetOrSchedule | None = Field(
        default=None,
        description=(
            "When to reconcile: `weekly`, `monthly`, or five cron fields, at a time when the goal itself doesn't "
            "run. Without a schedule, the reconcile runs only when somebody triggers it."
        ),
    )
    segment: Line = Field(
        description="Id or exact name of a Braze segment that contains the people of this goal, such as all users."
    )

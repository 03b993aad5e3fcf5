"""An export goal: a BlueConic segment, sent to Braze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from airflow_provider_braze_blueconic.goals.export_checks import check_export
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.goals.export_source import ExportSource
from airflow_provider_braze_blueconic.goals.goal import GoalSettings
from airflow_provider_braze_blueconic.goals.part import Part, raise_findings
from airflow_provider_braze_blueconic.goals.segment_export import Reconcile
from airflow_provider_braze_blueconic.goals.words import Flag, Value, Whole

__all__ = ["ExportGoal", "ExportUpload", "LeaversSet"]


class LeaversSet(Part):
    """Fixed values for people who left the segment; the goal checks the names and values."""

    set: dict[str, Value] = Field(
        min_length=1,
        description=(
            "Braze attribute → value; `null` clears it. Attributes outside `fields` are possible, and are sent "
            "each time a person leaves. A person for whom Braze never accepted anything gets nothing."
        ),
    )


def _leavers_kind(value: object) -> str:
    return "~set" if isinstance(value, Mapping | LeaversSet) else "~word"


class ExportUpload(Part):
    """How an export sends."""

    bulk: Flag = Field(
        default=False,
        description="Use Braze's `/users/track/bulk` (1,000 people per request), which Braze must enable for you.",
    )
    workers: Annotated[Whole, Field(ge=1, le=32)] = Field(
        default=1,
        description="Partitions that upload at the same time; they share `limits.requests_per_second`.",
    )


class ExportGoal(GoalSettings):
    """Sends a BlueConic segment to Braze."""

    goal: Literal["export"] = Field(default="export", description="The direction: BlueConic to Braze.")
    source: ExportSource = Field(description="The people to send: a segment, or CSV files in S3.")
    identifiers: tuple[ExportIdentifier, ...] = Field(
        min_length=1,
        description=(
            "The links that identify a profile and a Braze user as the same person. If there are several, the "
            "first for which the profile has a value is used."
        ),
    )
    allow_creation: Flag = Field(
        default=False, description="Whether to create people whom Braze doesn't know. Not possible with `braze_id`."
    )
    fields: tuple[ExportField, ...] = Field(min_length=1, description="What to send, one row for each Braze attribute.")
    send: Literal["changed_fields", "whole_profile"] = Field(
        default="changed_fields",
        description=(
            "`changed_fields` sends only what differs from what Braze has acknowledged; `whole_profile` sends all "
            "fields of a person if one changed, and costs a data point for each."
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
            "What to do for people who left the segment: `keep` what Braze has, `clear_fields` of this goal, or "
            "`{set: {<attribute>: <value>}}`. The last two need `source.read: full`."
        ),
    )
    upload: ExportUpload = Field(default=ExportUpload(), description="How to send.")
    reconcile: Reconcile | None = Field(
        default=None,
        description=(
            "Compares what Braze holds with what it acknowledged, in a separate DAG, "
            "`braze_blueconic__<id>__reconcile`. Without this section there is no such DAG."
        ),
    )

    @model_validator(mode="after")
    def _whole(self) -> ExportGoal:
        raise_findings(check_export(self.model_dump(by_alias=True)))
        return self

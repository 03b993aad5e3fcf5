"""The keys of every goal, whatever its direction."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.part import Part, raise_findings
from airflow_provider_braze_blueconic.goals.sections import Connections, Limits, Notify, Retention
from airflow_provider_braze_blueconic.goals.words import (
    Day,
    Flag,
    GoalId,
    Label,
    Line,
    OldGoalId,
    Schedule,
    StateFolder,
    TimeZone,
    Title,
    Whole,
    unique,
)

__all__ = ["GoalSettings"]


class GoalSettings(Part):
    """What both directions have in common."""

    id: GoalId = Field(
        description=(
            "The goal's own name in Airflow and in S3: its DAG is `braze_blueconic__<id>`, its state is in "
            "`<staging>/<id>/`. A goal with a changed id is a new goal: its ledger is empty and it sends "
            "everything again, unless `renamed_from` names the old id."
        )
    )
    renamed_from: OldGoalId | None = Field(
        default=None,
        description=(
            "The goal's previous id, if it changed. The first run under the new id takes over the goal's state; "
            "from then on the old id can't run. The setting may stay in the file."
        ),
    )
    name: Title | None = Field(default=None, description="Title in the Airflow UI; by default the id.")
    description: str | None = Field(default=None, description="What the goal is for; shown in the Airflow UI.")
    labels: Annotated[tuple[Label, ...], AfterValidator(unique)] = Field(
        default=(), description="Tags of the DAG, for filtering in the Airflow UI."
    )
    enabled: Flag = Field(default=True, description="`false` keeps the goal's DAG from being scheduled.")
    schedule: Schedule | None = Field(
        default=None,
        description=(
            "When the goal runs: five cron fields (minute, hour, day, month, weekday) or `@hourly`, `@daily`, "
            "`@weekly`, `@monthly`, `@quarterly`, `@yearly`. The first Monday of a month is `1#1`, the last Friday "
            "`5L`. Without a schedule, the goal runs only when somebody triggers it."
        ),
    )
    timezone: TimeZone = Field(
        default="UTC",
        description="IANA time zone of the schedule and of past dates, such as `Europe/Amsterdam`.",
    )
    start_date: Day | None = Field(
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
    objectives: Annotated[tuple[Line, ...], AfterValidator(unique)] = Field(
        default=(),
        description=(
            "Ids of BlueConic objectives: the goal syncs only people who consented to at least one of them. "
            "Without objectives, the goal doesn't check consent."
        ),
    )
    limits: Limits = Field(default=Limits(), description="Limits at which a run stops itself.")
    partitions: Annotated[Whole, Field(ge=1, le=256)] = Field(
        default=4,
        description=(
            "The number of parts into which the people are divided. Partitions are the unit of state (the ledger "
            "is kept by partition) and of parallel uploads (one task each). Changing the number rewrites the "
            "ledger once."
        ),
    )
    max_attempts: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=5,
        description=(
            "Runs in which the target refuses the same values, or doesn't say what it did with them, before the "
            "person is quarantined. A changed value or a release ends that."
        ),
    )
    retention: Retention = Field(default=Retention(), description="How long to keep what runs leave in `staging`.")
    notify: Notify = Field(default=Notify(), description="Who gets e-mail about runs.")

    @model_validator(mode="after")
    def _renamed(self) -> Self:
        if self.renamed_from == self.id:
            raise_findings([Finding("renamed_from", "is the goal's current id; expected its previous id.", "id")])
        return self

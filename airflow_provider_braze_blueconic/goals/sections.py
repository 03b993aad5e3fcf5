"""Sections that goals of both directions have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from airflow_provider_braze_blueconic.goals.part import Part
from airflow_provider_braze_blueconic.goals.words import ConnectionId, EmailAddress, Number, Whole, unique

__all__ = ["Connections", "Limits", "Notify", "Retention"]

_LARGEST_REQUEST_RATE = 10_000  # requests per second; above any limit that either vendor publishes
_LONGEST_RETENTION = 3_650  # days; a typing error above that


class Connections(Part):
    """Ids of the Airflow connections that hold the endpoints and secrets. No secret stands in a goal."""

    braze: ConnectionId = Field(default="braze_default", description="Connection of type `braze`.")
    blueconic: ConnectionId = Field(default="blueconic_default", description="Connection of type `blueconic`.")
    aws: ConnectionId = Field(
        default="aws_default", description="Connection of type `aws`, for the bucket that `staging` names."
    )


class Limits(Part):
    """What a run may use. A run that would use more data points, or have more leavers or clears, sends nothing."""

    data_points: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None,
        description="Maximum data points for one run: Braze bills each attribute written. Export goals only.",
    )
    requests_per_second: Annotated[Number, Field(gt=0, le=_LARGEST_REQUEST_RATE)] | None = Field(
        default=None,
        description="Maximum requests per second to the target. The target's own limit applies if it is lower.",
    )
    rejected_percent: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description=(
            "Share of the sent people, in percent, that may be rejected or end with an unknown outcome before the "
            "run counts as failed. People whom the target doesn't know, or who didn't consent, count as sent, not "
            "as rejected. The upload stops as soon as the limit is certain to be exceeded."
        ),
    )
    leavers_percent: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description=(
            "Share of the known people, in percent, that may have left the segment since the last run. If more are "
            "missing, the run treats the snapshot as broken and stops. Export goals only."
        ),
    )
    clears_percent: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=50,
        description=(
            "Of the people with a value in a field, the share in percent for whom one run may clear that field. If "
            "there are more, the run assumes that the source can't be read any more and stops. The default applies "
            "from 5 people on, your own number from the first; `100` switches the limit off. People who left don't "
            "count."
        ),
    )


class Retention(Part):
    """How long what runs leave in `staging` is kept, in days. A task of each run removes what is older."""

    work_days: Annotated[Whole, Field(ge=1, le=_LONGEST_RETENTION)] = Field(
        default=7,
        description=(
            "Days to keep the work files of a run: mapped people, deltas, part receipts, segment exports. They "
            "hold personal data. You can clear a failed run as long as they exist."
        ),
    )
    snapshot_days: Annotated[Whole, Field(ge=0, le=_LONGEST_RETENTION)] = Field(
        default=30,
        description=(
            "Days to keep snapshots of the segment, from which a past date can be run again as it was. They hold "
            "personal data. `0` keeps none. CSV files are their own history: what a run read from them counts as "
            "work files."
        ),
    )
    history_days: Annotated[Whole, Field(ge=7, le=_LONGEST_RETENTION)] = Field(
        default=7,
        description=(
            "Days for which older versions of the tables (ledger, receipts, runs) stay readable. At least 7, so "
            "that nobody loses a file while reading a table. The clean-up writes the number into the tables' "
            "properties. The rows themselves stay."
        ),
    )


class Notify(Part):
    """Whom to tell about runs, through Airflow's e-mail settings."""

    when: Literal["failure", "every_run"] = Field(
        default="failure", description="`failure` sends a message only for failed runs, `every_run` for each run."
    )
    email: Annotated[tuple[EmailAddress, ...], AfterValidator(unique)] = Field(
        default=(), description="Addresses that get the messages."
    )

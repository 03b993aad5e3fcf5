"""The request to Braze for a segment export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    GoalError,
    Problem,
    SettingError,
    TransientError,
    UnexpectedAnswer,
)
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Call
from airflow_provider_braze_blueconic.sync.braze.segment_export_request import EXPORT_ATTRIBUTES
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate

__all__ = ["EXPORT_RATE", "ExportRunning", "export_body", "start_export"]

EXPORT_RATE = Rate(250_000, 3_600.0)
"""One bucket for exports, segments and campaigns, reset on the clock hour: docs "API limits", read 2026-11."""


class ExportRunning(TransientError):
    """Braze started nothing: it works at an export of this segment already, or a limit is used up."""


def export_body(
    segment_id: str,
    *,
    fields: Sequence[str],
    custom_attributes: Sequence[str],
    output_format: Literal["gzip", "zip"],
) -> dict[str, Any]:
    """Put the body of the request together.

    :raises SettingError: Braze would refuse it, or ignore a part.
    """
    if not fields:
        raise SettingError("A segment export needs at least one field.")
    if custom_attributes and "custom_attributes" in fields:
        raise SettingError(
            'Name custom attributes, or export all of them with the field "custom_attributes", not both.'
        )
    if len(custom_attributes) > EXPORT_ATTRIBUTES:
        raise SettingError(
            f"A segment export can name {EXPORT_ATTRIBUTES} custom attributes, not {len(custom_attributes)}."
        )
    body: dict[str, Any] = {
        "segment_id": segment_id,
        "fields_to_export": list(fields),
        "output_format": output_format,
    }
    if custom_attributes:
        body["custom_attributes_to_export"] = list(custom_attributes)
    return body


def start_export(caller: Caller, body: dict[str, Any]) -> str:
    """Ask for an export, once: a repeat could start a second export.

    :param body: of :func:`export_body`.
    :return: the folder, below any date, in which its files appear.
    :raises AccessError: Braze keeps the export itself, since the workspace has no storage connected.
    :raises ExportRunning: an export of this segment runs already, or a limit is used up; nothing was started.
    :raises TransientError: no answer; it may have been started.
    """
    place = caller.site.place
    running = ExportRunning(
        f"{place} answered POST /users/export/segment with 429: a segment export of this segment is already "
        "running, or the limit is used up. The call wasn't repeated, since that could start a second one."
    )
    unfit = f"Braze refused to export the segment {body['segment_id']} (400). Check its id and the fields."
    answer = caller.call(
        Call(
            "POST",
            "/users/export/segment",
            "users.export.segment",
            body=body,
            repeatable=False,
            errors={400: GoalError([Problem("source", unfit)]), 429: running},
        )
    ).body
    if answer.get("url"):
        # Braze gives an address only where it has nowhere else to put the export: docs "POST /users/export/segment",
        # read 2026-11. It holds a signature, so nothing shows it.
        raise AccessError(
            f"{place} keeps the segment export itself, so it will not appear in your bucket: the workspace has no "
            "Amazon S3 connected. Connect it in Braze under Partner Integrations > Amazon S3, with the bucket and root "
            "path that the goal names, and make it the default data export destination. Then clear the task: it "
            "requests a new segment export."
        )
    prefix = answer.get("object_prefix")
    if not isinstance(prefix, str) or not prefix:
        raise UnexpectedAnswer(
            f"{place} accepted the segment export but returned no object_prefix, which is needed to find its files."
        )
    return prefix

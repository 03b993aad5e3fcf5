"""How the sandbox's Braze workspace is set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["BrazeSettings"]

_BRAZE_PERMISSIONS = (
    "users.track",
    "users.track.bulk",
    "users.export.ids",
    "users.export.segment",
    "segments.list",
    "segments.details",
    "segments.data_series",
    "campaigns.list",
    "campaigns.details",
    "custom_attributes.get",
)


@dataclass(frozen=True)
class BrazeSettings:
    """How the sandbox's Braze workspace is set up: numbers of the Braze docs, read 2026-11, unless marked.

    :param keys: REST API keys and the permissions of each.
    :param track_requests: requests to ``/users/track`` in ``track_seconds`` (docs "API limits").
    :param track_seconds: length of that window in seconds.
    :param bulk_requests: requests to ``/users/track/bulk`` in a second (docs "POST /users/track/bulk").
    :param shared_requests: requests an hour to the endpoints that share the default limit.
    :param export_ids_requests: requests a minute to ``/users/export/ids`` (accounts before 2024-08-22; later ones 250).
    :param custom_attribute_requests: requests an hour to ``/custom_attributes``.
    :param reset_form: ``X-RateLimit-Reset`` as ``epoch`` seconds or as ``seconds`` that remain: the docs say both.
    :param limited_form: a 429 carries the three ``rate_limit`` headers, or ``retry_after`` alone (MAU contracts).
    :param objects: objects in a request to ``/users/track``, all arrays together.
    :param bulk_objects: the same for ``/users/track/bulk``.
    :param bulk_objects_per_user: objects of one user in a bulk request.
    :param body_bytes: bytes of a body; above it 413. MB or MiB is UNVERIFIED.
    :param bulk_body_bytes: the same for bulk; above it 400.
    :param array_length: elements that an array attribute keeps.
    :param bill_unmatched: whether an update-only object that matched nobody costs data points. UNVERIFIED.
    :param export_needs_fields: ``/users/export/ids`` without ``fields_to_export`` is refused (newer accounts).
    :param blocked_external_ids: ids of "dummy users" that Braze no longer takes data for.
    :param size_error: share by which ``/segments/data_series`` is off (0.1: a tenth too many): sizes are estimates.
    :param own_storage: whether the workspace has a bucket of its own connected: segment exports go there. Without one
        the answer carries a ``url``, where Braze would keep the export; nothing is written anywhere here.
    :param export_seconds: seconds from the request to the last part; the parts appear evenly spread over them.
    :param export_users_per_part: users in a part (docs "POST /users/export/segment": about 5,000).
    :param export_zip_entries: JSON files in each zip part. Their number and names are UNVERIFIED.
    :param export_shuffled: the parts appear in an order drawn from the seed.
    :param export_across_midnight: the later half of the parts stands in the folder of the day after the request's.
    :param export_late_s: seconds by which the last part comes later than ``export_seconds``.
    :param export_grows: the last part first appears with half of its lines, and is then replaced by the whole.
    :param export_duplicates: users that occur twice: every other one with outdated values earlier in the same part,
        the rest as the same line in another part (docs "Export FAQs": possible though rare).
    :param export_broken_lines: broken lines on top of the good ones: in turn a line cut in half and one that is not
        UTF-8.
    :param export_lost_parts: parts, the last ones, that never appear: the export breaks off.
    :param export_never: an export is accepted and ends after ``export_seconds`` without having written anything, as
        with a bucket that Braze can't write to.
    :param export_empty_part: an empty segment gives one part without a line. What Braze does is UNVERIFIED.
    :param export_root: path in the bucket below which Braze writes, such as ``braze/eu``.
    :param exports_at_once: segment exports of a company that may run at the same time (docs, the same page).
    """

    keys: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "sandbox-braze-key": _BRAZE_PERMISSIONS,
            "sandbox-braze-key-read-only": tuple(name for name in _BRAZE_PERMISSIONS if "track" not in name),
        }
    )
    track_requests: int = 3000
    track_seconds: float = 3.0
    bulk_requests: int = 50
    shared_requests: int = 250_000
    export_ids_requests: int = 2500
    custom_attribute_requests: int = 1000
    reset_form: Literal["epoch", "seconds"] = "epoch"
    limited_form: Literal["rate_limit", "retry_after"] = "rate_limit"
    objects: int = 75
    bulk_objects: int = 1000
    bulk_objects_per_user: int = 100
    body_bytes: int = 4_000_000
    bulk_body_bytes: int = 2_000_000
    array_length: int = 500
    bill_unmatched: bool = False
    export_needs_fields: bool = False
    blocked_external_ids: Sequence[str] = ("sandbox-dummy-user",)
    size_error: float = 0.0
    own_storage: bool = True
    export_seconds: float = 0.2
    export_users_per_part: int = 5000
    export_zip_entries: int = 1
    export_shuffled: bool = False
    export_across_midnight: bool = False
    export_late_s: float = 0.0
    export_grows: bool = False
    export_duplicates: int = 0
    export_broken_lines: int = 0
    export_lost_parts: int = 0
    export_never: bool = False
    export_empty_part: bool = False
    export_root: str = ""
    exports_at_once: int = 100

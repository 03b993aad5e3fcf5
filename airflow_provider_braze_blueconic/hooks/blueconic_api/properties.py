"""The profile properties that we set up in BlueConic."""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.hooks.http.calls import Call

__all__ = ["save_call"]


def save_call(property_id: str, name: str, filter_type: str) -> Call:
    """Make the call that creates a property, or makes the one with this id the same again.

    It may hold data that tell who somebody is, so it takes the permission level of such data; of two profiles that are
    merged the latest value survives.
    """
    refused = GoalError(
        [
            Problem(
                "remaining_fields",
                f'BlueConic refused to create the property "{property_id}" of the type {filter_type} (400). '
                "Map its source to another property, or create the property in BlueConic.",
            )
        ]
    )
    return Call(
        "PUT",
        f"/profileProperties/{quote(property_id, safe='')}",
        "write:profile-properties",
        body={
            "id": property_id,
            "name": name,
            "filterType": filter_type,
            "tags": ["braze"],
            "permissionLevel": "PERSONAL",
            "mergeStrategy": "LATEST",
            "showInUI": True,
        },
        errors={400: refused},
    )

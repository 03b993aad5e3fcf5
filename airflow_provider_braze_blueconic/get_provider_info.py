"""The provider's metadata for Airflow: connection types, settings, and modules.

Airflow calls :func:`get_provider_info` while it is still starting.
So this module imports the standard library alone; one import of Airflow here would break every ``import airflow``
of the installation.
"""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

_PACKAGE = "airflow_provider_braze_blueconic"
_VERSION_ADDED = "0.1.0"


def _option(description: str, kind: str, default: str, example: str | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": _VERSION_ADDED,
        "type": kind,
        "example": example,
        "default": default,
    }


def _connection_fields() -> dict[str, Any]:
    return {
        "ca_file": {
            "label": "CA file",
            "description": "Path on the workers to a PEM file with the certificate authorities to trust. Leave it "
            "empty to trust the usual ones. A proxy that intercepts TLS needs it.",
            "schema": {"type": ["string", "null"]},
        },
    }


def _connection_types() -> list[dict[str, Any]]:
    return [
        {
            "connection-type": "braze",
            "hook-class-name": f"{_PACKAGE}.hooks.braze.BrazeHook",
            "hook-name": "Braze",
            "ui-field-behaviour": {
                "hidden-fields": ["login", "port", "schema"],
                "relabeling": {"host": "REST endpoint", "password": "REST API key"},
                "placeholders": {
                    "host": "https://rest.iad-01.braze.com",
                    "password": "Settings > APIs and Identifiers > API Keys",
                },
            },
            "conn-fields": _connection_fields(),
        },
        {
            "connection-type": "blueconic",
            "hook-class-name": f"{_PACKAGE}.hooks.blueconic.BlueConicHook",
            "hook-name": "BlueConic",
            "ui-field-behaviour": {
                "hidden-fields": ["port", "schema"],
                "relabeling": {"host": "Tenant", "login": "Client id", "password": "Client secret"},
                "placeholders": {
                    "host": "https://acme.blueconic.net",
                    "login": "Settings > Access management > Applications",
                    "password": "shown once, when you create the application",
                },
            },
            "conn-fields": _connection_fields(),
        },
    ]


def _config() -> dict[str, Any]:
    return {
        "braze_blueconic": {
            "description": "Settings of the Braze and BlueConic provider for the whole installation. Settings that "
            "differ between goals are in the goal file.",
            "options": {
                "request_timeout": _option(
                    "Seconds without data from Braze or BlueConic, while connecting or answering, after which a "
                    "request counts as lost.",
                    "float",
                    "60",
                ),
                "retry_attempts": _option(
                    "Attempts at one ordinary call (lists, details, a page of profiles), the first included.",
                    "integer",
                    "6",
                ),
                "retry_seconds": _option(
                    "Seconds, waits included, in which one ordinary call is retried. After that the task fails, "
                    "and Airflow's own retries take over.",
                    "float",
                    "600",
                ),
                "page_size": _option(
                    "Profiles in one page of a BlueConic segment. A page is fetched again if the connection breaks. "
                    "Larger pages are faster where BlueConic answers slowly, and don't need more memory.",
                    "integer",
                    "2000",
                ),
                "max_in_flight": _option(
                    "Requests that one upload task keeps in flight. To reach the rate cap, it has to exceed "
                    "requests per second times the latency in seconds.",
                    "integer",
                    "512",
                ),
                "requests_per_second": _option(
                    "Requests per second to one vendor, for all partitions of a goal together, if the goal sets no "
                    "cap. The server's rate-limit headers can lower it further.",
                    "float",
                    "1000",
                    "250",
                ),
                "braze_settle_seconds": _option(
                    "Seconds until a write to Braze shows in a segment export. A segment export that reads sooner "
                    "after a write isn't trusted to show what Braze holds.",
                    "float",
                    "300",
                ),
                "blueconic_settle_seconds": _option(
                    "Seconds until a write to BlueConic shows in a segment; BlueConic's index lags up to ten minutes.",
                    "float",
                    "600",
                ),
                "lock_seconds": _option(
                    "Only one run of a goal works at a time. After this many seconds without a renewed lock, the "
                    "run that holds the goal counts as dead and the next one takes over. A run renews its lock "
                    "three times in that period.",
                    "float",
                    "30",
                ),
                "lock_gap_seconds": _option(
                    "Seconds between two tasks of a run, waits for a retry included, after which a run of another "
                    "Airflow may take over. A run of the same Airflow asks Airflow whether the other run has "
                    "ended. 0 keeps other runs out only while a task is running.",
                    "float",
                    "900",
                ),
                "wait_for_goal_minutes": _option(
                    "Minutes that a run waits, without a worker slot, while another run holds its goal. Then it "
                    "fails and names that run. 0 fails at once.",
                    "float",
                    "360",
                    "60",
                ),
                "reprocessed_runs_send": _option(
                    "When a backfill runs a date again, Airflow before 3.2.2 loses its params, including dry_run. "
                    "False: such a run plans, sends nothing and fails. True: it sends as if it had no params. The "
                    "option has no effect on later versions, which keep the params.",
                    "boolean",
                    "False",
                ),
                "work_folder": _option(
                    "Folder on the worker for temporary files. Leave it empty to use the system's temporary folder.",
                    "string",
                    "",
                    "/mnt/scratch",
                ),
                "memory_limit": _option(
                    "Memory that one task may use for mapping and delta queries before DuckDB spills to the work "
                    "folder, in DuckDB's notation.",
                    "string",
                    "1GB",
                    "4GB",
                ),
            },
        },
    }


def _operators() -> list[dict[str, Any]]:
    return [
        {
            "integration-name": "Braze",
            "python-modules": [
                f"{_PACKAGE}.operators.braze_segment_to_s3",
                f"{_PACKAGE}.operators.look_at_braze",
                f"{_PACKAGE}.operators.map_fields",
                f"{_PACKAGE}.operators.compute_delta",
                f"{_PACKAGE}.operators.guard",
                f"{_PACKAGE}.operators.s3_to_braze_users",
                f"{_PACKAGE}.operators.commit_ledger",
                f"{_PACKAGE}.operators.clean_up",
                f"{_PACKAGE}.operators.sync_report",
            ],
        },
        {
            "integration-name": "BlueConic",
            "python-modules": [
                f"{_PACKAGE}.operators.blueconic_segment_to_s3",
                f"{_PACKAGE}.operators.s3_csv_to_s3",
                f"{_PACKAGE}.operators.s3_to_blueconic_profiles",
                f"{_PACKAGE}.operators.s3_to_s3_csv",
            ],
        },
    ]


def _triggers() -> list[dict[str, Any]]:
    return [
        {
            "integration-name": "Braze",
            "python-modules": [f"{_PACKAGE}.triggers.segment_export_files"],
        },
    ]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-braze-blueconic",
        "name": "Braze and BlueConic",
        "description": "Syncs customer profiles between `Braze <https://www.braze.com/>`__ and `BlueConic "
        "<https://www.blueconic.com/>`__, through Amazon S3.",
        "integrations": [
            {
                "integration-name": "Braze",
                "external-doc-url": "https://www.braze.com/docs/api/home",
                "tags": ["service"],
            },
            {
                "integration-name": "BlueConic",
                "external-doc-url": "https://support.blueconic.com/",
                "tags": ["service"],
            },
        ],
        "hooks": [
            {
                "integration-name": "Braze",
                "python-modules": [f"{_PACKAGE}.hooks.braze", f"{_PACKAGE}.hooks.staging"],
            },
            {"integration-name": "BlueConic", "python-modules": [f"{_PACKAGE}.hooks.blueconic"]},
        ],
        "operators": _operators(),
        "triggers": _triggers(),
        "connection-types": _connection_types(),
        "config": _config(),
    }

"""What Airflow is told about this provider: connection types, settings, and where things are.

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
            "description": "Path, on the workers, of a PEM file with the certificate authorities to trust. "
            "Empty for the usual ones. Needed behind a proxy that opens TLS connections.",
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
                    "password": "shown once, when the application is made",
                },
            },
            "conn-fields": _connection_fields(),
        },
    ]


def _config() -> dict[str, Any]:
    return {
        "braze_blueconic": {
            "description": "Settings of the Braze and BlueConic provider that hold for the whole installation. "
            "What differs from goal to goal stands in the goal file.",
            "options": {
                "request_timeout": _option(
                    "Seconds that Braze or BlueConic may stay silent, while connecting and while answering, "
                    "before a request counts as lost.",
                    "float",
                    "60",
                ),
                "retry_attempts": _option(
                    "How often one ordinary call (lists, details, a page of profiles) is tried in all.",
                    "integer",
                    "6",
                ),
                "retry_seconds": _option(
                    "For how many seconds, waits included, one ordinary call is tried again. "
                    "After that the task fails and Airflow's own retry takes over.",
                    "float",
                    "600",
                ),
                "page_size": _option(
                    "Profiles that one page of a BlueConic segment holds. "
                    "A page is held in memory and fetched again if its stream breaks.",
                    "integer",
                    "2000",
                ),
                "max_in_flight": _option(
                    "Requests that one upload task keeps under way at the same time. "
                    "It has to exceed requests per second times seconds of latency, or the cap is never reached.",
                    "integer",
                    "512",
                ),
                "requests_per_second": _option(
                    "Requests per second to one vendor, all parts of a goal together, if the goal sets no cap. "
                    "What the server's rate-limit headers say lowers it further.",
                    "float",
                    "1000",
                    "250",
                ),
                "braze_settle_seconds": _option(
                    "Seconds until what was written to Braze shows in an export. What an export saw sooner after a "
                    "write is not taken for what Braze holds.",
                    "float",
                    "300",
                ),
                "blueconic_settle_seconds": _option(
                    "Seconds until what was written to BlueConic shows in a segment; its index lags up to ten minutes.",
                    "float",
                    "600",
                ),
                "lock_seconds": _option(
                    "One run of a goal works at a time. Seconds without a sign of life after which the run that holds "
                    "the goal counts as dead, and the next one takes over. It gives three signs in that time.",
                    "float",
                    "30",
                ),
                "lock_gap_seconds": _option(
                    "Seconds that a run may take between two of its tasks, waits for a retry included, before a run of "
                    "another Airflow may take over. A run of the same Airflow asks that whether the other has ended. "
                    "0 keeps other runs out only while a task is at work.",
                    "float",
                    "900",
                ),
                "wait_for_goal_minutes": _option(
                    "Minutes that a run waits for its turn, without a worker slot, while another run has its goal. "
                    "Then it fails and names that run. 0 fails at once.",
                    "float",
                    "360",
                    "60",
                ),
                "reprocessed_runs_send": _option(
                    "Airflow before 3.2.2 forgets the params of a backfill that runs a date again, dry_run among them. "
                    "False: such a run plans, sends nothing and fails. True: it sends, as if it had no params. "
                    "Without effect on later versions, which keep the params.",
                    "boolean",
                    "False",
                ),
                "work_folder": _option(
                    "Folder on the worker for files of the partition in hand. Empty for the system's temporary folder.",
                    "string",
                    "",
                    "/mnt/scratch",
                ),
                "memory_limit": _option(
                    "Memory that the set work (mapping, delta) of one task may take before it spills to the work "
                    "folder, as DuckDB writes it.",
                    "string",
                    "1GB",
                    "4GB",
                ),
            },
        },
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-braze-blueconic",
        "name": "Braze and BlueConic",
        "description": "Keeps customer profiles in step between "
        "`Braze <https://www.braze.com/>`__ and `BlueConic <https://www.blueconic.com/>`__, through Amazon S3.",
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
        "operators": [
            {
                "integration-name": "Braze",
                "python-modules": [
                    f"{_PACKAGE}.operators.braze",
                    f"{_PACKAGE}.operators.sync",
                    f"{_PACKAGE}.operators.clean_up",
                ],
            },
            {
                "integration-name": "BlueConic",
                "python-modules": [f"{_PACKAGE}.operators.blueconic", f"{_PACKAGE}.operators.s3_csv"],
            },
        ],
        "triggers": [
            {"integration-name": "Braze", "python-modules": [f"{_PACKAGE}.triggers.braze_export"]},
        ],
        "connection-types": _connection_types(),
        "config": _config(),
    }

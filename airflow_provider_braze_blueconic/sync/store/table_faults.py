"""What went wrong with a table: it is broken, or the store refused or failed.

delta-rs 1.6, Arrow and DuckDB each have their own texts for it, and none of them documents it: these were seen in
tests.
"""

from __future__ import annotations

import re

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    SyncError,
    TransientError,
)

__all__ = ["store_failure", "what_is_wrong"]

_MISSING_FILE = re.compile(r"Object at location (\S+) not found")
_DAMAGED_FILE = re.compile(r"Could not open Parquet input source '([^']+)'")
_DAMAGED_PAGE = re.compile(r"Unexpected end of stream|Couldn't deserialize thrift|Parquet magic bytes")
_STORE_FAILED = "Generic S3 error"
"""Stands in the text of what the store itself answered or did not answer: the table may be well."""

_REFUSED = "lacked the necessary privileges"
"""Stands in the text where the store answered 401 or 403."""

_UNTRUSTED = "invalid peer certificate"
_NO_TUNNEL = "tunnel error"


def what_is_wrong(text: str, *, in_log: bool) -> str | None:
    """Say what is wrong with a table; ``None`` if it is not the table.

    :param in_log: delta-rs could not make sense of the log.
    """
    if missing := _MISSING_FILE.search(text):
        return f"its file {missing[1]} is missing"
    if _STORE_FAILED in text:
        return None
    if damaged := _DAMAGED_FILE.search(text):
        return f"its file {damaged[1]} is damaged"
    if _DAMAGED_PAGE.search(text):
        return "one of its files is damaged"
    if in_log:
        return "its log (_delta_log) is damaged, or files of the log are missing"
    return None


_ACCESS = {
    _UNTRUSTED: (
        "this worker doesn't trust the certificate of the S3 endpoint. Set `verify` in the extra of the aws "
        "connection to the path of its CA certificate."
    ),
    _NO_TUNNEL: (
        "the proxy can't be reached, or refuses the connection. Check `config_kwargs.proxies` in the extra of the aws "
        "connection, or HTTPS_PROXY and NO_PROXY on the worker."
    ),
    _REFUSED: (
        "the credentials don't have permission. They need s3:ListBucket, s3:GetObject, s3:PutObject and "
        "s3:DeleteObject there."
    ),
}
"""What stands in the text where access fails → what to do."""


def store_failure(text: str, uri: str, *, doing: str) -> SyncError | None:
    """Say in our words that the store refused or failed; ``None`` if it did not. Its own text is not quoted.

    :param text: of an error while a table was read or written.
    :param uri: of the table.
    :param doing: ``read`` or ``written``.
    """
    for mark, remedy in _ACCESS.items():
        if mark in text:
            return AccessError(f"{uri} can't be {doing}: {remedy}")
    if _STORE_FAILED in text:
        return TransientError(f"{uri} can't be {doing} now: Amazon S3 failed or is unreachable. Try again.")
    return None

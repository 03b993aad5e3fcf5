"""How delta-rs reaches a table: with its given options, and with nothing else from the worker."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["only_told", "with_bucket"]

_ENVIRONMENT = re.compile(
    "(aws_)?((session_)?token|endpoint(_url(_s3)?)?)|access_key_id|secret_access_key|(default_)?region|timeout"
    "|connect_timeout|read_timeout|user_agent|proxy_(url|excludes|ca_certificate)"
    "|allow_http|allow_invalid_certificates|skip_signature|unsigned_payload|conditional_put|copy_if_not_exists"
    "|virtual_hosted_style_request|s3_express|request_payer|checksum_algorithm|disable_(tagging|bulk_delete)"
    "|http[12]_only|http2_.*|pool_.*|randomize_addresses|default_content_type|server_side_encryption|sse_.*"
    "|role_arn|role_session_name|web_identity_token_file|endpoint_url_sts|metadata_endpoint|imdsv1_fallback",
    re.IGNORECASE,
)
"""Environment variables that delta-rs 1.6 adds to the options that it is told, by any letter case (``with_env_s3`` in
its ``crates/aws/src/storage.rs``): among them names that anybody may use for anything, such as ``TOKEN``. Whoever sets
one with ``AWS_`` before it means S3, so of these only what the connection decides is hidden."""

_hiding = threading.Lock()


@contextmanager
def only_told(options: Mapping[str, str]) -> Iterator[None]:
    """Hide environment variables that delta-rs would add to what it is told, while it makes its store.

    A token of the worker's own, beside keys of the connection, is refused by S3; and an empty one can't be told, since
    delta-rs sends it as it is.
    """
    found = [name for name in os.environ if _ENVIRONMENT.fullmatch(name)] if options else []
    if not found:
        yield
        return
    with _hiding:
        hidden = {name: os.environ.pop(name) for name in found if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def with_bucket(uri: str, storage_options: Mapping[str, str]) -> dict[str, str]:
    """Return options with the bucket in the endpoint where it is addressed that way: delta-rs wants it there."""
    options = dict(storage_options)
    endpoint = options.get("AWS_ENDPOINT_URL")
    if endpoint and options.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") == "true":
        scheme, _, host = endpoint.partition("://")
        options["AWS_ENDPOINT_URL"] = f"{scheme}://{uri.partition('://')[2].partition('/')[0]}.{host}"
    return options

"""The settings by which boto checks the certificate of an S3 endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.hooks.s3.faults import faults

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.s3.access import S3Access

__all__ = ["verify_by"]


def verify_by(s3: S3Access, *, place: str, conn_id: str) -> bool | str:
    """Return whether boto looks at a certificate, or the file of the CA by which it does.

    :param place: address and connection, for a sentence.
    :raises AccessError: there is no such file.
    """
    with faults(place):
        verify = s3.hook.verify
        if verify is None:
            # boto3's own session does not tell; AWS_CA_BUNDLE, or ca_bundle in the profile.
            verify = s3.session._session.get_config_variable("ca_bundle")
    if verify is None:
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    if isinstance(verify, str) and not Path(verify).is_file():
        raise AccessError(
            f'Connection "{conn_id}": correct `verify` in its extra, or AWS_CA_BUNDLE on this worker. It names '
            f'"{verify}", which doesn\'t exist.'
        )
    return verify if isinstance(verify, str) else bool(verify)

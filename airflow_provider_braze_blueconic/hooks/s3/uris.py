"""The addresses of objects in S3."""

from __future__ import annotations

from airflow_provider_braze_blueconic.exceptions import SettingError

__all__ = ["split_uri"]


def split_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key; the key may be empty.

    :raises SettingError: it has another form.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a") or not separator or not bucket:
        raise SettingError(f'"{uri}" must have the form s3://bucket/key.')
    return bucket, key

"""Amazon S3, which holds segment exports and all state."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError
from airflow_provider_braze_blueconic.hooks.s3.access import S3Access
from airflow_provider_braze_blueconic.hooks.s3.certificates import verify_by
from airflow_provider_braze_blueconic.hooks.s3.conditional_writes import check_conditional_writes
from airflow_provider_braze_blueconic.hooks.s3.delta_options import DeltaAccess
from airflow_provider_braze_blueconic.hooks.s3.downloads import download
from airflow_provider_braze_blueconic.hooks.s3.faults import NO_CREDENTIALS, error_code, fault, faults
from airflow_provider_braze_blueconic.hooks.s3.uris import split_uri

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["StagedObject", "StagingHook", "split_uri"]

DELETE_MAXIMUM = 1_000
"""Keys per request of ``DeleteObjects``: Amazon S3 API reference, read 2026-11."""

_CONFLICT_TRIES = 3
_EXISTS = frozenset({"PreconditionFailed", "412"})
_NO_CONDITIONS = frozenset({"NotImplemented", "501"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})


@dataclass(frozen=True)
class StagedObject:
    """An object in the bucket.

    :param size: bytes.
    :param modified: aware.
    :param etag: S3's name for this version of the object.
    """

    uri: str
    size: int
    modified: datetime
    etag: str = field(default="", compare=False)


class StagingHook(BaseHook):
    """Reads and writes objects through the amazon provider's connection.

    botocore does its own retries; the hook adds none.

    :param aws_conn_id: id of a connection of the type ``aws``; its ``endpoint_url`` may be any S3-compatible store.
    """

    conn_name_attr = "aws_conn_id"
    default_conn_name = "aws_default"
    conn_type = "aws"
    hook_name = "Staging on Amazon S3"

    def __init__(self, aws_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.aws_conn_id = aws_conn_id
        self._s3 = S3Access(aws_conn_id)

    def get_conn(self) -> Any:
        """Return boto's S3 client."""
        return self._s3.client

    def upload_file(self, local: Path, uri: str) -> int:
        """Upload a file, in parts if it is large.

        :return: bytes.
        """
        bucket, key = split_uri(uri)
        with self._faults(uri):
            self.get_conn().upload_file(str(local), bucket, key)
        return local.stat().st_size

    def download_file(self, uri: str, local: Path) -> int:
        """Download an object; the file appears only when it is complete.

        :return: bytes.
        :raises FileNotFoundError: there is no such object.
        """
        bucket, key = split_uri(uri)
        with self._faults(uri):
            return download(self.get_conn(), bucket, key, local)

    def list_objects(self, prefix_uri: str, *, after: str | None = None) -> list[StagedObject]:
        """List everything below a prefix, sorted by key.

        :param after: skip everything that sorts up to this URI; S3 itself skips it, so that is cheap.
        """
        bucket, prefix = split_uri(prefix_uri)
        start = {} if after is None else {"StartAfter": split_uri(after)[1]}
        found: list[StagedObject] = []
        with self._faults(prefix_uri):
            pages = self.get_conn().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **start)
            for page in pages:
                found += [
                    StagedObject(
                        f"s3://{bucket}/{entry['Key']}", entry["Size"], entry["LastModified"], entry.get("ETag", "")
                    )
                    for entry in page.get("Contents", [])
                ]
        return found

    def copy_object(self, source_uri: str, target_uri: str) -> None:
        """Copy an object inside S3, in parts if it is large.

        :raises FileNotFoundError: there is no such object.
        """
        bucket, key = split_uri(source_uri)
        target_bucket, target_key = split_uri(target_uri)
        with self._faults(source_uri):
            self.get_conn().copy({"Bucket": bucket, "Key": key}, target_bucket, target_key)

    def move_object(self, source_uri: str, target_uri: str, *, etag: str) -> bool:
        """Rename one version of an object, by a copy and a delete that S3 makes only for this version.

        Not every store supports these conditions (moto supports neither), so the hook also checks right before each of
        them. If a newer version appears between the two, the intended version has its new name and the newer one stays.

        :param etag: the version, as a listing names it.
        :return: ``False`` if another version is there now.
        :raises FileNotFoundError: there is no such object.
        """
        from botocore.exceptions import ClientError

        bucket, key = split_uri(source_uri)
        target_bucket, target_key = split_uri(target_uri)
        with self._faults(source_uri):
            client = self.get_conn()
            try:
                client.head_object(Bucket=bucket, Key=key, IfMatch=etag)
                there = {"Bucket": bucket, "Key": key}
                client.copy(there, target_bucket, target_key, ExtraArgs={"CopySourceIfMatch": etag})
                client.head_object(Bucket=bucket, Key=key, IfMatch=etag)
                self._delete_version(client, bucket, key, etag)
            except ClientError as error:
                if error_code(error) in _EXISTS:
                    return False
                raise
        return True

    def _delete_version(self, client: Any, bucket: str, key: str, etag: str) -> None:
        from botocore.exceptions import ClientError, ParamValidationError

        try:
            client.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
        except ParamValidationError:  # a boto of before that condition
            client.delete_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error_code(error) not in _NO_CONDITIONS:
                raise
            client.delete_object(Bucket=bucket, Key=key)

    def read_bytes(self, uri: str) -> bytes:
        """Read a small object.

        :raises FileNotFoundError: there is no such object.
        """
        bucket, key = split_uri(uri)
        with self._faults(uri):
            content: bytes = self.get_conn().get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write a small object.

        :param if_absent: write only if the object doesn't exist; S3 decides that, so only one of two writers wins.
        :return: ``False`` if the object existed and was left alone.
        """
        bucket, key = split_uri(uri)
        if not if_absent:
            with self._faults(uri):
                self.get_conn().put_object(Bucket=bucket, Key=key, Body=data)
            return True
        for _ in range(_CONFLICT_TRIES):
            outcome = self._write_absent(uri, bucket, key, data)
            if outcome is not None:
                return outcome
        raise TransientError(f"{self._place(uri)}: other writers kept changing the same object.")

    def _write_absent(self, uri: str, bucket: str, key: str, data: bytes) -> bool | None:
        from botocore.exceptions import ClientError

        with self._faults(uri):
            try:
                self.get_conn().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            except ClientError as error:
                code = error_code(error)
                if code in _EXISTS:
                    return False
                if code in _CONFLICT:  # another write was under way; S3 asks to try again
                    return None
                raise
        return True

    def delete(self, uris: Iterable[str]) -> None:
        """Delete objects; missing ones count as deleted."""
        keys: dict[str, list[str]] = {}
        for uri in uris:
            bucket, key = split_uri(uri)
            keys.setdefault(bucket, []).append(key)
        for bucket, names in keys.items():
            for start in range(0, len(names), DELETE_MAXIMUM):
                chunk = [{"Key": name} for name in names[start : start + DELETE_MAXIMUM]]
                place = f"s3://{bucket}/"
                with self._faults(place):
                    answer = self.get_conn().delete_objects(Bucket=bucket, Delete={"Objects": chunk, "Quiet": True})
                # The answer is 200 even where single keys failed.
                for failure in answer.get("Errors", []):
                    raise fault(self._place(f"{place}{failure.get('Key', '')}"), str(failure.get("Code", "")))

    def check_access(self, uri: str, *, read_only: bool = False) -> None:
        """Make a cheap call that fails for a wrong bucket, right, key or endpoint, and leaves nothing behind.

        :param read_only: only read; otherwise the store must also be able to keep state.
        :raises AccessError: with the one thing to change.
        """
        bucket, prefix = split_uri(uri)
        with self._faults(uri):
            if str(self.get_conn().meta.endpoint_url).startswith("https://"):
                self._verify()
            self.get_conn().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        if not read_only:
            self.check_conditional_writes(uri)

    def check_conditional_writes(self, uri: str, *, remember: bool = False) -> None:
        """Make sure that the store supports ``If-None-Match``, on which table commits and the lock rely.

        A store that ignores it acknowledges two commits and keeps only one. So the hook tests it on a small object,
        unless a mark says that it was tested in this folder.

        :param uri: a folder in which this connection may write.
        :param remember: write that mark if the test succeeded.
        :raises AccessError: the store doesn't support it.
        """
        check_conditional_writes(self, uri, endpoint=self.endpoint(), place=self._place(uri), remember=remember)

    def endpoint(self) -> str:
        """Return the address of the store."""
        with self._faults("s3://"):
            return str(self.get_conn().meta.endpoint_url)

    def storage_options(self) -> dict[str, str]:
        """Return the same access as options for delta-rs: everything that decides how boto reaches S3.

        The options leave out what delta-rs does by itself. Its time-outs and retries are its own.

        They contain secrets: pass them on in memory, never through XCom. Credentials of an assumed role expire, so get
        new options for each table operation.

        :raises AccessError: there are no credentials, or the connection needs what delta-rs can't do.
        """
        with self._faults("s3://"):
            credentials = self._s3.credentials()
            if credentials is None:
                raise AccessError(f'Connection "{self.aws_conn_id}": {NO_CREDENTIALS}')
            meta = self.get_conn().meta
        access = DeltaAccess(self.aws_conn_id, meta.config, self._verify)
        return access.options(credentials, str(meta.region_name or ""), str(meta.endpoint_url))

    def _verify(self) -> bool | str:
        return verify_by(self._s3, place=self._place("s3://"), conn_id=self.aws_conn_id)

    def _place(self, uri: str) -> str:
        return f'{uri} (connection "{self.aws_conn_id}")'

    def _faults(self, uri: str) -> AbstractContextManager[None]:
        return faults(self._place(uri))

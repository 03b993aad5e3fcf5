"""Amazon S3, where exports land and all state lives."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_braze_blueconic.exceptions import AccessError, SettingError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.staging import fresh_id, store_folder

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

__all__ = ["StagedObject", "StagingHook", "split_uri"]

DELETE_MAXIMUM = 1_000
"""Keys per request of ``DeleteObjects``: Amazon S3 API reference, read 2026-11."""

_CONFLICT_TRIES = 3
_NO_REGION = "us-east-1"
"""Where neither the connection nor the environment names a region, as boto takes it for S3."""

_NOWHERE = "http://127.0.0.1:9"
"""Where a proxy has to be named, and all hosts are excepted from it."""

_NO_CREDENTIALS = "no credentials were found. Set the access key id as login and the secret as password, or a role."

# S3 error code -> what is wrong and what to change: Amazon S3 "Error responses", read 2026-11.
# A bare number is what a HEAD request has, since its answer has no body.
_ACCESS_FAULTS = {
    "NoSuchBucket": "the bucket does not exist. Make it, or correct the address.",
    "AccessDenied": "the credentials have no right to do so. They need s3:ListBucket, s3:GetObject, s3:PutObject "
    "and s3:DeleteObject there.",
    "AllAccessDisabled": "the bucket is closed to everybody.",
    "AccountProblem": "the AWS account has a problem that Amazon has to solve.",
    "InvalidAccessKeyId": "the access key id does not exist. Correct it.",
    "SignatureDoesNotMatch": "the secret access key does not fit the access key id. Correct it.",
    "ExpiredToken": "the session token has expired. Renew it.",
    "InvalidToken": "the session token is not valid. Renew it.",
    "TokenRefreshRequired": "the session token has to be renewed.",
    "AuthorizationHeaderMalformed": "the region is wrong. Set the region_name of the bucket.",
    "IllegalLocationConstraintException": "the region is wrong. Set the region_name of the bucket.",
    "PermanentRedirect": "the region is wrong. Set the region_name of the bucket.",
    "InvalidBucketName": "the name of the bucket is not valid.",
    "KMS.DisabledException": "the bucket's encryption key is disabled.",
    "RequestTimeTooSkewed": "this worker's clock is wrong.",
    "NotImplemented": "the store can't do a part of the request, such as its condition If-None-Match. Use a store that "
    "can.",
    "501": "the store can't do a part of the request. Use a store that can.",
    "400": "the request was refused, often since the region or the session token is wrong.",
    "401": "the credentials are refused.",
    "403": "the credentials are wrong or have no right to do so.",
    "301": "the region is wrong. Set the region_name of the bucket.",
}
_BUSY = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "RequestLimitExceeded", "429", "500", "503"}
)
_MISSING = frozenset({"NoSuchKey", "404"})
_EXISTS = frozenset({"PreconditionFailed", "412"})
_NO_CONDITIONS = frozenset({"NotImplemented", "501"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})


@dataclass(frozen=True)
class StagedObject:
    """An object in the bucket.

    :param size: bytes.
    :param modified: aware.
    :param etag: what S3 calls this version of the object.
    """

    uri: str
    size: int
    modified: datetime
    etag: str = field(default="", compare=False)


def split_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key; the key may be empty.

    :raises SettingError: it has another form.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a") or not separator or not bucket:
        raise SettingError(f'"{uri}" is not of the form s3://bucket/key.')
    return bucket, key


class StagingHook(BaseHook):
    """Reads and writes objects through the amazon provider's connection.

    botocore's own retries hold; none is put round them.

    :param aws_conn_id: id of a connection of the type ``aws``; its ``endpoint_url`` may lead anywhere.
    """

    conn_name_attr = "aws_conn_id"
    default_conn_name = "aws_default"
    conn_type = "aws"
    hook_name = "Staging on Amazon S3"

    def __init__(self, aws_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.aws_conn_id = aws_conn_id

    @cached_property
    def _s3(self) -> S3Hook:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return S3Hook(aws_conn_id=self.aws_conn_id)

    def get_conn(self) -> Any:
        """Return boto's S3 client."""
        return self._s3.get_conn()

    def upload_file(self, local: Path, uri: str) -> int:
        """Upload a file, in parts where it is large.

        :return: bytes.
        """
        bucket, key = split_uri(uri)
        with self._faults(uri):
            self.get_conn().upload_file(str(local), bucket, key)
        return local.stat().st_size

    def download_file(self, uri: str, local: Path) -> int:
        """Download an object; the file appears only when it is whole.

        :return: bytes.
        :raises FileNotFoundError: there is no such object.
        """
        bucket, key = split_uri(uri)
        with self._faults(uri):
            self.get_conn().download_file(bucket, key, str(local))
        return local.stat().st_size

    def list_objects(self, prefix_uri: str, *, after: str | None = None) -> list[StagedObject]:
        """List everything below a prefix, sorted by key.

        :param after: skip what sorts up to this URI; the bucket itself skips it, so a long tail costs nothing.
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
        """Copy an object inside S3, in parts where it is large.

        :raises FileNotFoundError: there is no such object.
        """
        bucket, key = split_uri(source_uri)
        target_bucket, target_key = split_uri(target_uri)
        with self._faults(source_uri):
            self.get_conn().copy({"Bucket": bucket, "Key": key}, target_bucket, target_key)

    def move_object(self, source_uri: str, target_uri: str, *, etag: str) -> bool:
        """Give one version of an object another name, by a copy and a delete that S3 makes for this version alone.

        Not every store heeds these conditions (moto knows neither), so it is looked at right before each of them too.
        Where a newer version comes between the two, the one that was meant has its new name, and the newer one stays.

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
                if _code(error) in _EXISTS:
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
            if _code(error) not in _NO_CONDITIONS:
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

        :param if_absent: write only if there is none, which S3 itself decides: of two writers one wins.
        :return: ``False`` when it was there already and was left alone.
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
        raise TransientError(f"{self._place(uri)}: others kept writing the same object at the same time.")

    def _write_absent(self, uri: str, bucket: str, key: str, data: bytes) -> bool | None:
        from botocore.exceptions import ClientError

        with self._faults(uri):
            try:
                self.get_conn().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            except ClientError as error:
                code = _code(error)
                if code in _EXISTS:
                    return False
                if code in _CONFLICT:  # another write was under way; S3 asks to try again
                    return None
                raise
        return True

    def delete(self, uris: Iterable[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
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
                    raise self._fault(f"{place}{failure.get('Key', '')}", str(failure.get("Code", "")))

    def check_access(self, uri: str, *, read_only: bool = False) -> None:
        """Make a cheap call that fails for a wrong bucket, right, key or endpoint; nothing is left there.

        :param read_only: nothing is to be kept there; else the store has to be one that can keep state, too.
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
        """Make sure that the store heeds ``If-None-Match``, by which tables are committed and the lock is taken.

        A store that ignores it acknowledges both of two commits and keeps one. So it is tried on a small object, unless
        a mark says that this store was tried in this folder.

        :param uri: a folder in which this connection may write.
        :param remember: leave that mark if all went well.
        :raises AccessError: it does not.
        """
        folder = store_folder(uri)
        mark = f"{folder}conditional-writes.json"
        with self._faults(uri):
            endpoint = hashlib.sha256(str(self.get_conn().meta.endpoint_url).encode()).hexdigest()
        # Somebody else's writing in the mark costs one more try.
        with suppress(FileNotFoundError, ValueError, AttributeError):
            if json.loads(self.read_bytes(mark)).get("endpoint") == endpoint:
                return
        probe = f"{folder}probe-{fresh_id()}"
        try:
            # That the first says no means that its own repetition met it.
            self.write_bytes(probe, b"first", if_absent=True)
            replaced = self.write_bytes(probe, b"second", if_absent=True)
        finally:
            with suppress(AccessError, TransientError, UnexpectedAnswer):
                self.delete([probe])
        if replaced:
            raise AccessError(
                f"{self._place(uri)}: choose a store that heeds the condition If-None-Match, as Amazon S3 does. This "
                "one replaced an object that was written on condition that there is none, so of two writers at once "
                "one would lose what was acknowledged. Nothing was sent."
            )
        if remember:
            self.write_bytes(mark, json.dumps({"endpoint": endpoint}).encode())

    def storage_options(self) -> dict[str, str]:
        """Return the same access in delta-rs's words: all that decides how boto gets to S3.

        What delta-rs does by itself is left out. Time-outs and repetitions stay its own.

        Holds secrets: hand it on in memory, never to XCom. The credentials are those of this moment; an assumed
        role's end after a while, so ask again for each table operation.

        :raises AccessError: there are no credentials, or the connection asks for what delta-rs can't do.
        """
        with self._faults("s3://"):
            # Asked for first, since get_credentials() breaks with AttributeError where there are none.
            if self._s3.get_session(region_name=self._s3.region_name).get_credentials() is None:
                raise AccessError(f'Connection "{self.aws_conn_id}": {_NO_CREDENTIALS}')
            credentials = self._s3.get_credentials(region_name=self._s3.region_name)
            region = self._s3.conn_region_name
            meta = self.get_conn().meta
        options = {
            "AWS_REGION": _NO_REGION if region in (None, "", "aws-global") else str(region),
            "AWS_ACCESS_KEY_ID": str(credentials.access_key),
            "AWS_SECRET_ACCESS_KEY": str(credentials.secret_key),
        }
        if credentials.token:
            options["AWS_SESSION_TOKEN"] = str(credentials.token)
        # With FIPS, botocore 1.44 writes its own word for us-east-1 there, and the region only into requests.
        endpoint = str(meta.endpoint_url).replace("aws-global", options["AWS_REGION"])
        own = f"https://s3.{options['AWS_REGION']}.amazonaws.com"
        if endpoint not in (own, "https://s3.amazonaws.com"):
            own = endpoint
            options["AWS_ENDPOINT_URL"] = endpoint
            options["AWS_ALLOW_HTTP"] = "true" if endpoint.startswith("http://") else "false"
            if (meta.config.s3 or {}).get("addressing_style") == "virtual":
                options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = "true"
        return options | self._tls_options(own, meta.config) | self._proxy_options(own, meta.config)

    def _verify(self) -> bool | str:
        """Return what boto goes by when it looks at a certificate: whether it does, or the file of a CA's.

        :raises AccessError: there is no such file.
        """
        with self._faults("s3://"):
            verify = self._s3.verify
            if verify is None:
                session = self._s3.get_session(region_name=self._s3.region_name)
                # boto3's own session does not tell; AWS_CA_BUNDLE, or ca_bundle in the profile.
                verify = session._session.get_config_variable("ca_bundle")
        if verify is None:
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        if isinstance(verify, str) and not Path(verify).is_file():
            raise AccessError(
                f'Connection "{self.aws_conn_id}": correct `verify` in its extra, or AWS_CA_BUNDLE on this worker. It '
                f'names "{verify}", and there is no such file.'
            )
        return verify if isinstance(verify, str) else bool(verify)

    def _tls_options(self, endpoint: str, config: Any) -> dict[str, str]:
        if not endpoint.startswith("https://"):
            return {}
        if config.client_cert or (config.proxies_config or {}).get("proxy_client_cert"):
            raise AccessError(
                f'Connection "{self.aws_conn_id}": take `client_cert` and `proxy_client_cert` out of `config_kwargs`. '
                "delta-rs, which keeps the tables, can't show a certificate of its own; let a proxy do it."
            )
        verify = self._verify()
        if verify is False:
            return {"AWS_ALLOW_INVALID_CERTIFICATES": "true"}
        if verify is True or verify == os.environ.get("SSL_CERT_FILE"):
            return {}
        return {"certificate_path": verify}

    def _proxy_options(self, endpoint: str, config: Any) -> dict[str, str]:
        from botocore.utils import get_environ_proxies, getproxies

        parts = urlsplit(endpoint)
        proxies: Mapping[str, str] = get_environ_proxies(endpoint) if config.proxies is None else config.proxies
        proxy = proxies.get(parts.scheme)
        if not proxy:
            # delta-rs reads the environment in its own way, and can't be told not to, only to except a host.
            others = config.proxies is not None or set(getproxies()) - {"no"}
            return {"AWS_PROXY_URL": _NOWHERE, "AWS_PROXY_EXCLUDES": parts.hostname or ""} if others else {}
        options = {"AWS_PROXY_URL": proxy if "://" in proxy else f"http://{proxy.lstrip('/')}"}
        bundle = (config.proxies_config or {}).get("proxy_ca_bundle")
        if bundle:
            try:
                options["AWS_PROXY_CA_CERTIFICATE"] = Path(bundle).read_text()
            except OSError:
                raise AccessError(
                    f'Connection "{self.aws_conn_id}": correct `proxies_config.proxy_ca_bundle` in `config_kwargs`. It '
                    f'names "{bundle}", and there is no such file.'
                ) from None
        return options

    def _place(self, uri: str) -> str:
        return f'{uri} (connection "{self.aws_conn_id}")'

    def _fault(self, uri: str, code: str) -> Exception:
        place = self._place(uri)
        if code in _MISSING:
            return FileNotFoundError(f"{place}: there is no such object.")
        if code in _BUSY:
            return TransientError(f"{place}: Amazon S3 is busy ({code}).")
        if code in _ACCESS_FAULTS:
            return AccessError(f"{place}: {_ACCESS_FAULTS[code]}")
        return UnexpectedAnswer(f'{place}: Amazon S3 answered with "{code}", which no rule covers.')

    @contextmanager
    def _faults(self, uri: str) -> Iterator[None]:
        """Turn what boto raises into our errors; its texts can hold keys, so they are not quoted."""
        from boto3.exceptions import Boto3Error
        from botocore import exceptions as boto

        try:
            yield
        except boto.ClientError as error:
            raise self._fault(uri, _code(error)) from None
        except Boto3Error as error:
            # boto's transfer wraps the error of the request in one of its own that has only a text.
            inner = error.__cause__ or error.__context__
            if not isinstance(inner, boto.ClientError):
                raise TransientError(f"{self._place(uri)}: the transfer failed ({type(error).__name__}).") from None
            raise self._fault(uri, _code(inner)) from None
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound):
            raise AccessError(f"{self._place(uri)}: {_NO_CREDENTIALS}") from None
        except (boto.HTTPClientError, boto.IncompleteReadError) as error:
            raise TransientError(f"{self._place(uri)}: the connection broke ({type(error).__name__}).") from None
        except boto.SSLError:
            raise AccessError(
                f"{self._place(uri)}: the certificate of the S3 endpoint is not trusted. Set `verify` in the "
                "connection's extra to the file of its CA certificate."
            ) from None
        except boto.ProxyConnectionError:
            raise AccessError(
                f"{self._place(uri)}: the proxy can't be reached. Check `config_kwargs.proxies` in the connection's "
                "extra, or HTTPS_PROXY and NO_PROXY on the worker."
            ) from None
        except boto.ConnectionError as error:
            raise AccessError(
                f"{self._place(uri)}: the S3 endpoint can't be reached ({type(error).__name__}). "
                "Check the endpoint_url, the region and the network."
            ) from None
        except (boto.BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
            raise AccessError(f"{self._place(uri)}: the connection is not valid ({type(error).__name__}).") from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

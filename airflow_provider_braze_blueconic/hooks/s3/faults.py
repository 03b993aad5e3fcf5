"""What a failure of S3 means, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError, UnexpectedAnswer

__all__ = ["NO_CREDENTIALS", "error_code", "fault", "faults"]

NO_CREDENTIALS = "there are no credentials. Set the access key id as login and the secret as password, or set a role."

# S3 error code -> what is wrong and what to change: Amazon S3 "Error responses", read 2026-11.
# A bare number is what a HEAD request has, since its answer has no body.
_ACCESS_FAULTS = {
    "NoSuchBucket": "the bucket doesn't exist. Create it, or correct the address.",
    "AccessDenied": "the credentials don't have permission. They need s3:ListBucket, s3:GetObject, s3:PutObject "
    "and s3:DeleteObject there.",
    "AllAccessDisabled": "all access to the bucket is disabled.",
    "AccountProblem": "the AWS account has a problem. Contact AWS.",
    "InvalidAccessKeyId": "the access key id doesn't exist. Correct it.",
    "SignatureDoesNotMatch": "the secret access key doesn't match the access key id. Correct it.",
    "ExpiredToken": "the session token has expired. Renew it.",
    "InvalidToken": "the session token is invalid. Renew it.",
    "TokenRefreshRequired": "the session token must be renewed.",
    "AuthorizationHeaderMalformed": "the region is wrong. Set the region_name of the bucket.",
    "IllegalLocationConstraintException": "the region is wrong. Set the region_name of the bucket.",
    "PermanentRedirect": "the region is wrong. Set the region_name of the bucket.",
    "InvalidBucketName": "the bucket's name is invalid.",
    "KMS.DisabledException": "the bucket's encryption key is disabled.",
    "RequestTimeTooSkewed": "this worker's clock is wrong.",
    "NotImplemented": "the store doesn't support part of the request, such as its condition If-None-Match. Use a "
    "store that does.",
    "501": "the store doesn't support part of the request. Use a store that does.",
    "400": "the store refused the request, often because the region or the session token is wrong.",
    "401": "the store refused the credentials.",
    "403": "the credentials are wrong or don't have permission.",
    "301": "the region is wrong. Set the region_name of the bucket.",
}

_BUSY = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "RequestLimitExceeded", "429", "500", "503"}
)

_MISSING = frozenset({"NoSuchKey", "404"})


def error_code(error: Any) -> str:
    """Return the code of one of boto's client errors."""
    return str(error.response.get("Error", {}).get("Code", ""))


def fault(place: str, code: str) -> Exception:
    """Turn an error code of S3 into our error.

    :param place: address and connection, for the sentence.
    """
    if code in _MISSING:
        return FileNotFoundError(f"{place}: there is no such object.")
    if code in _BUSY:
        return TransientError(f"{place}: Amazon S3 is busy ({code}).")
    if code in _ACCESS_FAULTS:
        return AccessError(f"{place}: {_ACCESS_FAULTS[code]}")
    return UnexpectedAnswer(f'{place}: Amazon S3 answered with "{code}", which no rule covers.')


@contextmanager
def faults(place: str) -> Iterator[None]:
    """Turn what boto raises into our errors; its texts can hold keys, so they are not quoted.

    :param place: address and connection, for the sentence.
    """
    from boto3.exceptions import Boto3Error
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise fault(place, error_code(error)) from None
    except Boto3Error as error:
        # boto's transfer wraps the error of the request in one of its own that has only a text.
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, boto.ClientError):
            raise TransientError(f"{place}: the transfer failed ({type(error).__name__}).") from None
        raise fault(place, error_code(inner)) from None
    except (boto.BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
        raise _without_an_answer(place, error) from None


def _without_an_answer(place: str, error: Exception) -> AccessError | TransientError:
    """Say why there was no answer; the first row that fits holds."""
    from botocore import exceptions as boto

    kind = type(error).__name__
    if isinstance(error, (boto.HTTPClientError, boto.IncompleteReadError)):
        return TransientError(f"{place}: the connection broke ({kind}).")
    rows: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
        ((boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound), NO_CREDENTIALS),
        (
            (boto.SSLError,),
            "this worker doesn't trust the certificate of the S3 endpoint. Set `verify` in the connection's extra "
            "to the path of its CA certificate.",
        ),
        (
            (boto.ProxyConnectionError,),
            "the proxy can't be reached. Check `config_kwargs.proxies` in the connection's extra, or HTTPS_PROXY and "
            "NO_PROXY on the worker.",
        ),
        (
            (boto.ConnectionError,),
            f"the S3 endpoint can't be reached ({kind}). Check the endpoint_url, the region and the network.",
        ),
    )
    text = next((text for kinds, text in rows if isinstance(error, kinds)), f"the connection is invalid ({kind}).")
    return AccessError(f"{place}: {text}")

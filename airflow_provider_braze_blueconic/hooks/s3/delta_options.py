"""S3 access as options for delta-rs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_braze_blueconic.exceptions import AccessError

__all__ = ["DeltaAccess"]

_NO_REGION = "us-east-1"
"""Where neither the connection nor the environment names a region, as boto takes it for S3."""

_NOWHERE = "http://127.0.0.1:9"
"""Where a proxy has to be named, and all hosts are excepted from it."""


class DeltaAccess:
    """How delta-rs gets to S3 as boto does; what it does by itself is left out.

    :param conn_id: the connection's id, for sentences.
    :param config: of boto's client.
    :param verify: tells what a certificate is looked at by: see :func:`~.certificates.verify_by`.
    """

    def __init__(self, conn_id: str, config: Any, verify: Callable[[], bool | str]) -> None:
        self._conn_id = conn_id
        self._config = config
        self._verify = verify

    def options(self, credentials: Any, region: str, endpoint: str) -> dict[str, str]:
        """Return the storage options.

        :param credentials: boto's; those of this moment.
        :param region: empty where none is named.
        :param endpoint: as boto's client has it.
        :raises AccessError: the connection asks for what delta-rs can't do.
        """
        options = {
            "AWS_REGION": _NO_REGION if region in ("", "aws-global") else region,
            "AWS_ACCESS_KEY_ID": str(credentials.access_key),
            "AWS_SECRET_ACCESS_KEY": str(credentials.secret_key),
        }
        if credentials.token:
            options["AWS_SESSION_TOKEN"] = str(credentials.token)
        # With FIPS, botocore 1.44 writes its own word for us-east-1 there, and the region only into requests.
        endpoint = endpoint.replace("aws-global", options["AWS_REGION"])
        own = f"https://s3.{options['AWS_REGION']}.amazonaws.com"
        if endpoint not in (own, "https://s3.amazonaws.com"):
            own = endpoint
            options |= self._endpoint(endpoint)
        return options | self._tls(own) | self._proxy(own)

    def _endpoint(self, endpoint: str) -> dict[str, str]:
        options = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true" if endpoint.startswith("http://") else "false",
        }
        if (self._config.s3 or {}).get("addressing_style") == "virtual":
            options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = "true"
        return options

    def _tls(self, endpoint: str) -> dict[str, str]:
        if not endpoint.startswith("https://"):
            return {}
        if self._config.client_cert or (self._config.proxies_config or {}).get("proxy_client_cert"):
            raise AccessError(
                f'Connection "{self._conn_id}": remove `client_cert` and `proxy_client_cert` from `config_kwargs`. '
                "delta-rs, which stores the tables, can't present a client certificate; let a proxy do it."
            )
        verify = self._verify()
        if verify is False:
            return {"AWS_ALLOW_INVALID_CERTIFICATES": "true"}
        if verify is True or verify == os.environ.get("SSL_CERT_FILE"):
            return {}
        return {"certificate_path": verify}

    def _proxy(self, endpoint: str) -> dict[str, str]:
        from botocore.utils import get_environ_proxies, getproxies

        parts, own = urlsplit(endpoint), self._config.proxies
        proxies: Mapping[str, str] = get_environ_proxies(endpoint) if own is None else own
        proxy = proxies.get(parts.scheme)
        if not proxy:
            # delta-rs reads the environment in its own way, and can't be told not to, only to except a host.
            others = own is not None or set(getproxies()) - {"no"}
            return {"AWS_PROXY_URL": _NOWHERE, "AWS_PROXY_EXCLUDES": parts.hostname or ""} if others else {}
        return {"AWS_PROXY_URL": proxy if "://" in proxy else f"http://{proxy.lstrip('/')}"} | self._proxy_bundle()

    def _proxy_bundle(self) -> dict[str, str]:
        bundle = (self._config.proxies_config or {}).get("proxy_ca_bundle")
        if not bundle:
            return {}
        try:
            return {"AWS_PROXY_CA_CERTIFICATE": Path(bundle).read_text()}
        except OSError:
            raise AccessError(
                f'Connection "{self._conn_id}": correct `proxies_config.proxy_ca_bundle` in `config_kwargs`. It '
                f'names "{bundle}", which doesn\'t exist.'
            ) from None

"""One task's access to S3: the session and the client that an ``aws`` connection stands for, made once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_braze_blueconic.hooks.s3.models import read_models_quickly

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

__all__ = ["S3Access"]

_SERVICE = "s3"


class S3Access:
    """The amazon provider's reading of a connection, as boto's session and client.

    The client is made here and not by ``S3Hook.get_conn()``, which also looks through the stack and all installed
    providers for words in its user agent: half of the time until a task's first request. Endpoint, configuration,
    certificate and credentials are the hook's own.

    :param conn_id: of a connection of the type ``aws``.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    @cached_property
    def hook(self) -> AwsBaseHook:
        """Return the amazon provider's hook."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

        return AwsBaseHook(aws_conn_id=self._conn_id, client_type=_SERVICE)

    @cached_property
    def session(self) -> Any:
        """Return boto's session, whose credentials renew themselves where they expire."""
        session = self.hook.get_session(region_name=self.hook.region_name)
        read_models_quickly(session._session)
        return session

    @cached_property
    def client(self) -> Any:
        """Return boto's client."""
        from botocore.config import Config

        config = self.hook.config
        words = f"{config.user_agent_extra or ''} airflow-provider-braze-blueconic".strip()
        return self.session.client(
            _SERVICE,
            endpoint_url=self.hook.conn_config.get_service_endpoint_url(service_name=_SERVICE),
            config=config.merge(Config(user_agent_extra=words)),
            verify=self.hook.verify,
        )

    def credentials(self) -> Any:
        """Return the credentials of this moment, frozen; ``None`` if there are none.

        Those that expire are asked for anew, so that a table operation has all of their time.
        """
        found = self.session.get_credentials()
        if found is None:
            return None
        if hasattr(found, "refresh_needed"):
            return self.hook.get_credentials(region_name=self.hook.region_name)
        frozen = found.get_frozen_credentials()
        for secret in (frozen.secret_key, frozen.token):
            if secret:
                mask_secret(secret)
        return frozen

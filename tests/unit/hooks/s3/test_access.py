from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from airflow_provider_braze_blueconic.hooks.s3 import access
from airflow_provider_braze_blueconic.hooks.s3.access import S3Access
from airflow_provider_braze_blueconic.hooks.s3.models import read_models_quickly


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> S3Access:
    connection = {"conn_type": "aws", "login": "AKIAPLANTED", "password": "planted-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return S3Access("aws_default")


def test_the_client_has_what_the_amazon_providers_own_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    extra = {
        "region_name": "eu-west-1",
        "service_config": {"s3": {"endpoint_url": "https://s3.example"}},
        "verify": False,
        "config_kwargs": {"connect_timeout": 7, "s3": {"addressing_style": "virtual"}, "user_agent_extra": "acme"},
    }

    ours, theirs = connect(monkeypatch, **extra).client, S3Hook("aws_default").get_conn()

    assert ours.meta.endpoint_url == theirs.meta.endpoint_url == "https://s3.example"
    assert ours.meta.region_name == theirs.meta.region_name == "eu-west-1"
    assert ours._endpoint.http_session._verify is theirs._endpoint.http_session._verify is False
    assert without_words(ours) == without_words(theirs)
    assert "acme" in ours.meta.config.user_agent


def without_words(client: Any) -> dict[str, Any]:
    """The configuration of a client, apart from what it says of itself."""
    said = vars(client.meta.config)
    return {name: value for name, value in said.items() if "user" not in name}


def test_secrets_of_the_environment_are_masked_in_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr(access, "mask_secret", masked.append)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws"}')
    for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "planted", "SESSION_TOKEN": "planted too"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    found = S3Access("aws_default").credentials()

    assert (found.access_key, found.secret_key, found.token) == ("id", "planted", "planted too")
    assert masked == ["planted", "planted too"]


def test_credentials_that_expire_are_asked_for_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import RefreshableCredentials

    now = {"access_key": "a", "secret_key": "b", "token": "c", "expiry_time": "2999-01-01T00:00:00Z"}
    s3 = connect(monkeypatch, region_name="eu-west-1")
    expiring = RefreshableCredentials.create_from_metadata(now, lambda: now, "test")
    asked: list[str] = []
    monkeypatch.setattr(s3.session, "get_credentials", lambda: expiring)
    monkeypatch.setattr(s3.hook, "get_credentials", lambda **_: asked.append("anew"))

    s3.credentials()
    s3.credentials()

    assert asked == ["anew", "anew"]


@pytest.mark.parametrize("name", ["endpoints", "partitions", "s3/2006-03-01/service-2"])
def test_botos_descriptions_are_the_same_however_they_are_read(name: str) -> None:
    quick = boto3.Session()
    read_models_quickly(quick._session)

    assert quick._session.get_data(name) == boto3.Session()._session.get_data(name)
    assert list(quick._session.get_data(name)) == list(boto3.Session()._session.get_data(name))


def test_a_description_that_is_not_there_is_told_as_boto_tells_it() -> None:
    from botocore.exceptions import UnknownServiceError

    quick = boto3.Session(region_name="eu-west-1")
    read_models_quickly(quick._session)

    with pytest.raises(UnknownServiceError):
        quick.client("s4")

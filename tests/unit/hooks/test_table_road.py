"""boto and delta-rs go to the same S3 by the same road, whatever the connection and the worker's environment say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sync.store.tables import Table
from tests.support.odd_server import closed_port
from tests.support.secure_store import Certificates, Proxy, SecureStore

BUCKET = "acme-table-road"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def store(certificates: Certificates) -> Iterator[SecureStore]:
    running = SecureStore(certificates.server)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def plain() -> Iterator[SecureStore]:
    running = SecureStore(None)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def connect(monkeypatch: pytest.MonkeyPatch, url: str | None, **extra: Any) -> StagingHook:
    config = {"retries": {"total_max_attempts": 1}, **extra.pop("config_kwargs", {})}
    where = {} if url is None else {"endpoint_url": url}
    connection = {
        "conn_type": "aws",
        "login": "AKIAPLANTED",
        "password": "planted-aws-secret",
        "extra": {"region_name": "us-east-1", "config_kwargs": config, **where, **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return StagingHook()


def by_both_roads(hook: StagingHook) -> list[int]:
    """Write an object, and a table that is then read."""
    hook.get_conn().create_bucket(Bucket=BUCKET)
    hook.write_bytes(f"s3://{BUCKET}/object", b"x")
    hook.delete(found.uri for found in hook.list_objects(f"s3://{BUCKET}/table/"))
    table = Table(f"s3://{BUCKET}/table", {**hook.storage_options(), "max_retries": "0"})
    table.append(pa.table({"a": [1]}), transactions={})
    table.append(pa.table({"a": [2]}), transactions={})
    rows = table.rows()
    assert rows is not None
    return sorted(rows.read_all()["a"].to_pylist())


def table_alone(hook: StagingHook) -> Table:
    return Table(f"s3://{BUCKET}/none", {**hook.storage_options(), "max_retries": "0"})


@pytest.mark.parametrize("file", ["ca", "bundle"])
def test_a_ca_of_the_connection_is_trusted_by_the_tables_too(
    file: str, store: SecureStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, store.url, verify=str(getattr(certificates, file)))

    assert by_both_roads(hook) == [1, 2]


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_ca_of_the_environment_is_trusted_by_the_tables_too(
    name: str, store: SecureStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(certificates.ca))

    assert by_both_roads(connect(monkeypatch, store.url)) == [1, 2]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_connection_that_does_not_verify_means_the_tables_too(
    store: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_both_roads(connect(monkeypatch, store.url, verify=False)) == [1, 2]


def test_an_untrusted_certificate_is_told_with_the_setting_on_both_roads(
    store: SecureStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, store.url, verify=str(certificates.other))

    with pytest.raises(AccessError, match=r"trust the certificate of the S3 endpoint\. Set `verify` in"):
        hook.check_access(f"s3://{BUCKET}/")
    with pytest.raises(AccessError, match=r"trust the certificate of the S3 endpoint\. Set `verify` in"):
        table_alone(hook).open()


def test_a_ca_file_that_is_not_there_is_named(store: SecureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connect(monkeypatch, store.url, verify="/etc/acme/none.pem")

    for ask in (hook.storage_options, lambda: hook.check_access(f"s3://{BUCKET}/")):
        with pytest.raises(AccessError, match=r'correct `verify` .* "/etc/acme/none.pem"'):
            ask()


def test_a_certificate_of_ones_own_can_t_be_shown_by_the_tables(
    store: SecureStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, store.url, config_kwargs={"client_cert": str(certificates.server)})

    with pytest.raises(AccessError, match=r"remove `client_cert` .* from `config_kwargs`"):
        hook.storage_options()


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_tables_go_through_the_proxy_of_the_connection(
    scheme: str,
    store: SecureStore,
    plain: SecureStore,
    proxy: Proxy,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxies = {scheme: proxy.url.removeprefix("http://")}
    url = store.url if scheme == "https" else plain.url
    hook = connect(monkeypatch, url, verify=str(certificates.ca), config_kwargs={"proxies": proxies})
    before = by_both_roads(hook)

    proxy.heads.clear()
    table_alone(hook).open()

    assert before == [1, 2]
    assert proxy.heads
    assert all("127.0.0.1" in head for head in proxy.heads)


def test_a_connection_without_proxies_goes_past_the_environment_s(
    plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("http_proxy", NOWHERE)

    assert by_both_roads(connect(monkeypatch, plain.url, config_kwargs={"proxies": {}})) == [1, 2]


def test_a_proxy_of_the_environment_that_boto_does_not_heed_is_not_used_for_the_tables(
    plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", NOWHERE)
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert by_both_roads(connect(monkeypatch, plain.url)) == [1, 2]


def test_a_proxy_that_can_t_be_reached_is_told_with_the_setting_on_both_roads(
    store: SecureStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"https": f"127.0.0.1:{closed_port()}"}
    hook = connect(monkeypatch, store.url, verify=str(certificates.ca), config_kwargs={"proxies": proxies})

    with pytest.raises(AccessError, match=r"proxy can't be reached.*config_kwargs\.proxies"):
        hook.check_access(f"s3://{BUCKET}/")
    with pytest.raises(AccessError, match=r"proxy can't be reached.*config_kwargs\.proxies"):
        table_alone(hook).open()


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_TOKEN", "TOKEN", "session_token"])
def test_a_token_of_the_environment_is_not_sent_beside_keys_of_the_connection(
    name: str, plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "somebody-else's")
    plain.tokens.clear()

    assert by_both_roads(connect(monkeypatch, plain.url)) == [1, 2]
    assert set(plain.tokens) == {None}
    assert os.environ[name] == "somebody-else's"


def test_a_token_of_the_connection_is_sent_on_both_roads(plain: SecureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody-else's")
    plain.tokens.clear()

    assert by_both_roads(connect(monkeypatch, plain.url, aws_session_token="ours")) == [1, 2]
    assert set(plain.tokens) == {"ours"}


def test_keys_and_token_of_the_environment_are_used_on_both_roads(
    plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIAENV", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "theirs"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    extra = {"endpoint_url": plain.url, "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    plain.tokens.clear()

    assert by_both_roads(StagingHook()) == [1, 2]
    assert set(plain.tokens) == {"theirs"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL_S3", NOWHERE),
        ("AWS_ENDPOINT_URL", NOWHERE),
        ("ENDPOINT", NOWHERE),
        ("PROXY_URL", NOWHERE),
        ("TIMEOUT", "30"),
        ("REGION", "nowhere"),
        ("SKIP_SIGNATURE", "true"),
        ("VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ("CONDITIONAL_PUT", "disabled"),
    ],
)
def test_a_name_in_the_environment_that_delta_rs_would_heed_changes_nothing(
    name: str, value: str, plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert by_both_roads(connect(monkeypatch, plain.url)) == [1, 2]


def test_an_endpoint_that_boto_takes_from_the_environment_is_the_tables_too(
    plain: SecureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", plain.url)

    assert by_both_roads(connect(monkeypatch, None)) == [1, 2]


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({"region_name": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn"),
        ({"config_kwargs": {"use_fips_endpoint": True}}, "https://s3-fips.us-east-1.amazonaws.com"),
        ({"config_kwargs": {"use_dualstack_endpoint": True}}, "https://s3.dualstack.us-east-1.amazonaws.com"),
        ({"service_config": {"s3": {"endpoint_url": "https://s3.acme.example"}}}, "https://s3.acme.example"),
    ],
    ids=["China", "FIPS", "dual stack", "of the service"],
)
def test_an_endpoint_that_delta_rs_would_not_find_by_itself_is_told(
    extra: dict[str, Any], endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect(monkeypatch, None, **extra).storage_options()["AWS_ENDPOINT_URL"] == endpoint


def test_a_bucket_that_is_addressed_by_its_host_is_so_for_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connect(monkeypatch, "https://oss.acme.example:9000", config_kwargs={"s3": {"addressing_style": "virtual"}})
    signed = hook.get_conn().generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})

    options = Table(f"s3://{BUCKET}/table", hook.storage_options())._options

    assert options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] == "true"
    assert signed.startswith(f"{options['AWS_ENDPOINT_URL']}/k?")

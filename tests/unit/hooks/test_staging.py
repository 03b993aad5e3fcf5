from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    TransientError,
    UnexpectedAnswer,
    UnsupportedTable,
    WriterConflict,
)
from airflow_provider_braze_blueconic.hooks.s3.uris import split_uri
from airflow_provider_braze_blueconic.hooks.staging import StagedObject, StagingHook
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sync.store.tables import Table
from tests.support.odd_server import OddServer, answer, closed_port
from tests.support.store import BUCKET, Store

SECRET = "planted-aws-secret"


def connect(monkeypatch: pytest.MonkeyPatch, endpoint: str, **extra: object) -> None:
    connection = {
        "conn_type": "aws",
        "login": "AKIAPLANTED",
        "password": SECRET,
        "extra": {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "config_kwargs": {"retries": {"total_max_attempts": 1}, "connect_timeout": 2, "read_timeout": 2},
            **extra,
        },
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def staging(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> StagingHook:
    connect(monkeypatch, s3_url)
    hook = StagingHook()
    hook.get_conn().create_bucket(Bucket="acme-sync")
    hook.delete(found.uri for found in hook.list_objects("s3://acme-sync/"))
    return hook


def s3_error(code: str, status: int) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("uri", "parts"), [("s3://b/k/l.parquet", ("b", "k/l.parquet")), ("s3://b", ("b", "")), ("s3://b/", ("b", ""))]
)
def test_address_is_split_into_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
    assert split_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "b/k", "gs://b/k", "s3:///k", "/tmp/x"])
def test_what_is_no_s3_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split_uri(uri)


def test_file_comes_back_as_it_was_uploaded_also_in_parts(staging: StagingHook, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000  # above 8 MiB, where boto begins to send parts
    (tmp_path / "up").write_bytes(content)

    sent = staging.upload_file(tmp_path / "up", "s3://acme-sync/work/file.parquet")
    received = staging.download_file("s3://acme-sync/work/file.parquet", tmp_path / "down")

    assert (sent, received) == (10_240_000, 10_240_000)
    assert (tmp_path / "down").read_bytes() == content
    assert staging.get_conn().head_object(Bucket="acme-sync", Key="work/file.parquet")["ETag"].endswith('-2"')


def test_listing_can_begin_in_the_middle(staging: StagingHook) -> None:
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        staging.write_bytes(f"s3://acme-sync/exports/{day}/a.gz", b"")

    found = staging.list_objects("s3://acme-sync/exports/", after="s3://acme-sync/exports/2026-11-02")

    assert [item.uri for item in found] == [
        "s3://acme-sync/exports/2026-11-02/a.gz",
        "s3://acme-sync/exports/2026-11-03/a.gz",
    ]


def listing(*keys: str, following: str = "") -> bytes:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>7</Size><LastModified>2026-11-23T02:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{following}</NextContinuationToken>"
    return f"<ListBucketResult>{more if following else ''}{entries}</ListBucketResult>".encode()


def test_listing_goes_beyond_one_page(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, server.url)
    xml = {"Content-Type": "application/xml"}
    server.on(
        "GET /acme-sync", answer(listing("p/a", "p/b", following="t-2"), 200, xml), answer(listing("p/c"), 200, xml)
    )

    found = StagingHook().list_objects("s3://acme-sync/p/")

    assert found == [
        StagedObject(f"s3://acme-sync/p/{name}", 7, datetime(2026, 11, 23, 2, tzinfo=UTC)) for name in "abc"
    ]
    assert [seen.query.get("continuation-token") for seen in server.seen] == [None, ["t-2"]]
    assert server.seen[0].query["prefix"] == ["p/"]


def test_listing_is_of_the_prefix_alone(staging: StagingHook) -> None:
    for key in ("runs/2", "runs/1", "runsheet"):
        staging.write_bytes(f"s3://acme-sync/{key}", b"x")

    found = staging.list_objects("s3://acme-sync/runs/")

    assert [one.uri for one in found] == ["s3://acme-sync/runs/1", "s3://acme-sync/runs/2"]


def test_deleting_goes_beyond_one_request_and_ignores_what_is_not_there(staging: StagingHook) -> None:
    staging.write_bytes("s3://acme-sync/a", b"1")

    staging.delete([*(f"s3://acme-sync/none/{number}" for number in range(1_100)), "s3://acme-sync/a"])

    assert staging.list_objects("s3://acme-sync/") == []


def test_object_that_is_written_only_if_absent_is_never_replaced(staging: StagingHook) -> None:
    first = staging.write_bytes("s3://acme-sync/once", b"first", if_absent=True)
    second = staging.write_bytes("s3://acme-sync/once", b"second", if_absent=True)

    assert (first, second) == (True, False)
    assert staging.read_bytes("s3://acme-sync/once") == b"first"
    assert staging.write_bytes("s3://acme-sync/once", b"third")
    assert staging.read_bytes("s3://acme-sync/once") == b"third"


def etag_of(staging: StagingHook, uri: str) -> str:
    (found,) = staging.list_objects(uri)
    return found.etag


def test_object_is_moved_in_the_version_that_is_meant(staging: StagingHook) -> None:
    uri = "s3://acme-sync/in/a.csv"
    staging.write_bytes(uri, b"read")

    assert staging.move_object(uri, f"{uri}.done", etag=etag_of(staging, uri))
    assert [found.uri for found in staging.list_objects("s3://acme-sync/in/")] == [f"{uri}.done"]
    assert staging.read_bytes(f"{uri}.done") == b"read"


def test_object_of_another_version_is_not_moved(staging: StagingHook) -> None:
    uri = "s3://acme-sync/in/a.csv"
    staging.write_bytes(uri, b"read")
    etag = etag_of(staging, uri)
    staging.write_bytes(uri, b"news")

    assert not staging.move_object(uri, f"{uri}.done", etag=etag)
    assert [found.uri for found in staging.list_objects("s3://acme-sync/in/")] == [uri]
    with pytest.raises(FileNotFoundError):
        staging.move_object("s3://acme-sync/in/none", "s3://acme-sync/in/none.done", etag=etag)


def test_object_that_changes_while_it_is_moved_stays_where_it_is(staging: StagingHook) -> None:
    uri = "s3://acme-sync/in/a.csv"
    staging.write_bytes(uri, b"read")
    etag = etag_of(staging, uri)
    client = staging.get_conn()
    other = StagingHook()
    client.meta.events.register("after-call.s3.CopyObject", lambda **_: other.write_bytes(uri, b"news") and None)
    staging.__dict__["_s3"] = SimpleNamespace(client=client)

    assert not staging.move_object(uri, f"{uri}.done", etag=etag)
    assert other.read_bytes(uri) == b"news"


def test_each_request_of_a_move_names_the_version(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, server.url)
    copied = b"<CopyObjectResult><ETag>&quot;v1&quot;</ETag></CopyObjectResult>"
    server.on("HEAD /acme-sync/a.csv", answer(b"", 200, {"ETag": '"v1"'}))
    server.on("PUT /acme-sync/a.csv.done", answer(copied, 200, {"Content-Type": "application/xml"}))
    server.on("DELETE /acme-sync/a.csv", answer(s3_error("PreconditionFailed", 412), 412))

    moved = StagingHook().move_object("s3://acme-sync/a.csv", "s3://acme-sync/a.csv.done", etag='"v1"')

    conditions = [
        {name.lower(): value for name, value in seen.headers.items() if "match" in name.lower()} for seen in server.seen
    ]
    assert not moved
    assert {"if-match": '"v1"'} in conditions
    assert {"x-amz-copy-source-if-match": '"v1"'} in conditions
    assert (server.seen[-1].method, conditions[-1]) == ("DELETE", {"if-match": '"v1"'})


def test_store_without_conditional_deletes_is_asked_for_a_plain_one(
    server: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, server.url)
    copied = b"<CopyObjectResult><ETag>&quot;v1&quot;</ETag></CopyObjectResult>"
    server.on("HEAD /acme-sync/a.csv", answer(b"", 200, {"ETag": '"v1"'}))
    server.on("PUT /acme-sync/a.csv.done", answer(copied, 200, {"Content-Type": "application/xml"}))
    server.on("DELETE /acme-sync/a.csv", answer(s3_error("NotImplemented", 501), 501), answer(b"", 204))

    assert StagingHook().move_object("s3://acme-sync/a.csv", "s3://acme-sync/a.csv.done", etag='"v1"')
    assert "if-match" not in {name.lower() for name in server.seen[-1].headers}


def test_missing_object_is_a_file_not_found(staging: StagingHook, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="s3://acme-sync/none"):
        staging.read_bytes("s3://acme-sync/none")
    with pytest.raises(FileNotFoundError, match="s3://acme-sync/none"):
        staging.download_file("s3://acme-sync/none", tmp_path / "x")


def test_access_to_a_bucket_is_checked_with_one_call(staging: StagingHook) -> None:
    staging.check_access("s3://acme-sync/prefix")

    with pytest.raises(AccessError, match=r"s3://not-there/x .*aws_default.*: the bucket doesn't exist"):
        staging.check_access("s3://not-there/x")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    running = Store()
    running.start()
    connect(monkeypatch, running.url)
    yield running
    running.stop()


def probes(store: Store) -> list[str]:
    keys = store.keys()
    return [key for key in keys if "probe" in key]


def test_a_store_that_ignores_conditions_is_refused_by_the_cause(store: Store) -> None:
    store.faults.add(Fault("s3", "unconditional_put"))

    for _ in range(2):
        with pytest.raises(AccessError, match="supports the condition If-None-Match"):
            StagingHook().check_access(f"s3://{BUCKET}/sync")

    assert store.keys() == []


def test_a_store_that_does_not_know_conditions_is_refused_by_the_cause(store: Store) -> None:
    store.faults.add(Fault("s3", "status", status=501, method="PUT"))

    with pytest.raises(AccessError, match="If-None-Match"):
        StagingHook().check_access(f"s3://{BUCKET}/sync")


def test_a_store_is_tried_once_and_leaves_only_a_mark(store: Store) -> None:
    StagingHook().check_access(f"s3://{BUCKET}/sync")
    before = store.keys()
    StagingHook().check_conditional_writes(f"s3://{BUCKET}/sync", remember=True)
    left = store.keys()
    store.faults.add(Fault("s3", "status", status=403, method="PUT"))

    StagingHook().check_access(f"s3://{BUCKET}/sync/")

    assert (before, left) == ([], ["sync/~store/conditional-writes.json"])


def test_a_folder_that_moved_to_another_store_is_tried_again(store: Store) -> None:
    for mark in (b'{"endpoint": "of another store"}', b"spoilt", b"[]"):
        store.client().put_object(Bucket=BUCKET, Key="sync/~store/conditional-writes.json", Body=mark)
        store.faults.clear()
        store.faults.add(Fault("s3", "unconditional_put"))

        with pytest.raises(AccessError, match="If-None-Match"):
            StagingHook().check_access(f"s3://{BUCKET}/sync")


def test_a_lost_answer_is_not_taken_for_a_store_that_ignores_conditions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, store.url, config_kwargs={"retries": {"total_max_attempts": 3}, "read_timeout": 5})
    store.faults.add(Fault("s3", "reset_after", path=f"/{BUCKET}/sync/~store/probe*", method="PUT", times=1))

    StagingHook().check_access(f"s3://{BUCKET}/sync")

    assert probes(store) == []


def test_a_bucket_that_is_only_read_is_not_written_to(store: Store) -> None:
    store.faults.add(Fault("s3", "status", status=403, method="PUT"))

    StagingHook().check_access(f"s3://{BUCKET}/exports", read_only=True)

    assert store.keys() == []


def test_upload_into_a_bucket_that_is_not_there_says_so(staging: StagingHook, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x")

    with pytest.raises(AccessError, match="the bucket doesn't exist"):
        staging.upload_file(tmp_path / "up", "s3://not-there/x")


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("NoSuchBucket", 404, AccessError, "bucket doesn't exist"),
        ("AccessDenied", 403, AccessError, "have permission"),
        ("InvalidAccessKeyId", 403, AccessError, "access key id doesn't exist"),
        ("SignatureDoesNotMatch", 403, AccessError, "secret access key doesn't match"),
        ("ExpiredToken", 400, AccessError, "session token has expired"),
        ("AuthorizationHeaderMalformed", 400, AccessError, "region is wrong"),
        ("SlowDown", 503, TransientError, "busy"),
        ("InternalError", 500, TransientError, "busy"),
        ("SomethingNew", 418, UnexpectedAnswer, "SomethingNew"),
    ],
)
@pytest.mark.promise(8)
def test_refusals_of_s3_are_one_sentence_without_secrets(
    code: str,
    status: int,
    kind: type[Exception],
    words: str,
    server: OddServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(monkeypatch, server.url)
    xml = {"Content-Type": "application/xml"}
    server.on("GET /acme-sync", answer(s3_error(code, status), status, xml))
    server.on("PUT /acme-sync/k", answer(s3_error(code, status), status, xml))
    (tmp_path / "up").write_bytes(b"x")
    hook = StagingHook()

    with pytest.raises(kind, match=words) as listing:
        hook.check_access("s3://acme-sync/k")
    with pytest.raises(kind, match=words):
        hook.write_bytes("s3://acme-sync/k", b"x")
    with pytest.raises(kind, match=words):
        hook.upload_file(tmp_path / "up", "s3://acme-sync/k")

    assert SECRET not in str(listing.value)
    assert listing.value.__cause__ is None


def test_endpoint_that_is_not_there_is_an_access_error(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(AccessError, match=r"endpoint can't be reached .* Check the endpoint_url"):
        StagingHook().check_access("s3://acme-sync/k")


def test_endpoint_that_is_no_address_is_an_access_error(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "isn't a valid address")

    with pytest.raises(AccessError, match="connection is invalid"):
        StagingHook().check_access("s3://acme-sync/k")


def test_storage_options_carry_the_connection_to_delta_rs(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "http://127.0.0.1:9000", region_name="eu-west-1", aws_session_token="token-1")

    assert StagingHook().storage_options() == {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAPLANTED",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "token-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "AWS_ALLOW_HTTP": "true",
    }


def test_storage_options_of_plain_amazon_have_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT",
        json.dumps(
            {"conn_type": "aws", "login": "AKIAPLANTED", "password": SECRET, "extra": {"region_name": "eu-west-1"}}
        ),
    )

    assert set(StagingHook().storage_options()) == {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_storage_options_of_an_assumed_role_are_the_roles(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        s3_url,
        role_arn="arn:aws:iam::123456789012:role/sync",
        service_config={"sts": {"endpoint_url": s3_url}},
    )

    options = StagingHook().storage_options()

    assert options["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert options["AWS_SECRET_ACCESS_KEY"] != SECRET
    assert options["AWS_SESSION_TOKEN"]


def test_missing_credentials_are_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws", "extra": {"region_name": "eu-west-1"}}')

    with pytest.raises(AccessError, match="no credentials"):
        StagingHook().storage_options()
    with pytest.raises(AccessError, match="no credentials"):
        StagingHook().check_access("s3://acme-sync/k")


def test_delta_tables_open_with_the_storage_options(staging: StagingHook) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    options = staging.storage_options()

    write_deltalake("s3://acme-sync/ledger", pa.table({"external_id": ["u1"]}), storage_options=options)

    assert DeltaTable("s3://acme-sync/ledger", storage_options=options).version() == 0


def kept_table() -> Table:
    return Table(f"s3://{BUCKET}/goal/ledger", StagingHook().storage_options())


def add_row(value: int) -> None:
    kept_table().append(pa.table({"a": [value]}), transactions={"row": value})


def history() -> set[str]:
    table = kept_table().open()
    assert table is not None
    return {value for name, value in table.metadata().configuration.items() if "RetentionDuration" in name}


def test_a_table_in_s3_keeps_the_history_that_it_is_told(store: Store) -> None:
    # With deltalake's own call this would never end: it keeps Python's lock, and the store is in this process.
    add_row(1)

    for days in (25, 25, 30):
        kept_table().keep_history(days, StagingHook())

    assert history() == {"interval 30 days"}
    assert (kept_table().version, kept_table().transaction("row")) == (2, 1)


def test_a_changed_history_whose_answer_was_lost_is_known_to_be_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_row(1)
    connect(monkeypatch, store.url, config_kwargs={"retries": {"total_max_attempts": 3}, "read_timeout": 5})
    store.faults.add(Fault("s3", "reset_after", path="*/_delta_log/*1.json", method="PUT", times=1))

    kept_table().keep_history(25, StagingHook())

    assert (history(), kept_table().version) == ({"interval 25 days"}, 1)


def test_a_history_that_another_writer_overtakes_changes_nothing(store: Store) -> None:
    add_row(1)
    slow = kept_table()
    slow.open()
    add_row(2)

    with pytest.raises(WriterConflict, match="this one changed nothing"):
        slow.keep_history(25, StagingHook())

    assert (history(), kept_table().transaction("row")) == (set(), 2)


def test_a_feature_of_a_table_in_s3_that_delta_rs_can_t_open_is_named(store: Store) -> None:
    add_row(1)
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timeless"]}
    commit = json.dumps({"protocol": {**protocol, "writerFeatures": ["timeless"]}}).encode()
    store.client().put_object(Bucket=BUCKET, Key=f"goal/ledger/_delta_log/{1:020d}.json", Body=commit)

    with pytest.raises(UnsupportedTable, match=f"timeless from s3://{BUCKET}/goal/ledger"):
        kept_table().open()

"""Segment exports: what is refused, which files appear when and where, and what is in them."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from airflow_provider_braze_blueconic.sandbox.braze.export_requests import ExportRequest
from airflow_provider_braze_blueconic.sandbox.braze.exports import ExportRefused, SegmentExports
from airflow_provider_braze_blueconic.sandbox.braze.keys import READ_ONLY_API_KEY
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.braze.workspace import SEGMENTS, Segment, segment_id
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import make_people
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import braze_headers, running_sandbox

_BUCKET = "sandbox-braze-exports"
_PATH = "/users/export/segment"
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ALL, _CRM, _, _EMPTY = SEGMENTS[:4]


class _Bucket:
    """Stands in for the S3 client; keeps what was put, in order.

    :param hold: when given, a part is only taken once this is set.
    """

    def __init__(self, *, hold: threading.Event | None = None, error: Exception | None = None) -> None:
        self.puts: list[tuple[str, bytes]] = []
        self._hold = hold
        self._error = error

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - boto3's names
        assert Bucket == _BUCKET
        if self._hold is not None:
            assert self._hold.wait(10)
        if self._error is not None:
            raise self._error
        self.puts.append((Key, Body))

    def parts(self, prefix: str) -> list[tuple[str, list[bytes]]]:
        """Return keys and lines of an export's parts, in order of appearance."""
        return [(key, _lines(body)) for key, body in self.puts if f"/{prefix}/" in key]


class _Workspace:
    """A Braze without servers."""

    def __init__(self, users: int = 10, *, bucket: _Bucket | None = None, seed: int = 1, **settings: Any) -> None:
        self.now = _NOW
        self.faults = Faults()
        self.faults.braze = replace(self.faults.braze, **{"export_seconds": 0.0, **settings})
        self.bucket = bucket or _Bucket()
        self.state = BrazeState(seed=seed, faults=self.faults, clock=lambda: self.now)
        for number in range(users):
            self.state.add({"first_name": f"n{number}", "home_city": "Ede"}, external_id=f"crm-{number:03d}")
        self.exports = SegmentExports(
            self.state, faults=self.faults, client=lambda: self.bucket, seed=seed, clock=lambda: self.now
        )

    def export(self, segment: Segment = _ALL, **request: Any) -> str:
        """Run an export to its end and return its prefix."""
        prefix = self.exports.start(ExportRequest(segment, **{"fields": ("external_id",), **request}))
        assert self.exports.wait()
        return prefix


def _lines(body: bytes) -> list[bytes]:
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            body = b"".join(archive.read(name) for name in archive.namelist())
    else:
        body = gzip.decompress(body)
    assert not body or body.endswith(b"\n")
    return body.split(b"\n")[:-1]


def _users(parts: list[tuple[str, list[bytes]]]) -> list[dict[str, Any]]:
    return [json.loads(line) for _, lines in parts for line in lines]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """For tests that only read, or are refused."""
    with running_sandbox(profiles=20) as running:
        yield running


def _post(box: Sandbox, document: Any, *, key: str | None = None) -> requests.Response:
    headers = braze_headers(key) if key else braze_headers()
    return requests.post(f"{box.braze_url}{_PATH}", json=document, headers=headers, timeout=10)


def _wish(**more: Any) -> dict[str, Any]:
    return {"segment_id": segment_id("All users"), "fields_to_export": ["external_id"], **more}


# What is refused


@pytest.mark.parametrize(
    ("document", "named"),
    [
        pytest.param(_wish(segment_id="nothing"), "segment_id", id="unknown segment"),
        pytest.param(_wish(segment_id=None), "segment_id", id="no segment"),
        pytest.param(_wish(segment_id=["a"]), "segment_id", id="segment is a list"),
        pytest.param(_wish(fields_to_export=None), "fields_to_export", id="no fields"),
        pytest.param(_wish(fields_to_export=[]), "fields_to_export", id="empty list of fields"),
        pytest.param(_wish(fields_to_export="email"), "fields_to_export", id="fields are a text"),
        pytest.param(_wish(fields_to_export=[{}]), "fields_to_export", id="field is an object"),
        pytest.param(_wish(fields_to_export=["email", "shoe_size"]), "shoe_size", id="unknown field"),
        pytest.param(_wish(fields_to_export=["subscription_groups"]), "subscription_groups", id="never exported"),
        pytest.param(
            _wish(custom_attributes_to_export=[f"a{n}" for n in range(501)]), "at most 500", id="501 attributes"
        ),
        pytest.param(_wish(custom_attributes_to_export="tags"), "list", id="attributes are a text"),
        pytest.param(_wish(output_format="csv"), "output_format", id="unknown format"),
    ],
)
def test_wish_that_makes_no_sense_is_refused(box: Sandbox, document: dict[str, Any], named: str) -> None:
    answer = _post(box, document)

    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert box.counters()["exports"] == {}


def test_key_needs_the_permission_to_export_segments() -> None:
    with running_sandbox(profiles=20) as box:
        keys = {"lists": ("segments.list",), "exports": ("users.export.segment",)}
        box.faults.braze = replace(box.faults.braze, keys=keys)

        assert _post(box, _wish(), key="lists").status_code == 403
        assert _post(box, _wish(), key="exports").status_code == 201


def test_second_export_of_a_segment_is_refused_until_the_last_part_is_written() -> None:
    hold = threading.Event()
    workspace = _Workspace(bucket=_Bucket(hold=hold))
    workspace.exports.start(ExportRequest(_ALL, fields=("email",)))

    with pytest.raises(ExportRefused, match="already"):
        workspace.exports.start(ExportRequest(_ALL, fields=("email",)))
    other = workspace.exports.start(ExportRequest(_CRM, fields=("email",)))
    hold.set()
    assert workspace.exports.wait()
    workspace.export(_ALL)

    assert workspace.bucket.parts(other)
    assert workspace.exports.counts() == {_ALL.id: 2, _CRM.id: 1}


def test_exports_at_once_are_limited() -> None:
    hold = threading.Event()
    workspace = _Workspace(bucket=_Bucket(hold=hold), exports_at_once=2)
    for segment in (_ALL, _CRM):
        workspace.exports.start(ExportRequest(segment, fields=("email",)))

    with pytest.raises(ExportRefused, match="2 segment exports are running"):
        workspace.exports.start(ExportRequest(_EMPTY, fields=("email",)))

    hold.set()
    assert workspace.exports.wait()


def test_refusal_over_http_is_a_429_whose_headers_leave_requests(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, export_seconds=60)
    wish = _wish(segment_id=segment_id("Newsletter subscribers"))

    first, second = _post(box, wish), _post(box, wish)

    assert (first.status_code, second.status_code) == (201, 429)
    assert "already" in second.json()["message"]
    assert int(second.headers["x-ratelimit-remaining"]) > 0
    assert requests.get(f"{box.braze_url}/sandbox/requests", timeout=10).json()["exports"] == {wish["segment_id"]: 1}


def test_sandbox_stops_at_once_in_the_middle_of_an_export() -> None:
    before = set(threading.enumerate())

    with running_sandbox(profiles=20) as box:
        box.faults.braze = replace(box.faults.braze, export_seconds=3600)
        _post(box, _wish())

    assert not [each for each in set(threading.enumerate()) - before if each.name.startswith("sandbox-")]


# Where and when the parts appear


def test_answer_names_a_prefix_under_which_the_parts_appear_in_the_bucket() -> None:
    with running_sandbox(profiles=20) as box:
        answer = _post(box, _wish(output_format="gzip"))
        assert box.exports.wait()
        client = box.s3_client()
        keys = [each["Key"] for each in client.list_objects_v2(Bucket=_BUCKET)["Contents"]]

        prefix = answer.json()["object_prefix"]
        assert answer.json() == {"message": "success", "object_prefix": prefix}
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d{10}", prefix)
        [key] = [each for each in keys if f"/{prefix}/" in each]
        place = rf"segment-export/{segment_id('All users')}/\d{{4}}-\d\d-\d\d/{prefix}/[0-9a-f]{{32}}\.gz"
        assert re.fullmatch(place, key)
        lines = _lines(client.get_object(Bucket=_BUCKET, Key=key)["Body"].read())
        expected = [{"external_id": user["external_id"]} for user in box.braze.users() if "external_id" in user]
        assert [user for user in map(json.loads, lines) if user] == expected


def test_prefix_ends_with_the_unix_seconds_of_the_request() -> None:
    assert _Workspace().export().rpartition("-")[2] == str(int(_NOW.timestamp()))


@pytest.mark.parametrize(
    ("request_format", "ending", "magic"), [("zip", "zip", b"PK\x03\x04"), ("gzip", "gz", b"\x1f\x8b")]
)
def test_parts_come_in_the_format_that_was_asked_for(request_format: str, ending: str, magic: bytes) -> None:
    workspace = _Workspace()

    prefix = workspace.export(format=request_format)

    [(key, body)] = [(key, body) for key, body in workspace.bucket.puts if prefix in key]
    assert key.endswith(f".{ending}")
    assert body.startswith(magic)


def test_zip_is_the_default_and_may_hold_several_files() -> None:
    workspace = _Workspace(export_zip_entries=3)

    prefix = workspace.export()

    [body] = [body for key, body in workspace.bucket.puts if prefix in key]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert len(archive.namelist()) == 3
        assert all(name.endswith(".json") for name in archive.namelist())
    assert len(_users(workspace.bucket.parts(prefix))) == 10


def test_users_are_spread_over_parts() -> None:
    workspace = _Workspace(export_users_per_part=4)

    parts = workspace.bucket.parts(workspace.export())

    assert [len(lines) for _, lines in parts] == [4, 4, 2]
    assert [user["external_id"] for user in _users(parts)] == [f"crm-{number:03d}" for number in range(10)]


def test_parts_can_appear_out_of_order() -> None:
    def order(seed: int) -> list[str]:
        workspace = _Workspace(seed=seed, export_users_per_part=1, export_shuffled=True)
        return [user["external_id"] for user in _users(workspace.bucket.parts(workspace.export()))]

    assert order(1) == order(1)
    assert order(1) != sorted(order(1))
    assert sorted(order(1)) == sorted(order(2)) == [f"crm-{number:03d}" for number in range(10)]


@pytest.mark.parametrize(
    ("users", "days"), [(10, ["2026-03-01", "2026-03-02", "2026-03-02"]), (4, ["2026-03-02"])], ids=["three", "one"]
)
def test_later_parts_can_stand_in_the_folder_of_the_next_day(users: int, days: list[str]) -> None:
    workspace = _Workspace(users, export_users_per_part=4, export_across_midnight=True)

    parts = workspace.bucket.parts(workspace.export())

    assert [key.split("/")[2] for key, _ in parts] == days


def test_parts_can_stand_below_a_root() -> None:
    workspace = _Workspace(export_root="braze/eu")

    prefix = workspace.export()

    keys = [key for key, _ in workspace.bucket.puts]
    assert all(key.startswith(f"braze/eu/segment-export/{_ALL.id}/") for key in keys)
    assert len(workspace.bucket.parts(prefix)) == 1


def test_last_part_can_grow() -> None:
    workspace = _Workspace(export_users_per_part=5, export_grows=True)

    parts = workspace.bucket.parts(workspace.export())

    assert [len(lines) for _, lines in parts] == [5, 2, 5]
    assert parts[1][0] == parts[2][0] != parts[0][0]


def test_last_part_can_be_late() -> None:
    workspace = _Workspace(export_users_per_part=5, export_late_s=3600)

    prefix = workspace.exports.start(ExportRequest(_ALL, fields=("external_id",)))

    _until(lambda: len(workspace.bucket.parts(prefix)) == 1)
    with pytest.raises(ExportRefused):
        workspace.exports.start(ExportRequest(_ALL, fields=("external_id",)))
    workspace.exports.stop()
    assert len(workspace.bucket.parts(prefix)) == 1


def test_export_that_never_comes_ends_without_a_file() -> None:
    workspace = _Workspace(export_never=True)

    prefix = workspace.export()

    assert workspace.bucket.parts(prefix) == []
    assert workspace.exports.counts() == {_ALL.id: 1}
    workspace.faults.braze = replace(workspace.faults.braze, export_never=False)
    assert workspace.bucket.parts(workspace.export())


def test_bucket_that_refuses_ends_the_export_silently() -> None:
    workspace = _Workspace(bucket=_Bucket(error=ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")))

    workspace.export()

    assert workspace.bucket.puts == []


@pytest.mark.parametrize(
    ("lost", "empty_part", "users"),
    [(0, False, [4, 4, 2]), (1, False, [4, 4]), (2, False, [4]), (9, False, []), (9, True, [0])],
)
def test_export_that_breaks_off_lacks_its_last_parts(lost: int, empty_part: bool, users: list[int]) -> None:
    workspace = _Workspace(export_users_per_part=4, export_lost_parts=lost, export_empty_part=empty_part)

    prefix = workspace.export()

    assert [len(lines) for _, lines in workspace.bucket.parts(prefix)] == users


@pytest.mark.parametrize(("empty_part", "parts"), [(False, 0), (True, 1)])
def test_empty_segment_gives_no_part_or_an_empty_one(empty_part: bool, parts: int) -> None:
    workspace = _Workspace(export_empty_part=empty_part)

    prefix = workspace.export(_EMPTY)

    assert [lines for _, lines in workspace.bucket.parts(prefix)] == [[]] * parts


def test_older_exports_and_a_dashboard_file_stand_in_the_same_tree() -> None:
    workspace = _Workspace()

    prefix = workspace.export(fields=("external_id", "first_name"))
    workspace.export(fields=("external_id", "first_name"))

    foreign = [(key, body) for key, body in workspace.bucket.puts[:3] if prefix not in key]
    shapes = [re.sub(r"[0-9a-f-]{36}-\d+|[0-9a-f]{12,}", "*", key.split("/", 2)[2]) for key, _ in foreign]
    assert shapes == ["2026-03-01/*/*.gz", "2026-02-27/*/*.zip", "2026-03-01/users-*.zip"]
    older = [json.loads(line) for line in _lines(foreign[0][1])]
    assert {user["first_name"] for user in older} == {"Outdated", "Gone"}
    assert "crm-gone-0" in {user["external_id"] for user in older}
    assert _lines(foreign[2][1])[0] == b"external_id,first_name"
    assert len(workspace.bucket.puts) == 3 + 2


# What is in them


def test_line_holds_only_what_was_asked_for_and_has_a_value() -> None:
    state = BrazeState(make_people(1, seed=1), seed=1, clock=lambda: _NOW)
    workspace = _Workspace(0)
    workspace.exports = SegmentExports(state, faults=workspace.faults, client=lambda: workspace.bucket)
    state.add(
        {"first_name": "Zoë", "total_revenue": 0, "custom_attributes": {"tags": ["a"], "x": False, "y": 1}},
        external_id="crm-a",
        aliases=[("n", "l")],
    )
    fields = ("created_at", "external_id", "user_aliases", "first_name", "gender", "total_revenue", "devices")

    parts = workspace.bucket.parts(workspace.export(_CRM, fields=fields, attributes=("x", "tags", "none")))

    assert "Zoë".encode() in parts[0][1][-1]
    assert _users(parts)[-1] == {
        "created_at": "2026-03-01 12:00:00.000 UTC",
        "external_id": "crm-a",
        "user_aliases": [{"alias_name": "n", "alias_label": "l"}],
        "first_name": "Zoë",
        "total_revenue": 0,
        "custom_attributes": {"x": False, "tags": ["a"]},
    }


def test_names_of_attributes_are_ignored_when_all_are_asked_for() -> None:
    with running_sandbox(profiles=20) as box:
        box.braze.add({"custom_attributes": {"x": 1, "y": 2}}, external_id="crm-zzz")
        wish = _wish(
            fields_to_export=["external_id", "custom_attributes"],
            custom_attributes_to_export=["x"] * 501,
            output_format="gzip",
        )

        prefix = _post(box, wish).json()["object_prefix"]

        assert box.exports.wait()
        client = box.s3_client()
        [key] = [each["Key"] for each in client.list_objects_v2(Bucket=_BUCKET)["Contents"] if prefix in each["Key"]]
        users = [json.loads(line) for line in _lines(client.get_object(Bucket=_BUCKET, Key=key)["Body"].read())]
        assert users[-1] == {"external_id": "crm-zzz", "custom_attributes": {"x": 1, "y": 2}}


def test_segment_decides_who_is_exported() -> None:
    workspace = _Workspace(3)
    workspace.state.add({"email_subscribe": "opted_in"}, external_id="app-1")
    workspace.state.add({}, aliases=[("n", "l")])

    exported = {
        segment.name: [user.get("external_id") for user in _users(workspace.bucket.parts(workspace.export(segment)))]
        for segment in SEGMENTS[:4]
    }

    assert exported == {
        "All users": ["crm-000", "crm-001", "crm-002", "app-1", None],
        "BlueConic Test Users": ["crm-000", "crm-001", "crm-002"],
        "Newsletter subscribers": ["app-1"],
        "Empty segment": [],
    }


def test_user_can_occur_twice_the_outdated_line_first() -> None:
    workspace = _Workspace(export_users_per_part=5, export_duplicates=4)

    parts = workspace.bucket.parts(workspace.export(fields=("external_id", "first_name", "home_city")))

    users = _users(parts)
    last = {user["external_id"]: user for user in users}
    assert len(users) == 14
    assert len(last) == 10
    assert {user["home_city"] for user in last.values()} == {"Ede"}
    outdated = [user["external_id"] for user in users if user["home_city"] == "Yesterville"]
    assert len(outdated) == 2
    places = {
        user: [place for place, (_, lines) in enumerate(parts) for line in lines if user.encode() in line]
        for user in last
    }
    assert all(places[user][0] == places[user][1] for user in outdated)
    assert sum(len(set(each)) == 2 for each in places.values()) == 2


def test_lines_can_be_broken_on_top_of_the_good_ones() -> None:
    workspace = _Workspace(export_users_per_part=5, export_broken_lines=4)

    parts = workspace.bucket.parts(workspace.export())

    lines = [line for _, lines in parts for line in lines]
    good, not_text = [], 0
    for line in lines:
        try:
            good.append(json.loads(line))
        except UnicodeDecodeError:
            not_text += 1
        except ValueError:
            continue
    assert (len(lines), len(good), not_text) == (14, 10, 2)


def test_part_shows_users_as_they_are_when_it_is_written() -> None:
    hold = threading.Event()
    workspace = _Workspace(bucket=_Bucket(hold=hold), export_seconds=0.0)
    prefix = workspace.exports.start(ExportRequest(_ALL, fields=("external_id", "home_city")))

    workspace.state.change("crm-009", {"home_city": "Zwolle"})  # the bucket still holds back what stood there before
    hold.set()

    assert workspace.exports.wait()
    assert _users(workspace.bucket.parts(prefix))[9] == {"external_id": "crm-009", "home_city": "Zwolle"}


# Without a bucket of one's own


def test_without_a_bucket_the_answer_has_an_address() -> None:
    with running_sandbox(profiles=20) as box:
        box.faults.braze = replace(box.faults.braze, own_storage=False)

        assert set(_post(box, _wish()).json()) == {"message", "object_prefix", "url"}


def test_without_a_bucket_nothing_is_written() -> None:
    workspace = _Workspace(own_storage=False)

    workspace.export()

    assert workspace.bucket.puts == []


def test_read_only_key_may_export(box: Sandbox) -> None:
    answer = _post(box, _wish(segment_id=segment_id("Empty segment")), key=READ_ONLY_API_KEY)

    assert answer.status_code == 201


def _until(condition: Callable[[], bool]) -> None:
    ends = threading.Event()
    for _ in range(1000):
        if condition():
            return
        ends.wait(0.01)
    raise AssertionError("the condition did not come true within ten seconds")

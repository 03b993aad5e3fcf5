"""The hooks read the vendors' documents one way, the sandbox was written from them by another hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError
from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import modified_between
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_LIMITS
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.blueconic.objects import BODY_AFTER, BODY_BEFORE
from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing, Rate
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing
from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.sending.upload import Upload
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from tests.support.sandbox import sandbox, use_connections  # noqa: F401  a fixture is used by its name
from tests.support.targets import ReceiptFiles, in_rows

PROFILES = "/rest/v2/segments/*/profiles"


@pytest.fixture
def box(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:  # noqa: F811
    use_connections(sandbox, monkeypatch)
    return sandbox


def member_ids(hook: BlueConicHook, **options: object) -> list[str]:
    segment = hook.resolve_segment("VIP customers")
    pages = hook.iter_segment_profiles(segment.id, **{"properties": ["email"], "page_size": 30, **options})  # type: ignore[arg-type]
    return [profile["id"] for page in pages for profile in page.profiles]


def send(hook: BrazeHook, *people: dict[str, object]) -> Reply:
    async def once() -> Reply:
        async with hook.track_sender() as sender:
            return await sender.send(json.dumps({"attributes": people}).encode())

    return asyncio.run(once())


def person(name: str, **fields: object) -> dict[str, object]:
    return {"external_id": name, "_update_existing_only": False, **fields}


def test_every_member_is_read_once_with_the_properties_asked_for(box: Sandbox) -> None:
    hook = BlueConicHook()
    segment = hook.resolve_segment("VIP customers")

    pages = list(
        hook.iter_segment_profiles(segment.id, properties=["email"], expand=["permissions", "segments"], page_size=30)
    )

    profiles = [profile for page in pages for profile in page.profiles]
    assert len({profile["id"] for profile in profiles}) == len(profiles) == segment.profile_count == 200
    assert {entry["id"] for profile in profiles for entry in profile["properties"]} == {"email"}
    assert all(profile["permissions"]["level"] for profile in profiles)
    assert all(segment.id in {each["id"] for each in profile["segments"]} for profile in profiles)
    assert {page.total_results for page in pages} == {200}


@pytest.mark.promise(6)
def test_read_of_a_segment_is_complete_whatever_breaks_on_the_way(box: Sandbox) -> None:
    expected = member_ids(BlueConicHook(), page_size=10)
    box.faults.add(
        Fault("blueconic", "broken_stream", path=PROFILES, every=5),
        Fault("blueconic", "truncated_stream", path=PROFILES, skip=1, every=5),
        Fault("blueconic", "token_expired", path=PROFILES, skip=3, every=7),
        Fault("blueconic", "status", path=PROFILES, skip=4, every=9, status=503),
        Fault("blueconic", "reset_after", path=PROFILES, skip=7, every=11),
    )

    found = member_ids(BlueConicHook(sleep=lambda _: None), page_size=10)

    assert found == expected
    assert all(fault["hits"] for fault in box.faults.describe())


def test_changes_since_a_moment_are_read_alone(box: Sandbox) -> None:
    before = datetime.now(UTC)
    summary = box.next_day(changed=0.05, entered=0.0, left=0.0)

    changed = member_ids(BlueConicHook(), refinement=modified_between(before, datetime.now(UTC) + timedelta(days=2)))

    assert 0 < len(changed) < 200, summary


def test_tenant_that_refuses_the_refinement_is_told_to_read_in_full(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, refused_refinements=("lastmodifieddate",))
    now = datetime.now(UTC)

    with pytest.raises(GoalError, match="Set read: full"):
        member_ids(BlueConicHook(), refinement=modified_between(now - timedelta(days=1), now))


def test_missing_scope_is_named(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, scopes=("read:segments",))

    with pytest.raises(AccessError, match='"read:objectives"'):
        BlueConicHook().list_objectives()


def test_names_of_blueconic_are_listed(box: Sandbox) -> None:
    hook = BlueConicHook()

    assert {found.id for found in hook.list_profile_properties()} >= {"email"}
    assert {found.id for found in hook.list_objectives()} >= {"newsletter"}
    assert {"dia-welcome", "var-welcome-a"} <= set(hook.interaction_names())


def test_names_of_braze_are_listed(box: Sandbox) -> None:
    hook = BrazeHook()
    send(hook, *[person("u-1", **{f"attribute_{number:02}": number}) for number in range(60)])

    segments = hook.list_segments()
    campaigns = hook.list_campaigns()
    names = [attribute.name for attribute in hook.list_custom_attributes()]

    assert hook.segment_details(segments[0].id)["name"] == segments[0].name
    assert hook.campaign_details(campaigns[0].id)["name"] == campaigns[0].name
    assert set(names) >= {f"attribute_{number:02}" for number in range(60)}
    assert len(names) == len(set(names))


def test_connections_are_tested_with_one_call(box: Sandbox) -> None:
    results = [BrazeHook().test_connection(), BlueConicHook().test_connection()]

    assert [ok for ok, _ in results] == [True, True]
    assert all("segments" in message for _, message in results)


@pytest.mark.promise(3)
def test_sender_tells_the_refused_from_the_taken(box: Sandbox) -> None:
    reply = send(
        BrazeHook(),
        person("u-1", first_name="Ada"),
        person("u-2", email="no address"),
        person("u-3", first_name="Grace"),
        person("u-4", email_subscribe="maybe"),
    )

    assert reply.verdict is Verdict.READ_ENTRIES
    assert [refusal.position for refusal in reply.refusals] == [1, 3]
    assert "x-ratelimit-remaining" in reply.headers


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault("braze", "status", status=429), Verdict.WAIT),
        (Fault("braze", "status", status=500), Verdict.RETRY),
        (Fault("braze", "status_after", status=504), Verdict.UNKNOWN),
        (Fault("braze", "html", status=200), Verdict.UNKNOWN),
        (Fault("braze", "html", status=502), Verdict.RETRY),
        (Fault("braze", "cut_body"), Verdict.UNKNOWN),
        (Fault("braze", "reset_before"), Verdict.UNKNOWN),
        (Fault("braze", "reset_after"), Verdict.UNKNOWN),
        (Fault("braze", "broken_stream", at_bytes=5), Verdict.UNKNOWN),
        (Fault("braze", "poison", identifiers=("u-1",)), Verdict.SPLIT),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_faults_of_the_network_get_a_safe_verdict(fault: Fault, verdict: Verdict, box: Sandbox) -> None:
    box.faults.add(fault)

    assert send(BrazeHook(), person("u-1"), person("u-2")).verdict is verdict


def add_to_revenue(box: Sandbox, folder: Path, *crm_ids: str, city: str | None = None) -> dict[str, list[str]]:
    """Upload an addition of 1, and a city, to people.

    :return: outcome → who.
    """
    records = []
    for number, crm_id in enumerate(crm_ids):
        rules = [{"id": "braze_revenue", "values": ["1"], "strategy": "INCREMENT"}]
        rules += [{"id": "city", "values": [city], "strategy": "SET"}] if city else []
        entry = {
            "identifier": f"k{number}", "strategy": "UPDATE", "matching": [[{"id": "crm_id", "value": crm_id}]],
            "triggerOnPropertyChange": False, "properties": rules,
        }  # fmt: skip
        body = json.dumps(entry, separators=(",", ":")).encode()
        records.append(Outgoing(json.dumps({"braze_id": crm_id}), body, repeatable=False))
    files = ReceiptFiles(folder)
    receipts = PartReceipts(folder / "local", attempt="a", publish=files.publish)

    async def send_all() -> None:
        async with BlueConicHook().profiles_sender(sums=SumWord("INCREMENT")) as sender:
            settings = UploadSettings(PROFILES_LIMITS, BODY_BEFORE, BODY_AFTER)
            await Upload(sender, Pacing(Rate(100, 1.0, counted=False)), receipts, settings).run(in_rows(records))

    asyncio.run(send_all())
    told: dict[str, list[str]] = {}
    for row in files.rows():
        if row["outcome"] not in ("intended", "withdrawn"):
            told.setdefault(row["outcome"], []).append(json.loads(row["identifier"])["braze_id"])
    return told


def revenues(box: Sandbox, crm_id: str) -> list[str | None]:
    found = [box.blueconic.profiles[each].values for each in sorted(box.blueconic.look_up("crm_id", crm_id))]
    return [values.get("braze_revenue", [None])[0] for values in found]


@pytest.mark.promise(3)
def test_numbers_are_added_to_in_a_tenant_that_ignores_the_word_it_does_not_know(box: Sandbox, tmp_path: Path) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, sum_strategy="SUM", unknown_sum="ignored")

    told = add_to_revenue(box, tmp_path, "crm-0000002", "crm-0000005")

    assert told == {"accepted": ["crm-0000002", "crm-0000005"]}
    assert (revenues(box, "crm-0000002"), revenues(box, "crm-0000005")) == (["1"], ["1"])


@pytest.mark.promise(3)
def test_a_number_that_blueconic_leaves_as_it_was_under_either_word_is_reported(box: Sandbox, tmp_path: Path) -> None:
    box.faults.add(
        Fault(
            "blueconic", "entry_state", method="PUT", identifiers=("crm-0000002",), state="UNCHANGED", entry_share=0.0
        )
    )

    told = add_to_revenue(box, tmp_path, "crm-0000002")

    assert told == {"rejected": ["crm-0000002"]}
    assert box.counters()["bulk"]["requests"] == 2
    assert revenues(box, "crm-0000002") == [None]


@pytest.mark.promise(2)
def test_a_number_that_one_of_two_profiles_took_is_held(box: Sandbox, tmp_path: Path) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, several_matches="all")
    box.blueconic.add({"crm_id": ["crm-0000002"], "braze_revenue": ["not known"]}, id="zz-twin")

    told = add_to_revenue(box, tmp_path, "crm-0000002", "crm-0000005", city="Ede")

    assert told == {"unknown": ["crm-0000002"], "accepted": ["crm-0000005"]}
    assert revenues(box, "crm-0000002") == ["1", "not known"]


def test_key_without_the_permission_ends_the_run(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "braze", "host": box.braze_url, "password": "sandbox-braze-key-read-only"}
    monkeypatch.setenv("AIRFLOW_CONN_BRAZE_DEFAULT", json.dumps(connection))

    reply = send(BrazeHook(), person("u-1"))

    assert reply.verdict is Verdict.STOP
    assert '"users.track"' in reply.sentence


def test_staging_bucket_can_be_used(box: Sandbox) -> None:
    hook = StagingHook()
    hook.check_access("s3://sandbox-sync/braze-blueconic")

    hook.write_bytes("s3://sandbox-sync/braze-blueconic/x", b"1")

    assert [found.size for found in hook.list_objects("s3://sandbox-sync/braze-blueconic/")] == [1]

"""Writing profiles, against the sandbox: what BlueConic holds afterwards, and what the receipts say."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, LimitExceeded
from airflow_provider_braze_blueconic.operators.s3_to_blueconic_profiles import S3ToBlueConicProfilesOperator
from airflow_provider_braze_blueconic.operators.s3_to_braze_users import S3ToBrazeUsersOperator
from airflow_provider_braze_blueconic.operators.targets import BlueConicProfiles
from airflow_provider_braze_blueconic.operators.upload import UploadOperator
from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, increase_column
from airflow_provider_braze_blueconic.sync.sending.upload import Stopped
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Receipt
from airflow_provider_braze_blueconic.sync.state.told_receipts import best_receipts
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.core import engine
from tests.support.sandbox import running_sandbox, use_connections
from tests.support.staging import LocalStaging

PATH = "/rest/v2/profiles"
MERGES = {"braze_city": "set", "braze_tags": "add", "braze_revenue": "sum", "points": "set", "email": "set"}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(profiles=40, record=True) as running:
        use_connections(running, monkeypatch)
        yield running


class Goal:
    """A goal's folder with one delta, and uploads of it."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(LocalStaging(), GoalFolder(str(folder / "staging"), "users"), "run", engine(folder))
        self.delta = {
            "uri": f"{self.workspace.folder.root}/work/run/delta-1",
            "delta_id": "1",
            "run_key": "run",
            "as_of": "2026-11-01T00:00:00+00:00",
        }

    def write_delta(self, people: Mapping[int, Mapping[str, str]]) -> None:
        """Write the delta: number of a person → target → JSON text; ``+target`` is an increase."""
        names = list(dict.fromkeys(name for fields in people.values() for name in fields))
        columns = {name: increase_column(name[1:]) if name[0] == "+" else field_column(name) for name in names}
        table = pa.table(
            {
                "identifier": [identifier(number) for number in people],
                "kind": ["change"] * len(people),
                "to_send": [True] * len(people),
                "matching": [json.dumps([[{"id": "crm_id", "value": f"crm-{number:07d}"}]]) for number in people],
                **{
                    column: pa.array([fields.get(name) for fields in people.values()], pa.string())
                    for name, column in columns.items()
                },
            }
        )
        path = Path(self.delta["uri"]) / "partition=0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        fields = [{"target": target, "merge": merge, "of": None} for target, merge in MERGES.items()]
        (path.parent / "fields.json").write_text(json.dumps(fields))

    def operator(self, **how: Any) -> S3ToBlueConicProfilesOperator:
        return S3ToBlueConicProfilesOperator(
            task_id="upload", goal_id="users", staging="s3://b", delta=self.delta, partition=0, links=["crm_id"], **how
        )

    def upload(self, **how: Any) -> dict[str, Any]:
        return dict(self.operator(**how).run_step(self.workspace, {}))

    def parts(self) -> list[Path]:
        return sorted((Path(self.delta["uri"]) / "receipts").rglob("*.parquet"))

    def outcomes(self) -> dict[int, tuple[str, str, list[str] | None]]:
        """Number of a person → outcome, reason, refused fields."""
        if not self.parts():
            return {}
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"SELECT identifier, outcome, reason, refused_fields FROM ({best_receipts(self.parts())})"
            ).fetchall()
        return {int(json.loads(who)["braze_id"]): (outcome, reason, fields) for who, outcome, reason, fields in rows}

    def counted(self) -> dict[str, int]:
        return dict(Counter(outcome for outcome, *_ in self.outcomes().values()))

    def leave_behind(self, *receipts: tuple[int, str]) -> None:
        """Leave part receipts as an attempt that was killed does."""
        folder = Path(self.delta["uri"]) / "receipts" / "partition=0"
        folder.mkdir(parents=True, exist_ok=True)
        parts = PartReceipts(
            folder / "local", attempt="killed", publish=lambda path: shutil.copy(path, folder / path.name)
        )
        moment = pa.scalar(0, pa.timestamp("us", tz="UTC")).as_py()
        parts.add(Receipt(identifier(number), outcome, "", None, moment) for number, outcome in receipts)  # type: ignore[arg-type]
        parts.flush()


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    return Goal(tmp_path)


def identifier(number: int) -> str:
    return f'{{"braze_id":"{number}"}}'


def held(box: Sandbox, number: int, name: str) -> list[str]:
    """What BlueConic holds of a person."""
    for profile in box.blueconic.profiles.values():
        if profile.values.get("crm_id") == [f"crm-{number:07d}"]:
            return profile.values.get(name, [])
    return []


def known(box: Sandbox) -> list[int]:
    """Numbers of the people whom BlueConic knows by their CRM id."""
    ids = [profile.values["crm_id"][0] for profile in box.blueconic.profiles.values() if "crm_id" in profile.values]
    return sorted({int(crm_id.removeprefix("crm-")) for crm_id in ids})


def puts(box: Sandbox) -> list[list[dict[str, Any]]]:
    return [json.loads(one.request_body) for one in box.exchanges if one.method == "PUT" and PATH in one.url]


def sums(*numbers: int) -> dict[int, dict[str, str]]:
    return {number: {"+braze_revenue": '["2.5"]', "braze_revenue": '["10"]'} for number in numbers}


def test_profiles_hold_what_the_delta_says_and_every_person_has_a_receipt(box: Sandbox, goal: Goal) -> None:
    goal.write_delta(
        {
            1: {"braze_city": '["Ede"]', "braze_tags": '["a","b"]'},
            2: {"braze_city": "null", "+braze_revenue": '["2.5"]'},
            3: {"braze_tags": '["b"]'},
        }
    )

    result = goal.upload()

    assert (held(box, 1, "braze_city"), held(box, 1, "braze_tags")) == (["Ede"], ["a", "b"])
    assert held(box, 2, "braze_revenue") == ["2.5"]
    assert goal.counted() == {"accepted": 3}
    assert {name: result[name] for name in ("accepted", "rejected", "not_found", "no_consent", "unknown")} == {
        "accepted": 3,
        "rejected": 0,
        "not_found": 0,
        "no_consent": 0,
        "unknown": 0,
    }


def test_batches_hold_a_thousand_people_at_most(box: Sandbox, goal: Goal) -> None:
    goal.write_delta({number: {"braze_city": '["Ede"]'} for number in range(1_201)})

    result = goal.upload()

    there = len(known(box))
    assert sorted(len(entries) for entries in puts(box)) == [201, 1_000]
    assert (result["accepted"], result["not_found"]) == (there, 1_201 - there)
    assert goal.counted() == {"accepted": there, "not_found": 1_201 - there}


def test_people_whom_blueconic_does_not_know_are_not_found_or_created(box: Sandbox, goal: Goal) -> None:
    goal.write_delta({1: {"braze_city": '["Ede"]'}, 900: {"braze_city": '["Ede"]'}})

    goal.upload()
    assert {number: outcome for number, (outcome, *_) in goal.outcomes().items()} == {1: "accepted", 900: "not_found"}
    assert held(box, 900, "braze_city") == []
    for part in goal.parts():
        part.unlink()
    for _ in range(2):  # who was created is found the next time
        goal.upload(allow_creation=True, legislation="GDPR")
        for part in goal.parts():
            part.unlink()

    created = [p for p in box.blueconic.profiles.values() if p.values.get("crm_id") == ["crm-0000900"]]
    assert [(profile.values["braze_city"], profile.legislation) for profile in created] == [(["Ede"], "GDPR")]


@pytest.mark.promise(3)
def test_results_in_another_order_and_results_that_are_missing_reach_the_right_people(box: Sandbox, goal: Goal) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, shuffle_results=True, unanswered=("crm-0000003",))
    goal.write_delta({number: {"braze_city": '["Ede"]'} for number in (1, 2, 3, 900)})

    goal.upload()

    assert {number: outcome for number, (outcome, *_) in goal.outcomes().items()} == {
        1: "accepted",
        2: "accepted",
        3: "unknown",
        900: "not_found",
    }


@pytest.mark.promise(3)
@pytest.mark.promise(8)
def test_every_state_is_an_outcome_of_its_own(box: Sandbox, goal: Goal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for profile in box.blueconic.profiles.values():
        box.blueconic.change(profile.id, {}, legislation="GDPR", consented=["newsletter"], refused=[])
    refuser = next(p for p in box.blueconic.profiles.values() if p.values.get("crm_id") == ["crm-0000002"])
    box.blueconic.change(refuser.id, {}, consented=[], refused=["newsletter"])
    box.faults.blueconic = replace(box.faults.blueconic, skipped=("crm-0000003",), pii_rights=False)
    goal.write_delta(
        {
            1: {"braze_city": '["Ede"]', "points": '["planted-4711"]'},
            2: {"braze_city": '["Ede"]'},
            3: {"braze_city": '["Ede"]'},
            4: {"points": '["planted-4711"]'},
            5: {"email": '["planted@example.org"]'},
        }
    )

    result = goal.upload(objectives=["newsletter"])

    told = goal.outcomes()
    assert told[1][0] == "accepted"
    assert told[1][2] == ["points"]
    assert told[2][0] == "no_consent"
    assert told[3][0] == "rejected"
    assert told[3][1].startswith("skipped")
    assert told[4][0] == "rejected"
    assert told[4][1].startswith("points: ")
    assert told[5][0] == "rejected"
    assert told[5][1].startswith("unauthorized: ")
    assert (result["no_consent"], result["rejected"], result["accepted"]) == (1, 3, 1)
    assert held(box, 1, "braze_city") == ["Ede"]
    assert "planted" not in caplog.text + json.dumps(list(told.values()))


def test_people_who_are_not_found_do_not_count_as_rejected(box: Sandbox, goal: Goal) -> None:
    goal.write_delta({number: {"braze_city": '["Ede"]'} for number in range(1_000, 2_100)})

    result = goal.upload(limits={"rejected_percent": 1})

    assert result["not_found"] == 1_100


def test_too_many_rejections_stop_the_upload(box: Sandbox, goal: Goal) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, skipped=tuple(f"crm-{n:07d}" for n in range(1_000, 2_100)))
    goal.write_delta({number: {"braze_city": '["Ede"]'} for number in range(1_000, 2_100)})

    with pytest.raises(LimitExceeded, match="rejected_percent"):
        goal.upload(limits={"rejected_percent": 1})


# Sums


@pytest.mark.promise(2)
@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "status_after", "reset_during"])
def test_a_sum_whose_answer_is_lost_is_never_added_again(box: Sandbox, goal: Goal, kind: FaultKind) -> None:
    box.faults.add(Fault("blueconic", kind, path=PATH, method="PUT", times=1, status=504))
    goal.write_delta(sums(*known(box)[:10]))

    goal.upload()
    goal.upload()

    assert goal.counted() == {"unknown": 10}
    added = [number for number in known(box) if held(box, number, "braze_revenue") == ["2.5"]]
    assert len(added) == (5 if kind == "reset_during" else 10)
    assert len(puts(box)) == 1


@pytest.mark.promise(2)
def test_killed_between_intent_and_answer_sums_are_held_and_the_rest_goes(box: Sandbox, goal: Goal) -> None:
    goal.write_delta({**sums(1, 2, 3), 4: {"braze_city": '["Ede"]'}, 5: {"braze_city": '["Ede"]'}})
    goal.leave_behind(
        (1, "intended"), (2, "intended"), (2, "withdrawn"), (3, "intended"), (3, "accepted"), (4, "accepted")
    )

    goal.upload()

    assert {number: outcome for number, (outcome, *_) in goal.outcomes().items()} == {
        1: "unknown",
        2: "accepted",
        3: "accepted",
        4: "accepted",
        5: "accepted",
    }
    assert [held(box, number, "braze_revenue") for number in (1, 2, 3)] == [[], ["2.5"], []]
    assert held(box, 4, "braze_city") == []
    assert held(box, 5, "braze_city") == ["Ede"]


@pytest.mark.promise(2)
def test_a_tenant_with_the_other_word_is_added_to_once_and_the_word_is_remembered(box: Sandbox, goal: Goal) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, sum_strategy="SUM")
    goal.write_delta(sums(1, 2))

    goal.upload()
    remembered = Path(goal.workspace.folder.root, "sum-strategy").read_text()
    for part in goal.parts():
        part.unlink()
    goal.write_delta(sums(1, 2))
    goal.upload()

    assert remembered == "SUM"
    assert held(box, 1, "braze_revenue") == ["5.0"]
    words = [entries[0]["properties"][0]["strategy"] for entries in puts(box)]
    assert words == ["INCREMENT", "SUM", "SUM"]


@pytest.mark.promise(2)
def test_one_bad_entry_does_not_cost_the_sums_beside_it(box: Sandbox, goal: Goal) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, sum_strategy="SUM")
    goal.write_delta(sums(1, 2, 3))
    file = Path(goal.delta["uri"]) / "partition=0.parquet"
    table = pq.read_table(file).to_pylist()
    table[1]["matching"] = '[[{"id":"braze_city","value":"no unique property"}]]'
    pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(file)), file)

    goal.upload()

    assert [held(box, number, "braze_revenue") for number in (1, 2, 3)] == [["2.5"], [], ["2.5"]]
    assert goal.counted() == {"accepted": 2, "rejected": 1}


# The connection


def test_a_token_that_ends_inside_of_a_run_is_renewed(box: Sandbox, goal: Goal) -> None:
    box.faults.add(Fault("blueconic", "token_expired", path=PATH, method="PUT", times=1))
    goal.write_delta({number: {"braze_city": '["Ede"]'} for number in (1, 2)} | sums(3))

    goal.upload()

    assert goal.counted() == {"accepted": 3}
    assert held(box, 3, "braze_revenue") == ["2.5"]


def test_a_missing_scope_ends_the_upload_and_leaves_nobody_unknown(box: Sandbox, goal: Goal) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, scopes=("read:profile-properties",))
    goal.write_delta(sums(1, 2))

    with pytest.raises(AccessError, match='"write:profiles"'):
        goal.upload()

    assert goal.counted() == {}


def test_missing_properties_are_created_before_the_first_profile(box: Sandbox, goal: Goal) -> None:
    goal.write_delta({1: {"braze_new": '["7"]'}})
    wanted = {"braze_new": {"name": "Braze new", "filter_type": "RANGE"}}

    goal.upload(merges={"braze_new": "set"}, new_properties=wanted)

    assert held(box, 1, "braze_new") == ["7"]
    described = box.blueconic.properties["braze_new"]
    assert (described["name"], described["filterType"], described["permissionLevel"]) == (
        "Braze new",
        "RANGE",
        "PERSONAL",
    )


# The operator


def test_told_to_end_before_it_began_nothing_is_sent(box: Sandbox, goal: Goal) -> None:
    goal.write_delta(sums(1))
    operator = goal.operator()
    operator.on_kill()

    with pytest.raises(Stopped):
        operator.run_step(goal.workspace, {})

    assert puts(box) == []
    assert goal.counted() == {}


@pytest.mark.parametrize("operator", [S3ToBlueConicProfilesOperator, S3ToBrazeUsersOperator])
def test_upload_operators_share_what_is_the_same_and_can_be_copied(operator: type[UploadOperator]) -> None:
    made = operator(task_id="upload", goal_id="g", staging="s3://b", delta={"uri": "x"}, partition=1, workers=2)

    copied = copy.deepcopy(made)

    assert isinstance(made, UploadOperator)
    assert {"goal_id", "staging", "delta", "partition"} <= set(operator.template_fields)
    assert (copied.partition, copied.workers) == (1, 2)


def test_properties_to_create_come_out_of_a_template() -> None:
    assert "new_properties" in S3ToBlueConicProfilesOperator.template_fields


def test_the_goals_own_cap_holds_and_else_a_careful_one() -> None:
    assert BlueConicProfiles().limits().objects == 1_000
    assert BlueConicProfiles().rate(None).per_second == 10
    assert BlueConicProfiles().rate(2).per_second == 2
    assert BlueConicProfiles().rate(50).per_second == 50

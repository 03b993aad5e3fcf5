"""A ledger that is gone or broken: whole runs lose it, are refused, and go on with one that was made anew."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.upkeep.recovery import Recovery, recover_ledger
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Killed
from tests.support.staging import LocalStaging

IMPORT, EXPORT = "to_blueconic", "to_braze"
SUMS = {"spent": "increase", "visits": "value"}
NOT_IN_RECEIPTS = {"in_segment", "refused_hash", "unproven"}
"""What a recovered ledger does not know."""


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


def braze() -> Braze:
    return Braze(
        u1={"tier": "gold", "tags": ["a", "b"], "spent": 12.5, "visits": 3, "city": None},
        u2={"tier": 'sil"ver é', "tags": ["c"], "spent": 0.1, "visits": 4, "city": "Ede"},
        u3={"tier": "none", "spent": 1, "visits": 1, "city": "Assen"},
    )


def import_of(users: Braze, blueconic: BlueConic) -> ImportGoalOf:
    fields = [
        ("custom_attributes.tier", "level"),
        ("custom_attributes.tags", "tags", {"merge": "add"}),
        ("custom_attributes.spent", "spent", {"merge": "sum", "of": "increase"}),
        ("custom_attributes.visits", "visits", {"merge": "sum", "of": "value"}),
        ("custom_attributes.city", "city", {"merge": "set_or_clear"}),
    ]
    return ImportGoalOf(IMPORT, users, blueconic, fields)


def blueconic() -> BlueConic:
    return BlueConic({"crm_id": ["u1"]}, {"crm_id": ["u2"]}, types={"spent": "DECIMAL", "visits": "RANGE"})


def export_of(profiles: BlueConic, users: Braze) -> ExportGoalOf:
    return ExportGoalOf(
        EXPORT,
        users,
        profiles,
        [("points", "Loyalty points", {"type": "float"}), ("level", "tier"), ("tags", "tags", {"type": "array"})],
    )


def ledger_of(home: Path, goal_id: str) -> dict[str, dict[str, Any]]:
    """Rows of the ledger by identifier, without what a recovered one can't know, and without what is NULL."""
    rows = DeltaTable(str(home / "staging" / goal_id / "ledger")).to_pyarrow_table().to_pylist()
    return {
        row["identifier"]: {
            name: value for name, value in row.items() if value is not None and name not in NOT_IN_RECEIPTS
        }
        for row in rows
    }


def lose_ledger(home: Path, goal_id: str) -> None:
    shutil.rmtree(home / "staging" / goal_id / "ledger")


def recover(home: Path, goal_id: str, *, partitions: int = 1, dry_run: bool = False) -> Recovery:
    workspace = Workspace(
        LocalStaging(), GoalFolder(str(home / "staging"), goal_id), "recover", Engine(home / "local", threads=1)
    )
    return recover_ledger(workspace, partitions=partitions, sums=SUMS, dry_run=dry_run)


# The same ledger as before


@pytest.mark.promise(2)
@pytest.mark.parametrize("partitions", [1, 3])
def test_an_import_s_ledger_made_anew_is_the_one_that_was_lost_and_the_next_night_sends_nothing(
    partitions: int, tmp_path: Path
) -> None:
    users, profiles = braze(), blueconic()
    goal = import_of(users, profiles)
    Run(tmp_path, goal, day(1), partitions=partitions).run()
    users.users["u1"] |= {"spent": 20.75, "city": "Ede", "visits": 5}
    users.users["u2"] |= {"tier": "gold", "tags": ["c", "d"]}
    profiles.refused = {"tags"}
    Run(tmp_path, goal, day(2), partitions=partitions).run()
    before, writes = ledger_of(tmp_path, IMPORT), profiles.writes.copy()
    lose_ledger(tmp_path, IMPORT)

    recovery = recover(tmp_path, IMPORT, partitions=partitions)
    third = Run(tmp_path, goal, day(3), partitions=partitions).run()

    assert ledger_of(tmp_path, IMPORT).keys() == before.keys()
    assert recovery.as_of == day(2)
    profiles.writes.subtract(writes)
    # Who was not found, or not taken whole, does not rest any more: only they are tried once more.
    assert {name: count for name, count in profiles.writes.items() if count} == {}
    assert third.report["accepted"] + third.report["not_found"] == third.report["to_send"] == 2
    assert (recovery.people, recovery.refused, recovery.deltas, recovery.written) == (3, 2, 2, True)


def test_every_column_of_a_ledger_made_anew_is_that_of_the_lost_one(tmp_path: Path) -> None:
    users, profiles = braze(), blueconic()
    goal = import_of(users, profiles)
    Run(tmp_path, goal, day(1)).run()
    users.users["u1"] |= {"spent": 20.75, "city": "Ede", "visits": 5}
    users.users["u2"] |= {"tier": "gold", "tags": ["c", "d"]}
    profiles.refused = {"tags"}
    Run(tmp_path, goal, day(2)).run()
    before = ledger_of(tmp_path, IMPORT)
    lose_ledger(tmp_path, IMPORT)

    recover(tmp_path, IMPORT)

    assert ledger_of(tmp_path, IMPORT) == before
    assert sorted(row.get("refused_as", "") for row in before.values()) == ["", "fields", "not_found"]


@pytest.mark.promise(2)
@pytest.mark.parametrize("partitions", [1, 3])
def test_an_export_s_ledger_made_anew_is_the_one_that_was_lost_and_the_next_night_sends_nothing(
    partitions: int, tmp_path: Path
) -> None:
    users = Braze()
    profiles = BlueConic(
        {"crm_id": ["u1"], "points": ["100000000000000000000"], "level": ["gold"], "tags": ["b", "a"]},
        {"crm_id": ["u2"], "points": ["0.5"], "level": ['a "quoted" \\ one\n'], "tags": ["é"]},
        {"crm_id": ["u3"], "points": ["1"], "level": ["none"]},
        types={"points": "DECIMAL"},
    )
    goal = export_of(profiles, users)
    users.rejected = {"u3"}
    Run(tmp_path, goal, day(1), partitions=partitions).run()
    profiles.profiles[0]["points"] = ["1e-7"]
    Run(tmp_path, goal, day(2), partitions=partitions).run()
    before, writes = ledger_of(tmp_path, EXPORT), users.writes.copy()
    lose_ledger(tmp_path, EXPORT)

    recovery = recover(tmp_path, EXPORT, partitions=partitions)

    assert ledger_of(tmp_path, EXPORT) == before
    assert recovery.refused == 1
    third = Run(tmp_path, goal, day(3), partitions=partitions).run()
    assert (third.report["to_send"], third.report["accepted"], users.writes) == (1, 0, writes)


def test_who_left_before_the_ledger_was_made_anew_is_no_leaver_and_who_leaves_later_is(tmp_path: Path) -> None:
    users = Braze()
    profiles = BlueConic(*({"crm_id": [who], "level": ["gold"]} for who in ("u1", "u2", "u3")))
    goal = ExportGoalOf(EXPORT, users, profiles, [("level", "tier")], delta={"leavers": "clear_fields"})
    Run(tmp_path, goal, day(1)).run()
    lose_ledger(tmp_path, EXPORT)
    recover(tmp_path, EXPORT)
    del profiles.profiles[2]
    second = Run(tmp_path, goal, day(2)).run()
    del profiles.profiles[1]

    third = Run(tmp_path, goal, day(3)).run()

    assert (second.report["to_send"], second.report["leavers"]) == (0, 0)
    assert (third.report["to_send"], third.report["leavers"]) == (1, 1)
    assert users.users == {"u1": {"tier": "gold"}, "u2": {"tier": None}, "u3": {"tier": "gold"}}


@pytest.mark.promise(1)
def test_a_value_that_was_sent_without_an_answer_is_in_doubt_after_the_recovery_too(tmp_path: Path) -> None:
    users, profiles = Braze(u1={"tier": "gold"}), BlueConic({"crm_id": ["u1"]})
    goal = ImportGoalOf(IMPORT, users, profiles, [("custom_attributes.tier", "level")])
    Run(tmp_path, goal, day(1)).run()
    users.users["u1"]["tier"] = "silver"
    profiles.answers = False
    Run(tmp_path, goal, day(2)).run()
    profiles.answers = True
    users.users["u1"]["tier"] = "gold"
    before = ledger_of(tmp_path, IMPORT)
    lose_ledger(tmp_path, IMPORT)

    recovery = recover(tmp_path, IMPORT)
    made_anew = ledger_of(tmp_path, IMPORT)
    Run(tmp_path, goal, day(3)).run()

    assert profiles.values("crm_id", "u1", "level") == ["gold"]
    assert made_anew == before
    assert recovery.values == 0


def test_a_value_that_was_accepted_after_one_without_an_answer_is_known_after_the_recovery(tmp_path: Path) -> None:
    users, profiles = Braze(u1={"tier": "gold"}), BlueConic({"crm_id": ["u1"]})
    goal = ImportGoalOf(IMPORT, users, profiles, [("custom_attributes.tier", "level")])
    profiles.answers = False
    Run(tmp_path, goal, day(1)).run()
    profiles.answers = True
    Run(tmp_path, goal, day(2)).run()
    before = ledger_of(tmp_path, IMPORT)
    lose_ledger(tmp_path, IMPORT)

    recovery = recover(tmp_path, IMPORT)
    night = Run(tmp_path, goal, day(3)).run()

    assert ledger_of(tmp_path, IMPORT) == before
    assert (recovery.values, night.report["to_send"]) == (1, 0)


@pytest.mark.promise(4)
def test_a_delta_that_is_in_the_new_ledger_is_not_committed_over_newer_values(tmp_path: Path) -> None:
    users, profiles = Braze(), BlueConic({"crm_id": ["u1"], "level": ["bronze"]})
    goal = ExportGoalOf(EXPORT, users, profiles, [("level", "tier")])
    first = Run(tmp_path, goal, day(1)).run()
    profiles.profiles[0]["level"] = ["gold"]
    Run(tmp_path, goal, day(2)).run()
    before = ledger_of(tmp_path, EXPORT)
    lose_ledger(tmp_path, EXPORT)
    recover(tmp_path, EXPORT)

    first.again("commit", "report")
    first.run()

    assert ledger_of(tmp_path, EXPORT) == before


# Numbers that are added to


def spent_goal(users: Braze, profiles: BlueConic, **merge: str) -> ImportGoalOf:
    row = ("custom_attributes.spent", "spent", merge or {"merge": "sum", "of": "increase"})
    return ImportGoalOf(IMPORT, users, profiles, [row])


@pytest.mark.promise(2)
def test_a_number_of_which_it_is_not_known_whether_it_was_added_is_not_added_after_the_recovery(tmp_path: Path) -> None:
    users, profiles = Braze(u1={"spent": 10}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
    goal = spent_goal(users, profiles)
    profiles.answers = False
    Run(tmp_path, goal, day(1)).run()
    profiles.answers = True
    lose_ledger(tmp_path, IMPORT)

    recover(tmp_path, IMPORT)
    Run(tmp_path, goal, day(2)).run()
    users.users["u1"]["spent"] = 12
    Run(tmp_path, goal, day(3)).run()

    assert profiles.values("crm_id", "u1", "spent") == ["12"]


@pytest.mark.promise(2)
def test_a_counter_that_fell_adds_less_after_the_recovery_and_nothing_twice(tmp_path: Path) -> None:
    users, profiles = Braze(u1={"spent": 10}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
    goal = spent_goal(users, profiles)
    for night, spent in enumerate((10, 4, 6), start=1):
        users.users["u1"]["spent"] = spent
        Run(tmp_path, goal, day(night)).run()
    lose_ledger(tmp_path, IMPORT)

    recover(tmp_path, IMPORT)
    held = []
    for night, spent in enumerate((7, 9), start=4):
        users.users["u1"]["spent"] = spent
        Run(tmp_path, goal, day(night)).run()
        held.append(profiles.values("crm_id", "u1", "spent"))

    # 10 and 2 were added. The first growth after the recovery, from 6 to 7, is lost; the next one counts.
    assert held == [["12"], ["14"]]


@pytest.mark.promise(2)
def test_a_field_that_was_set_below_zero_before_it_became_a_sum_adds_nothing_twice(tmp_path: Path) -> None:
    users, profiles = Braze(u1={"spent": -50}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})
    Run(tmp_path, spent_goal(users, profiles, merge="set"), day(1)).run()
    users.users["u1"]["spent"] = 10
    Run(tmp_path, spent_goal(users, profiles, merge="set"), day(2)).run()
    lose_ledger(tmp_path, IMPORT)

    recover(tmp_path, IMPORT)
    Run(tmp_path, spent_goal(users, profiles), day(3)).run()

    assert profiles.values("crm_id", "u1", "spent") == ["10"]


# A ledger that is gone


@pytest.mark.promise(2)
def test_a_lost_ledger_stops_the_run_before_anything_is_sent_again(tmp_path: Path) -> None:
    users, profiles = braze(), blueconic()
    goal = import_of(users, profiles)
    Run(tmp_path, goal, day(1)).run()
    writes = profiles.writes.copy()
    lose_ledger(tmp_path, IMPORT)

    with pytest.raises(SyncError) as refused:
        Run(tmp_path, goal, day(2)).run()

    assert profiles.writes == writes
    folder = tmp_path / "staging" / IMPORT
    assert str(refused.value) == (
        f"to_blueconic: the ledger {folder}/ledger/ is gone, but {folder}/receipts/ shows what was sent. Without "
        "it this run would send all 3 people again, and add to spent, visits what was added before. Nothing was "
        "sent. Run `braze-blueconic recover <goal file>` to rebuild the ledger from the receipts. For an export "
        "goal, a reconcile (`reconcile:` in the goal file) can fill it from what Braze holds instead. To send "
        f"everything again, remove {folder}/receipts/ and {folder}/runs/."
    )


def test_a_lost_ledger_of_an_export_is_told_with_its_price(tmp_path: Path) -> None:
    profiles = BlueConic({"crm_id": ["u1"], "points": ["1"], "level": ["gold"]}, {"crm_id": ["u2"]})
    goal = export_of(profiles, Braze())
    Run(tmp_path, goal, day(1)).run()
    lose_ledger(tmp_path, EXPORT)

    with pytest.raises(SyncError, match=r"all 2 people and about 6 data points again\. Nothing was sent"):
        Run(tmp_path, goal, day(2)).run()


def test_a_ledger_that_is_lost_with_the_receipts_is_missed_because_of_the_runs(tmp_path: Path) -> None:
    goal = export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze())
    Run(tmp_path, goal, day(1)).run()
    lose_ledger(tmp_path, EXPORT)
    shutil.rmtree(tmp_path / "staging" / EXPORT / "receipts")

    with pytest.raises(SyncError, match="/runs/ shows committed runs"):
        Run(tmp_path, goal, day(2)).run()


def test_without_ledger_receipts_and_runs_everything_is_sent_anew(tmp_path: Path) -> None:
    goal = export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze())
    Run(tmp_path, goal, day(1)).run()
    for name in ("ledger", "receipts", "runs"):
        shutil.rmtree(tmp_path / "staging" / EXPORT / name)

    second = Run(tmp_path, goal, day(2)).run()

    assert (second.report["status"], second.report["inserts"]) == ("success", 1)


@pytest.mark.parametrize(
    ("row", "is_refused"),
    [
        pytest.param({"status": "success", "dry_run": True}, False, id="a dry run"),
        pytest.param({"status": "stopped", "dry_run": False}, False, id="a run that the guard stopped"),
        pytest.param({"status": "incomplete", "dry_run": False}, False, id="a run whose commit failed"),
        pytest.param({"status": "success", "dry_run": False}, True, id="a run that was committed"),
    ],
)
def test_only_a_run_that_was_committed_shows_that_there_was_a_ledger(
    row: Mapping[str, Any], is_refused: bool, tmp_path: Path
) -> None:
    report = {"run_key": "r", "not_accepted": 0, "complete": True, "read": "full", **row}
    runs = RunTable(str(tmp_path / "staging" / EXPORT / "runs"), {})
    runs.add(report, read_started_at=day(1), mapping_hash="")
    run = Run(tmp_path, export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze()), day(2))

    if is_refused:
        with pytest.raises(SyncError, match="is gone"):
            run.run(last="delta")
    else:
        assert run.run(last="delta").done["delta"]["to_send"] == 1


@pytest.mark.promise(1)
def test_a_ledger_that_vanishes_while_a_run_sends_is_not_begun_anew_with_its_people_alone(tmp_path: Path) -> None:
    users, profiles = braze(), blueconic()
    goal = import_of(users, profiles)
    Run(tmp_path, goal, day(1)).run()
    users.users["u1"] |= {"spent": 20, "tier": "platinum"}
    second = Run(tmp_path, goal, day(2)).run(last="upload 0")
    lose_ledger(tmp_path, IMPORT)

    with pytest.raises(SyncError, match="disappeared after this delta was computed"):
        second.run()
    with pytest.raises(SyncError, match="disappeared after this delta was computed"):
        Run(tmp_path, goal, day(3)).run()
    recovery = recover(tmp_path, IMPORT)
    writes = profiles.writes.copy()
    fourth = Run(tmp_path, goal, day(4)).run()

    assert recovery.open_uploads == 1
    assert (profiles.writes, fourth.report["accepted"]) == (writes, 0)
    assert profiles.values("crm_id", "u1", "spent") == ["20.0"]
    assert profiles.values("crm_id", "u1", "level") == ["platinum"]


# A ledger that is broken


def data_files(ledger: Path) -> list[Path]:
    return [Path(uri) for uri in DeltaTable(str(ledger)).file_uris()]


def remove_data(ledger: Path) -> None:
    data_files(ledger)[0].unlink()


def cut_data(ledger: Path) -> None:
    file = data_files(ledger)[0]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def break_log(ledger: Path) -> None:
    max((ledger / "_delta_log").glob("0*.json")).write_text("{broken")


def remove_first_log(ledger: Path) -> None:
    min((ledger / "_delta_log").glob("0*.json")).unlink()


def lose_checkpoint(ledger: Path) -> None:
    DeltaTable(str(ledger)).create_checkpoint()
    for path in (ledger / "_delta_log").glob("*.checkpoint.parquet"):
        path.unlink()


@pytest.mark.parametrize(
    ("breaking", "told"),
    [
        pytest.param(remove_data, r"its file \S+\.parquet is missing", id="a data file is missing"),
        pytest.param(cut_data, r"its file \S+\.parquet is damaged", id="a data file is cut off"),
        pytest.param(break_log, "its log .* is damaged", id="the log is damaged"),
        pytest.param(remove_first_log, "files of the log are missing", id="the log's first file is missing"),
        pytest.param(lose_checkpoint, "files of the log are missing", id="the checkpoint is missing"),
    ],
)
def test_a_broken_ledger_is_told_and_made_anew(breaking: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    users, profiles = Braze(), BlueConic({"crm_id": ["u1"], "points": ["5"], "level": ["gold"]})
    goal = export_of(profiles, users)
    Run(tmp_path, goal, day(1)).run()
    profiles.profiles[0]["points"] = ["6"]
    Run(tmp_path, goal, day(2)).run()
    before, writes = ledger_of(tmp_path, EXPORT), users.writes.copy()
    ledger = tmp_path / "staging" / EXPORT / "ledger"
    breaking(ledger)
    files = {path.name for path in ledger.rglob("*") if path.is_file()}

    with pytest.raises(BrokenTable, match=told) as refused:
        Run(tmp_path, goal, day(3)).run()
    recovery = recover(tmp_path, EXPORT)
    third = Run(tmp_path, goal, day(4)).run()

    assert str(refused.value).startswith(f"{ledger} can't be read: ")
    assert "braze-blueconic recover <goal file>" in str(refused.value)
    assert "u1" not in str(refused.value)
    assert ledger_of(tmp_path, EXPORT).keys() == before.keys()
    assert (third.report["to_send"], users.writes) == (0, writes)
    assert recovery.put_aside is not None
    assert {path.name for path in Path(recovery.put_aside).rglob("*") if path.is_file()} == files


# What a recovery refuses and leaves alone


def test_a_dry_run_of_a_recovery_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    Run(tmp_path, export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze()), day(1)).run()
    remove_data(tmp_path / "staging" / EXPORT / "ledger")
    files = sorted((tmp_path / "staging").rglob("*"))

    dry = recover(tmp_path, EXPORT, dry_run=True)
    unchanged = sorted((tmp_path / "staging").rglob("*"))
    real = recover(tmp_path, EXPORT)

    assert unchanged == files
    assert (dry.written, dry.put_aside, dry.people, dry.values) == (False, None, 1, 1)
    assert (real.people, real.values, real.receipts, real.as_of) == (dry.people, dry.values, dry.receipts, dry.as_of)


def test_a_ledger_that_can_be_read_is_not_made_anew(tmp_path: Path) -> None:
    Run(tmp_path, export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze()), day(1)).run()

    with pytest.raises(SyncError, match=r"can be read \(1 people\), so there is nothing to recover"):
        recover(tmp_path, EXPORT)


def test_without_receipts_there_is_nothing_to_recover_from(tmp_path: Path) -> None:
    with pytest.raises(SyncError, match=r"there are no receipts in .*/never_ran/receipts/"):
        recover(tmp_path, "never_ran")


def test_a_recovery_that_was_killed_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(tmp_path, export_of(BlueConic({"crm_id": ["u1"], "level": ["gold"]}), Braze()), day(1)).run()
    before = ledger_of(tmp_path, EXPORT)
    break_log(tmp_path / "staging" / EXPORT / "ledger")

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(Ledger, "rebuild", die)
        with pytest.raises(Killed):
            recover(tmp_path, EXPORT)
    recover(tmp_path, EXPORT)

    assert ledger_of(tmp_path, EXPORT) == before


# Texts


@pytest.mark.parametrize(
    "text",
    [
        "1e5",
        "42.50",
        "-0",
        "12345678901234567890123456789",
        r'"\u00e9\/"',
        '"é"',
        "null",
        "true",
        '{"b":[1.0,{"c":"x}"}]}',
        "[]",
    ],
)
def test_a_value_comes_back_as_the_text_that_was_sent(text: str, tmp_path: Path) -> None:
    receipts = ReceiptTable(str(tmp_path / "staging" / EXPORT / "receipts"), {})
    row = {
        "identifier": '{"external_id":"u1"}', "run_key": "r", "delta_id": "d1", "outcome": "accepted", "reason": "",
        "status": 201, "sent_at": day(1), "refused_fields": None, "fields": f'{{"first one":"x","a\\"b":{text}}}',
    }  # fmt: skip
    moment = pa.timestamp("us", tz="UTC")
    types = {"status": pa.int32(), "sent_at": moment, "refused_fields": pa.list_(pa.string())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in row])
    receipts.append(pa.Table.from_pylist([row], schema), transactions={"delta:d1": 1})

    recover(tmp_path, EXPORT)

    assert ledger_of(tmp_path, EXPORT)['{"external_id":"u1"}'][field_column('a"b')] == text

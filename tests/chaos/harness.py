"""Whole goals through Airflow's own task runner, disturbed, then left in peace, then compared with what should be.

A scenario says what goes wrong. Playing one is: a first run with the faults on, runs without them until one ends well,
and then these questions, each answered from what the sandbox recorded:

(a) *Lost.* Everybody's every mapped field in the target is what it is in a twin: a sandbox of the same seed in which the
    same story went undisturbed.
(b) *The report.* Of every run that ended with a report it says what the server counted; :func:`_check_report` says what
    both of them can know when answers are lost.
(c) *Doubled.* A value of a person that was acknowledged is in no later request, unless it was another one in between.
(d) *Added.* A number that is added to is exactly the twin's, or less by what was sent of it with an unknown outcome:
    then the person is in the receipts as unknown (held). It is never more.

::

    outcome = play(Scenario("500 to everything", "Braze", "export", faults=(Fault("braze", "status", times=3),)), home)
    assert outcome.problems == []
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Literal

from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sandbox.agreement.exported import compare
from airflow_provider_braze_blueconic.sandbox.agreement.imported import compare_import
from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement
from airflow_provider_braze_blueconic.sandbox.braze.workspace import SEGMENTS
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.store.paths import run_key
from tests.chaos.witness import Sent, data_points, is_write, read_sent
from tests.support.airflow import GOAL, IMPORT_GOAL, GoalRunner, Run

__all__ = [
    "GOAL_ID",
    "Direction",
    "Night",
    "Outcome",
    "Scenario",
    "World",
    "judge",
    "make_world",
    "play",
    "receipts",
]

Direction = Literal["export", "import", "sums"]
"""``sums`` is an import that adds to numbers, for two people of three."""

GOAL_ID = "chaos"
PEOPLE = 200
STAGING = "s3://sandbox-sync/tests"

ENVIRONMENT: Mapping[str, str] = {
    # The sandbox shows a write at once, where the real services take minutes.
    "AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS": "0.001",
    "AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS": "0.001",
    "AIRFLOW__BRAZE_BLUECONIC__REQUEST_TIMEOUT": "5",
    "AIRFLOW__BRAZE_BLUECONIC__RETRY_ATTEMPTS": "4",
    "AIRFLOW__BRAZE_BLUECONIC__RETRY_SECONDS": "20",
    "AIRFLOW__BRAZE_BLUECONIC__PAGE_SIZE": "60",
}

_PATIENT: Mapping[str, str] = {"AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS": "60"}
"""Where nobody is killed: a machine that is busy must not pass for one that is dead."""

_CALM_RUNS = 3
"""Runs without faults within which one has to end well."""

_SOURCE = {**IMPORT_GOAL["source"], "wait_minutes": 3}
_TAKEN_OVER = (
    {"from": "custom_attributes.favourite_store", "to": "braze_favourite_store"},
    {"from": "custom_attributes.tags", "to": "braze_tags", "merge": "add"},
    {"from": "home_city", "to": "braze_city", "merge": "set_or_clear"},
)
_ADDED = (
    {"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"},
    {"from": "custom_attributes.engagement_score", "to": "braze_score", "merge": "sum", "of": "value"},
)
_GOALS: Mapping[Direction, Mapping[str, Any]] = {
    # An export's batches hold 75 people, an import's 1,000, so that only several partitions make several batches.
    "export": {**GOAL, "id": GOAL_ID, "partitions": 1},
    "import": {**IMPORT_GOAL, "id": GOAL_ID, "source": _SOURCE, "fields": list(_TAKEN_OVER), "partitions": 3},
    "sums": {
        **IMPORT_GOAL,
        "id": GOAL_ID,
        "source": _SOURCE,
        "fields": [_TAKEN_OVER[0], *_ADDED],
        "partitions": 3,
    },
}


class Output:
    """Keeps what this process writes to stdout and stderr off the terminal, for a while; pytest's ``capfd`` alone."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed by close()
        self._kept = [os.dup(number) for number in (1, 2)]
        self._point([self._file.fileno()] * 2)

    def _point(self, targets: Sequence[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, target in enumerate(targets, start=1):
            os.dup2(target, number)

    def readouterr(self) -> Any:
        """Return what was written since the last time."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._file.seek(0)
        written = self._file.read()
        self._file.seek(0)
        self._file.truncate()
        return _Written(written)

    def close(self) -> None:
        """Let writing go where it went before."""
        self._point(self._kept)
        for number in self._kept:
            os.close(number)
        self._file.close()


@dataclass(frozen=True)
class _Written:
    out: str
    err: str = ""


@dataclass(frozen=True)
class Night:
    """One run, and what the target saw of it.

    :param run: as Airflow tells it; ``None`` for a run that was killed.
    :param report: the one that this run left; empty if it left none.
    :param requests: write requests that reached the target, answered or not.
    :param sent: the records in them.
    :param counted: what the target counted meanwhile.
    """

    run: Run | None
    report: Mapping[str, Any]
    requests: int
    sent: Sequence[Sent] = field(repr=False)
    counted: Mapping[str, int]

    @property
    def state(self) -> str:
        return self.run.state if self.run else "killed"

    @property
    def is_uploaded(self) -> bool:
        """Whether every upload ended well."""
        return self.run is not None and set(self.run.states.get("upload", [])) <= {"success", "skipped"}

    @property
    def is_killed(self) -> bool:
        """Whether an attempt at an upload was killed, so that its counters are lost."""
        return self.run is None or "killed" in self.run.states.get("upload", [])


@dataclass
class World:
    """A sandbox, a goal in it, and the nights that it has seen.

    :param goal: the goal file's content.
    :param home: Airflow's home.
    :param kills: processes that were ended in the middle of a run.
    """

    box: Sandbox
    direction: Direction
    goal: Mapping[str, Any]
    home: Path
    runner: GoalRunner
    nights: list[Night] = field(default_factory=list)
    kills: int = 0
    _seen: int = 0

    def write(self, goal: Mapping[str, Any]) -> None:
        """Write the goal file anew."""
        (self.runner.write if self.direction == "export" else self.runner.write_import)(**goal)
        self.goal = goal

    def run(self, params: Mapping[str, Any] | None = None, **options: Any) -> Night:
        """Run the goal once, with whatever faults are in force."""
        return self.watch(lambda: self.runner.run(GOAL_ID, params=params, **options))

    def watch(self, make: Callable[[], Run | None]) -> Night:
        """Note what the target sees while something runs the goal; ``None`` of it means that it was killed."""
        before = self.counted()
        run = make()
        self._wait_for_answers()
        exchanges = list(self.box.exchanges[self._seen :])
        night = Night(
            run,
            report=self.report(run.run_id) if run else {},
            requests=sum(map(is_write, exchanges)),
            sent=list(read_sent(exchanges, first=self._seen)),
            counted={name: count - before[name] for name, count in self.counted().items()},
        )
        self._seen += len(exchanges)
        self.nights.append(night)
        return night

    def _wait_for_answers(self) -> None:
        """Wait for requests that nobody waits for any more: the sandbox notes an exchange when it is through with it."""
        gates = (self.box.braze_gate, self.box.blueconic_gate)
        ends = time.monotonic() + 10
        while (any(gate.in_flight for gate in gates) or self.box.s3_in_flight) and time.monotonic() < ends:
            time.sleep(0.02)

    def report(self, run_id: str) -> Mapping[str, Any]:
        """Read the report that a run left in S3; empty if there is none."""
        client = self.box.s3_client()
        key = f"tests/{GOAL_ID}/work/{run_key(run_id)}/report.json"
        try:
            found: Mapping[str, Any] = json.loads(client.get_object(Bucket="sandbox-sync", Key=key)["Body"].read())
        except client.exceptions.NoSuchKey:
            return {}
        return found

    def counted(self) -> dict[str, int]:
        """Return the target's own counters."""
        counters = self.box.counters()
        if self.direction == "export":
            return {name: counters["track"][name] for name in ("requests", "accepted", "data_points")}
        return {name: counters["bulk"][name] for name in ("requests", "entries")}

    def calm(self) -> None:
        """Take all faults away."""
        self.box.faults.clear()
        self.box.faults.restore()

    def settle(self, params: Mapping[str, Any] | None = None, **options: Any) -> Night:
        """Run the goal without faults until a run ends well; three times at most."""
        self.calm()
        for _ in range(_CALM_RUNS):
            night = self.run(params, **options)
            if night.state == "success" and night.report.get("status") == "success":
                break
        return night

    def people(self) -> list[str]:
        """External ids of people in the goal's segment who have one profile of their own and are known to Braze."""
        members = self.box.blueconic.segments["seg-vip"].members
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for profile_id, profile in self.box.blueconic.profiles.items():
            for crm_id in profile.values.get("crm_id", []):
                owners[crm_id].append(profile_id)
        known = self.box.braze.external_ids()
        return sorted(x for x, ids in owners.items() if len(ids) == 1 and x in known and ids[0] in members)

    def profile(self, person: str) -> str:
        """Id of the profile that holds an external id; the external id where there is none."""
        return min(self.box.blueconic.look_up("crm_id", person), default=person)

    def whom(self, identifier: str) -> str:
        """Id of the profile that a receipt of an import means.

        :param identifier: as it stands in the receipts: JSON text.
        """
        return self.profile(self.person(identifier))

    def person(self, identifier: str) -> str:
        """External id of the person whom a receipt means; a receipt of an import names Braze's own id.

        :param identifier: as it stands in the receipts: JSON text.
        """
        user = self.box.braze.export(json.loads(identifier)) or {}
        return str(user.get("external_id", identifier))

    def target(self) -> dict[str, dict[str, Any]]:
        """Everybody in the target → mapped field → what it holds. In Braze by external id, in BlueConic by profile."""
        fields = [row["to"] for row in self.goal["fields"]]
        if self.direction == "export":
            found = {}
            for user in self.box.braze.users():
                values = {**user.get("custom_attributes", {}), **user}
                found[str(user.get("external_id"))] = {name: values[name] for name in fields if name in values}
            return found
        return {
            profile_id: {name: list(profile.values.get(name, [])) for name in fields}
            for profile_id, profile in self.box.blueconic.profiles.items()
        }

    def agreement(self) -> Agreement:
        """Compare both sides by the sandbox's own rules; of numbers that are added to the twin tells."""
        state = self.box.blueconic
        rows = [row for row in self.goal["fields"] if row.get("merge") != "sum"]
        if self.direction == "export":
            segment = next(each for each in state.segments.values() if each.name == self.goal["source"]["segment"])
            shown = frozenset({"permissions", "segments"})
            profiles = [state.render(state.profiles[each], only=None, expand=shown) for each in sorted(segment.members)]
            return compare(profiles, self.box.braze.users(), rows, identifier="crm_id")
        segment_there = next(each for each in SEGMENTS if each.name == self.goal["source"]["segment"])
        users = [user.export() for user in self.box.braze.members(segment_there)]
        profiles = [state.render(profile, only=None, expand=frozenset()) for profile in state.profiles.values()]
        types = {each["id"]: each["filterType"] for each in state.describe_properties()}
        return compare_import(users, profiles, rows, types, identifier="crm_id")


@contextlib.contextmanager
def make_world(
    direction: Direction,
    home: Path,
    *,
    goal: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    profiles: int = PEOPLE,
    seed: int = 1,
) -> Iterator[World]:
    """Start a sandbox, write the goal, and point Airflow's connections to it.

    :param goal: what differs from the direction's standard goal.
    :param environment: Airflow's settings on top of those of all scenarios.
    """
    output = Output()
    try:
        with Sandbox(profiles=profiles, seed=seed, record=True) as box:
            box.blueconic.save_property("braze_score", {"id": "braze_score", "filterType": "DECIMAL"})
            with _environment({**ENVIRONMENT, **box.connections(), **(environment or {})}):
                runner = GoalRunner(home, box, output)
                world = World(box, direction, {}, home, runner)
                world.write({**_GOALS[direction], **(goal or {})})
                try:
                    yield world
                finally:
                    runner.clean()
    finally:
        output.close()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def _nothing(_: World) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Scenario:
    """What goes wrong, in which direction.

    :param fault: what goes wrong, in a few words: a row of the table.
    :param side: where: a heading of the table.
    :param faults: faults in force during the first run.
    :param braze: settings of the sandbox's Braze during the first run.
    :param blueconic: the same of its BlueConic.
    :param disturb: what else goes wrong, once before the first run.
    :param goal: what differs from the direction's standard goal.
    :param source: the same of its ``source``, such as for how long to wait; in the first run only.
    :param environment: Airflow's settings on top of those of all scenarios.
    :param story: what happens first, in the twin too: an earlier night, a day that passes, a profile that is merged.
    :param attack: makes the disturbed runs; by default one.
    :param same_run: the later runs are the first one, cleared and run again, and not runs of their own.
    :param calm: params of the runs after that.
    :param ends: how the first disturbed run must end; ``None`` for either way.
    :param holds: whether people may be left with an unknown outcome for good.
    :param expect: further questions, after all runs; each answer is a problem.
    """

    fault: str
    side: str
    direction: Direction
    faults: tuple[Fault, ...] = ()
    braze: Mapping[str, Any] = field(default_factory=dict)
    blueconic: Mapping[str, Any] = field(default_factory=dict)
    disturb: Callable[[World], None] = _nothing
    goal: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    story: Callable[[World], None] = _nothing
    attack: Callable[[World], None] | None = None
    same_run: bool = False
    calm: Mapping[str, Any] | None = None
    ends: Literal["success", "failed"] | None = None
    holds: bool = False
    expect: Callable[[World], Iterator[str]] = lambda _: iter(())

    def __str__(self) -> str:
        return f"{self.side}: {self.fault}, {self.direction}"


@dataclass(frozen=True)
class Outcome:
    """What a scenario came to.

    :param runs: how each run ended.
    :param people: people whose every mapped field was compared.
    :param held: people whose number may have been added to or not, and rests.
    :param lost: people whose target differs from the undisturbed one.
    :param doubled: acknowledged values that were sent again, and numbers that were added to twice.
    :param hits: requests that the faults hit, and processes that were killed.
    :param problems: everything that is not as promised, in words.
    """

    scenario: Scenario
    runs: tuple[str, ...]
    people: int = 0
    held: int = 0
    lost: int = 0
    doubled: int = 0
    hits: int = 0
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    log: str = field(default="", repr=False)


def play(scenario: Scenario, home: Path, *, seed: int = 1) -> Outcome:
    """Play a scenario and judge it.

    :param home: Airflow's home.
    :param seed: of the people.
    """
    twin = undisturbed(scenario, home, seed)
    began = time.monotonic()
    environment = {**(_PATIENT if scenario.attack is None else {}), **scenario.environment}
    with make_world(scenario.direction, home, goal=scenario.goal, environment=environment, seed=seed) as world:
        scenario.story(world)
        before = len(world.nights)
        faults = world.box.faults
        faults.add(*scenario.faults)
        faults.braze = replace(faults.braze, **scenario.braze)
        faults.blueconic = replace(faults.blueconic, **scenario.blueconic)
        scenario.disturb(world)
        date = dt.datetime.now(dt.UTC).replace(microsecond=0) if scenario.same_run else None
        standard = world.goal
        world.write({**standard, "source": {**standard["source"], **scenario.source}})
        if scenario.attack is None:
            world.run(date=date)
        else:
            scenario.attack(world)
        hits = faults.hits() + world.kills
        world.write(standard)
        last = world.settle(scenario.calm, date=date)
        outcome = judge(scenario, world, twin)
        problems = [*outcome.problems]
        if last.state != "success":
            problems.append(f"without faults the goal did not end well in {_CALM_RUNS} runs: {_errors(last)}")
        if scenario.faults and not hits:
            problems.append("no request was hit by a fault")
        first = world.nights[before]
        if scenario.ends is not None and first.state != scenario.ends:
            problems.append(f"the disturbed run ended as {first.state}, not as {scenario.ends}: {_errors(first)}")
        problems += scenario.expect(world)
        log = "\n".join(night.run.log for night in world.nights if night.run) if problems else ""
    return replace(outcome, hits=hits, seconds=time.monotonic() - began, problems=tuple(problems), log=log)


def _errors(night: Night) -> str:
    """Find the lines of a run's log that say what went wrong."""
    lines = night.run.log.splitlines() if night.run else []
    telling = [line for line in lines if "Exception" in line or "error" in line.lower()]
    return " | ".join(line.strip()[:300] for line in telling[-3:])


@dataclass(frozen=True)
class Twin:
    """What an undisturbed story left in the target."""

    target: Mapping[str, Mapping[str, Any]] = field(repr=False)


_TWINS: dict[tuple[Any, ...], Twin] = {}


def undisturbed(scenario: Scenario, home: Path, seed: int) -> Twin:
    """Play a scenario's story without its faults, once for all scenarios that share it."""
    key = (scenario.direction, json.dumps(scenario.goal, sort_keys=True), scenario.story, seed)
    if key not in _TWINS:
        with make_world(scenario.direction, home, goal=scenario.goal, environment=_PATIENT, seed=seed) as world:
            scenario.story(world)
            night = world.run()
            if night.state != "success":
                log = night.run.log[-20_000:] if night.run else ""
                raise AssertionError(f"{scenario}: the undisturbed run failed: {_errors(night)}\n{log}")
            _TWINS[key] = Twin(world.target())
    return _TWINS[key]


def judge(scenario: Scenario, world: World, twin: Twin) -> Outcome:
    """Ask questions (a) to (d) of a world whose faults are gone and whose last run ended well."""
    problems: list[str] = []
    held = _held(world) if scenario.direction == "sums" else {}
    lost, added_twice = _compare_with_twin(world, twin, held)
    agreement = world.agreement()
    if lost:
        problems.append(f"the target differs from the undisturbed one: {dict(Counter(chain(*lost.values())))}")
    if not agreement.agreed:
        problems.append(f"both sides do not agree: {agreement}")
    if added_twice:
        problems.append(f"{len(added_twice)} numbers were added to twice")
    if held and not scenario.holds:
        problems.append(f"{len(held)} people are held, and nobody should be")
    doubled = _sent_again(list(chain(*(night.sent for night in world.nights))))
    if doubled:
        problems.append(f"{len(doubled)} acknowledged values were sent again: {sorted({name for _, name in doubled})}")
    for number, night in enumerate(world.nights):
        # Where the store fails, an upload that fails for it may not be able to keep its counters.
        is_counted = not night.is_killed and (night.is_uploaded or scenario.side != "S3")
        checked = _check_report(world.direction, night, is_counted=is_counted)
        problems += [f"run {number + 1}: {text}" for text in checked]
    return Outcome(
        scenario,
        runs=tuple(night.state for night in world.nights),
        people=agreement.people,
        held=len(held),
        lost=len(lost) + agreement.absent,
        doubled=len(doubled) + len(added_twice),
        problems=tuple(problems),
    )


def receipts(goal_id: str = GOAL_ID) -> list[dict[str, Any]]:
    """Read the receipts table; no rows before it is made."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    uri, options = f"{STAGING}/{goal_id}/receipts", StagingHook().storage_options()
    try:
        # Not is_deltatable(): it holds the interpreter's lock, which the sandbox's S3 in this process waits for.
        table = DeltaTable(uri, storage_options=options)
    except TableNotFoundError:
        return []
    rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
    return rows


def _held(world: World) -> dict[str, list[dict[str, Decimal]]]:
    """Find the profiles of whom something was sent with an unknown outcome → what of each number, each time."""
    added = {row["to"] for row in world.goal["fields"] if row.get("merge") == "sum"}
    held: defaultdict[str, list[dict[str, Decimal]]] = defaultdict(list)
    accepted = {(row["identifier"], row["delta_id"]) for row in receipts() if row["outcome"] == "accepted"}
    for row in receipts():
        fields = {name: value for name, value in json.loads(row["fields"] or "{}").items() if name in added}
        if row["outcome"] == "unknown" and fields and (row["identifier"], row["delta_id"]) not in accepted:
            held[world.whom(row["identifier"])].append({name: Decimal(text[0]) for name, text in fields.items()})
    return dict(held)


def _compare_with_twin(
    world: World, twin: Twin, held: Mapping[str, Sequence[Mapping[str, Decimal]]]
) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """Return who differs in which fields, and (who, field) of numbers that are larger than they should be."""
    added = {row["to"] for row in world.goal["fields"] if row.get("merge") == "sum"}
    there = world.target()
    lost: defaultdict[str, list[str]] = defaultdict(list)
    twice: list[tuple[str, str]] = []
    for person, fields in twin.target.items():
        for name in {*fields, *there.get(person, {})}:
            should, does = fields.get(name), there.get(person, {}).get(name)
            if does == should:
                continue
            if name in added:
                number, right = (Decimal(values[0]) if values else Decimal() for values in (does, should))
                doubtful = [each[name] for each in held.get(person, []) if name in each]
                if number > right:
                    twice.append((person, name))
                    continue
                if number in {right - sum(each, Decimal()) for each in _choices(doubtful)}:
                    continue
            lost[person].append(name)
    for person in there.keys() - twin.target.keys():
        lost[person].append("is there")
    return dict(lost), twice


def _choices(numbers: Sequence[Decimal]) -> Iterator[tuple[Decimal, ...]]:
    return chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1))


def _sent_again(sent: Sequence[Sent]) -> list[tuple[str, str]]:
    """Find (person, field) of values that were sent again after they had been acknowledged.

    A value is acknowledged when an answer that says so has reached the sender whole; a request that began after that
    must not hold it, unless it was another value in between. Numbers that are added to are question (d)'s: the same
    increase may rightly come again.
    """
    known: dict[tuple[str, str], tuple[str, float]] = {}
    again: list[tuple[str, str]] = []
    for each in sorted(sent, key=lambda one: one.began):
        for name, value in each.values.items():
            before = known.get((each.person, name))
            if before is not None and before[0] == value and before[1] <= each.began:
                again.append((each.person, name))
            elif before is not None:
                del known[each.person, name]
            if each.told == "accepted" and name not in each.refused:
                known[each.person, name] = (value, each.ended)
    return again


def _check_report(direction: Direction, night: Night, *, is_counted: bool) -> Iterator[str]:
    """Compare a run's report with what the server saw and said.

    What must be equal, also where answers are lost:

    * requests: every attempt that reached the server, answered or not, also of uploads that failed. An upload that was
      killed takes its counter with it, so of such a run the report may say less, never more.
    * accepted, not found, without consent: people of whom an answer that came whole says so. Not whom the server
      applied: where the answer is lost only the server knows. It may have applied more people than were accepted, never
      fewer.
    * rejected: people of whom an answer says so and none says yes. Those with an unknown outcome are counted with them.
    * everybody sent is accepted, not taken, unknown or unsent.
    * data points: what the report announces is what the server billed, less what it billed again for people whose
      answer was lost, plus what it did not bill for people whom it never applied. Only where nobody is unsent: of a
      person who was never in a request the server can't know what would have been billed.

    :param is_counted: the counters of all uploads were kept.
    """
    report, sent = night.report, night.sent
    if not report:
        return
    told = {outcome: {each.person for each in sent if each.told == outcome} for outcome in _OUTCOMES}
    accepted = told["accepted"]
    refused = told["rejected"] - accepted
    if (report["requests"] != night.requests) if is_counted else (report["requests"] > night.requests):
        yield f"the report says {report['requests']} requests, the server saw {night.requests}"
    if report["accepted"] != len(accepted):
        yield f"the report says {report['accepted']} accepted, the server said so of {len(accepted)}"
    for outcome in ("not_found", "no_consent"):
        if report[outcome] != len(told[outcome] - accepted):
            yield f"the report says {report[outcome]} {outcome}, the server said so of {len(told[outcome])}"
    if sum(report["rejected"].values()) - report["unknown"] != len(refused):
        yield f"the report says {report['rejected']} rejected, the server refused {len(refused)}"
    applied = Counter(each.person for each in sent if each.applied)
    if accepted - applied.keys():
        yield f"{len(accepted - applied.keys())} people were accepted and not applied"
    outcomes = sum(report[name] for name in ("accepted", "not_found", "no_consent", "unsent"))
    if outcomes + sum(report["rejected"].values()) != report["to_send"] and not report["dry_run"]:
        yield f"the outcomes do not add up to the {report['to_send']} people to send"
    if direction == "export":
        yield from _check_bill(night, applied)


_OUTCOMES = ("accepted", "rejected", "not_found", "no_consent")


def _check_bill(night: Night, applied: Mapping[str, int]) -> Iterator[str]:
    if any(each.applied is None for each in night.sent):
        return
    points = {each.person: data_points(each) for each in night.sent}
    billed = sum(points[person] * times for person, times in applied.items())
    if billed != night.counted["data_points"]:
        yield f"the server billed {night.counted['data_points']} data points, its answers tell of {billed}"
    again = sum(points[person] * (times - 1) for person, times in applied.items())
    never = sum(count for person, count in points.items() if person not in applied)
    if not night.report["unsent"] and night.report["data_points"] != billed - again + never:
        yield (
            f"the report says {night.report['data_points']} data points, the server billed {billed}, "
            f"{again} of them again, and {never} not"
        )

"""A model of a goal's life: random nights of one goal, compared after each step with what plain Python says of them.

The goal runs as in Airflow, step by step on a local disk (``tests/support/import_nights.py``). The model knows nothing of
ledgers and deltas. It keeps what the source held at each read, a list of everything that the target was ever sent, and
what became of it; from these few things the promises can be judged:

* nothing is written that was not read, and nothing that is older than what a finished run has brought;
* nothing that was acknowledged is sent again;
* what was added to a number is what its counter grew by, less what is in doubt by the receipts table, and never more;
* the ledger claims nothing that the target does not hold;
* after a run without faults the target holds what the source does, for everybody whom it takes;
* the report counts what the target counted.
"""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import json
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import structlog
from deltalake import DeltaTable
from hypothesis import HealthCheck, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from airflow_provider_braze_blueconic.exceptions import SyncError, WriterConflict
from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.sending import Reply, Verdict
from airflow_provider_braze_blueconic.sync.tables import Table
from tests.support.clock import in_clock_time
from tests.support.database import keep_duckdb_open
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Killed, Life

__all__ = ["ExportModel", "GoalModel", "ImportModel", "Steps", "play", "run_long"]

PEOPLE = ("ann", "bob", "cas")
HOUR = dt.timedelta(hours=1)
FIRST_NIGHT = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)
STEPS = ("extract", "map", "delta", "guard", "upload", "commit", "report")

_NEWS = ("none", "there", "taken back")
"""What the source does around a night: nothing, it changes before it, and it changes back after it."""

NOTHING = object()
"""A field of which nothing is said: its source is empty, or has a value that the target would not store."""


@dataclass(frozen=True)
class Row:
    """A row of the mapping.

    :param source: attribute or property of the source.
    :param how: type of an export's field, merge of an import's.
    :param of: of a sum: ``increase`` or ``value``.
    """

    source: str
    how: str
    of: str | None = None


@dataclass(frozen=True)
class Config:
    """A goal as it is declared at one moment."""

    fields: Mapping[str, Row]
    partitions: int = 2
    send: str = "changed_fields"
    leavers: str | Mapping[str, object] = "keep"
    when_missing: str = "keep"
    allow_creation: bool = False
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Sent:
    """One field of one person in one request, that the target applied or may have applied.

    :param how: ``SET`` and so on; of Braze always ``SET``.
    :param night: the run that sent it.
    :param number: place among everything sent.
    :param applied: the target has it.
    :param acknowledged: the answer said so.
    :param kept: the upload lived long enough to write that down.
    """

    who: str
    target: str
    how: str
    value: Any
    night: Night
    number: int
    applied: bool
    acknowledged: bool
    kept: bool = False


@dataclass(eq=False)
class Refused:
    """A person whom the target refused, or some of whose fields."""

    who: str
    outcome: str
    night: Night
    wanted: Mapping[str, Any]


@dataclass(eq=False)
class Night:
    """One run of the goal.

    :param snapshot: person → values, as the source held them when it read.
    :param disturbed: something went wrong in it, or another run was at work beside it.
    :param lost: it may not go on, since another run has done its part.
    :param known: length of the list of everything sent when the delta was made.
    :param faults: number of a request → what goes wrong with it.
    """

    number: int
    as_of: dt.datetime
    config: Config
    snapshot: Mapping[str, Mapping[str, Any]]
    complete: bool
    allow_stale: bool
    retry_held: bool
    run: Run = field(init=False)
    disturbed: bool = False
    lost: bool = False
    known: int = 0
    requests: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"night {self.number} of {self.as_of:%d %H:%M}"

    @property
    def steps_left(self) -> list[str]:
        done = self.run.done
        uploads = [f"upload {partition}" for partition in done.get("guard", ())]
        names = ["extract", "map", "delta", "guard", *uploads, "commit", "report"]
        return [name for name in names if name not in done]


class Steps:
    """Counts what was run, over all examples."""

    examples = 0
    steps = 0
    runs = 0
    kills = 0


_NO_ANSWER = Reply(Verdict.UNKNOWN, None, sentence="no answer came")

_NOT_DONE = {
    "busy": Reply(Verdict.RETRY, 503, sentence="busy"),
    "too fast": Reply(Verdict.WAIT, 429),
    "revoked": Reply(Verdict.STOP, 401, sentence="the key was revoked"),
}
"""What the target says where it did nothing."""


class Wire:
    """The target as one run reaches it: with faults on the way, and every record written down.

    :param model: keeps what was sent.
    """

    def __init__(self, model: GoalModel, night: Night) -> None:
        self._model = model
        self._night = night

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model.target, name)

    async def send(self, body: bytes) -> Reply:
        night = self._night
        night.requests += 1
        fault = night.faults.get(night.requests)
        if fault:
            night.disturbed = True
        if fault in _NOT_DONE:
            return _NOT_DONE[fault]
        if fault == "dropped":
            self._model.note(night, body, None)
            return _NO_ANSWER
        reply: Reply = await self._model.target.send(body)
        self._model.note(night, body, reply, answered=fault is None)
        if fault == "lost":
            return _NO_ANSWER
        if fault == "unclear":
            return Reply(Verdict.READ_ENTRIES, 201, unanswered=tuple(range(len(self._model.entries(body)))))
        return reply


_lives: list[Life] = []
"""The process of the step that runs now."""


@contextmanager
def _in_process(life: Life) -> Iterator[None]:
    _lives.append(life)
    try:
        yield
    finally:
        _lives.pop()


@contextmanager
def fast_and_alone() -> Iterator[None]:
    """Uploads run in a time of their own, DuckDB stays open, and commits of the tables count as durable writes."""
    write = Table._write

    def counted(table: Table, *args: Any, **how: Any) -> None:
        return _lives[-1].write(f"commit {table.uri}", lambda: write(table, *args, **how))

    with (
        mock.patch.object(asyncio, "run", lambda main: in_clock_time(lambda _: main)),
        keep_duckdb_open(),
        mock.patch.object(Table, "_write", counted),
    ):
        yield


class GoalModel(RuleBasedStateMachine):
    """One goal, its two ends, and everything that can happen to them."""

    ROWS: ClassVar[Mapping[str, Sequence[Row]]]
    """Target → the rows that a goal may have for it."""
    REFUSALS: ClassVar[tuple[str, ...]]
    """Ways in which the target can refuse a person."""

    direction: ClassVar[str]
    target: Any

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="braze-blueconic-model-"))
        self.now = FIRST_NIGHT
        self.source: dict[str, dict[str, Any]] = {who: {} for who in PEOPLE}
        self.members: set[str] = set(PEOPLE)
        self.config = Config({})
        self.nights: list[Night] = []
        self.open: list[Night] = []
        self.sent: list[Sent] = []
        self.last: dict[tuple[str, str], Sent] = {}
        self.refused: dict[str, list[Refused]] = defaultdict(list)
        self.foreign: set[tuple[str, str]] = set()
        self.counters: Counter[tuple[str, str]] = Counter()
        """(person, source) → what a counter last stood at."""
        self.risen: Counter[tuple[str, str]] = Counter()
        """(person, source) → what a counter grew by in all."""
        self.newest: dt.datetime | None = None
        self.faults: list[str] = []
        self.quiet = False
        """Nothing has changed since the last run, and that one was not disturbed."""
        Steps.examples += 1
        Steps.steps -= 1

    def teardown(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def check_invariants(self, *args: Any, **options: Any) -> None:
        """Count the steps: Hypothesis calls it after each, and once before the first."""
        Steps.steps += 1
        super().check_invariants(*args, **options)

    # What each direction says for itself

    def goal(self, night: Night) -> ImportGoalOf | ExportGoalOf:
        raise NotImplementedError

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        """Read a request: (person, target → (how, value)) of each record."""
        raise NotImplementedError

    def wanted(self, config: Config, target: str, values: Mapping[str, Any]) -> Any:
        """Say what a person's field should be told; ``NOTHING`` for nothing."""
        raise NotImplementedError

    def holds(self, who: str, target: str) -> Any:
        raise NotImplementedError

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        raise NotImplementedError

    def takes(self, config: Config, who: str) -> bool:
        """Tell whether the target takes a person now."""
        raise NotImplementedError

    def takes_field(self, target: str) -> bool:
        return True

    def who_is(self, identifier: str) -> str:
        raise NotImplementedError

    def ledger_value(self, text: str) -> Any:
        return json.loads(text)

    # What the target is sent

    def note(self, night: Night, body: bytes, reply: Reply | None, *, answered: bool = False) -> None:
        """Write down what a request held, and judge it.

        :param reply: the target's; ``None`` if the request never reached it.
        """
        entries = self.entries(body)
        refusals = {refusal.position: refusal.outcome for refusal in reply.refusals} if reply else {}
        for position, (who, fields) in enumerate(entries):
            self._judge(night, who, fields)
            partial = reply.partial.get(position, {}) if reply else {}
            wanted = self._all_wanted(night, who)
            if position in refusals:
                self.refused[who].append(Refused(who, refusals[position], night, wanted))
                night.outcomes[who] = refusals[position] if answered else "unknown"
                continue
            night.outcomes[who] = "accepted" if answered else "unknown"
            night.told[who] = len(fields)
            if partial or not answered:
                self.refused[who].append(Refused(who, "fields" if answered else "unknown", night, wanted))
            for target, (how, value) in fields.items():
                if target not in partial:
                    one = Sent(who, target, how, value, night, len(self.sent), reply is not None, answered)
                    self.sent.append(one)
                    self.last[who, target] = one
                    if one.applied:
                        self.foreign.discard((who, target))

    def _all_wanted(self, night: Night, who: str) -> Mapping[str, Any]:
        values = night.snapshot.get(who)
        if values is None:
            return {}
        return {target: self.wanted(night.config, target, values) for target in night.config.fields}

    def _judge(self, night: Night, who: str, fields: Mapping[str, tuple[str, Any]]) -> None:
        if not night.allow_stale and self.newest is not None and night.as_of < self.newest:
            self.faults.append(f"{night} sent {who} although a run of {self.newest} was finished")
        wanted = self._all_wanted(night, who)
        needless = []
        for target, (how, value) in fields.items():
            if who not in night.snapshot:
                if not night.complete or self._of_leavers(night.config).get(target, NOTHING) != value:
                    self.faults.append(f"{night} wrote {target} of {who}, who was not in the read: {value!r}")
            elif how != "INCREMENT" and wanted.get(target, NOTHING) != value:
                self.faults.append(f"{night} wrote {target} of {who} as {value!r}, not as {wanted.get(target)!r}")
            elif how == "INCREMENT" and night.config.fields[target].of == "value" and wanted[target] != value:
                self.faults.append(f"{night} added {value!r} to {target} of {who}, not {wanted[target]!r}")
            needless.append(self._is_known(night, who, target, how, value))
        if any(needless) and (night.config.send == "changed_fields" or all(needless)):
            self.faults.append(f"{night} sent {who} again what was acknowledged: {dict(fields)}")

    def _of_leavers(self, config: Config) -> Mapping[str, Any]:
        if config.leavers == "clear_fields":
            return dict.fromkeys(config.fields, None)
        return config.leavers if isinstance(config.leavers, Mapping) else {}

    def _is_known(self, night: Night, who: str, target: str, how: str, value: Any) -> bool:
        """Tell whether the target is known to have this already, from before the delta was made or from this run."""
        last = self.last.get((who, target))
        if last is None or (last.how, last.value) != (how, value):
            return False
        if last.night is not night and last.number >= night.known:
            return False
        if how == "INCREMENT":
            # Of numbers also what is in doubt counts; what a counter grew by may well be the same twice.
            return night.config.fields[target].of == "value"
        return last.acknowledged and last.kept

    # Runs

    def begin(
        self,
        as_of: dt.datetime | None = None,
        snapshot: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        complete: bool = True,
        allow_stale: bool = False,
        retry_held: bool = False,
    ) -> Night:
        """Make a run; by default one that reads the source as it is now."""
        if as_of is None:
            self.now += HOUR
            as_of = self.now
        seen = copy.deepcopy({who: self.source[who] for who in sorted(self.members)}) if snapshot is None else snapshot
        night = Night(len(self.nights), as_of, self.config, seen, complete, allow_stale, retry_held)
        how: dict[str, Any] = {"allow_stale": allow_stale, "retry_held": retry_held}
        night.run = Run(
            self.home, self.goal(night), as_of, partitions=night.config.partitions, complete=complete, **how
        )
        self.nights.append(night)
        return night

    def go(self, night: Night, *, steps: int = 100, life: Life | None = None) -> bool:
        """Take steps of a run as Airflow does; tell whether its process lived.

        Where a step fails that another follows whatever became of it, the others follow.
        """
        life = life or Life()
        for name in self._next_steps(night, steps):
            if name == "delta":
                night.known = len(self.sent)
            if not self._step(night, name, life):
                return False
            if night.lost:
                break
        return True

    def _next_steps(self, night: Night, steps: int) -> Iterator[str]:
        for _ in range(steps):
            if not night.steps_left:
                return
            yield night.steps_left[0]

    def _step(self, night: Night, name: str, life: Life) -> bool:
        """Take one step; tell whether its process lived."""
        before, lived = len(self.sent), True
        with _in_process(life):
            try:
                night.run.run(life, last=name)
            except Killed:
                lived = False
            except WriterConflict:
                night.lost = True
            except SyncError:
                # Its task failed. Commit and report follow whatever became of the uploads.
                night.run.done[name] = None
        night.disturbed |= not lived or night.lost
        for one in self.sent[before:]:
            one.kept = lived
        if lived and name == "commit" and not night.lost:
            self.newest = max(night.as_of, self.newest or night.as_of)
        Steps.kills += not lived
        Steps.runs += name == "report"
        return lived

    def check(self) -> None:
        """Judge what holds after every step, whatever happened."""
        assert not self.faults, self.faults
        self._check_sums()
        self._check_ledger()

    def _check_sums(self) -> None:
        for target, rows in self.ROWS.items():
            for row in rows:
                if row.of == "increase":
                    for who in PEOPLE:
                        added, risen = self.added(who, target), self.risen[who, row.source]
                        assert added <= risen, f"{who}: {added} was added to {target}, its counter grew by {risen}"

    def added(self, who: str, target: str) -> Decimal:
        return sum(
            (Decimal(one.value) for one in self.sent if (one.who, one.target) == (who, target) and one.applied),
            start=Decimal(0),
        )

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        folder = self.home / "staging" / "goal" / name
        if not (folder / "_delta_log").exists():
            return []
        return list(DeltaTable(str(folder)).to_pyarrow_table().to_pylist())

    def in_doubt(self, who: str, target: str) -> list[Decimal]:
        """Numbers of a person of which the receipts table says that they may have been added."""
        return [
            Decimal(json.loads(row["fields"])[target][0])
            for row in self.rows_of("receipts")
            if row["outcome"] == "unknown" and self.who_is(row["identifier"]) == who
            if target in json.loads(row["fields"])
        ]

    def _check_ledger(self) -> None:
        """The ledger claims what the target holds, where no upload's outcome is still to be put into it."""
        if any((self.home / "staging" / "goal" / "open").glob("*")) or any(
            "commit" not in n.run.done for n in self.open
        ):
            return
        everything = {target for rows in (self.ROWS, {"left": ()}) for target in rows}
        for known in self.rows_of("ledger"):
            who = self.who_is(known["identifier"])
            for target in everything:
                text, last = known.get(field_column(target)), self.last.get((who, target))
                if text is None or any(row.how == "sum" for row in self.ROWS.get(target, ())):
                    continue
                claimed = self.ledger_value(text)
                if text != json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False):
                    continue  # no value is written so: the ledger says that it does not know
                assert last is not None, f"the ledger claims {target} of {who}, which was never sent: {claimed!r}"
                possible = self.acknowledged(who, target)
                assert claimed in possible, f"the ledger claims {target} of {who} as {claimed!r}, not one of {possible}"
                if last.how == "SET" and (who, target) not in self.foreign:
                    held = self.holds(who, target)
                    assert held == claimed, f"the ledger claims {target} of {who} as {claimed!r}; there is {held!r}"

    def acknowledged(self, who: str, target: str) -> list[Any]:
        """Values of a field that may be known as the last acknowledged: those after the last one that was kept, and it."""
        values: list[Any] = []
        for one in self.sent:
            if (one.who, one.target) == (who, target) and one.acknowledged:
                values = [one.value] if one.kept else [*values, one.value]
        return values

    def check_good(self, night: Night) -> None:
        """Judge a run that read the newest data and was not disturbed."""
        report = night.run.report
        counted = Counter(night.outcomes.values())
        said = {name: report[name] for name in ("accepted", "not_found", "no_consent", "unknown")}
        assert said == {name: counted[name] for name in said}, f"{night}: the report says {said}, not {counted}"
        assert sum(report["rejected"].values()) == counted["rejected"] + counted["unknown"]
        assert report["to_send"] == len(night.outcomes)
        for who, values in night.snapshot.items():
            if not self.takes(night.config, who) or self.may_rest(night, who):
                continue
            for target, row in night.config.fields.items():
                wanted = self.wanted(night.config, target, values)
                if wanted is NOTHING or not self.takes_field(target):
                    continue
                if row.how == "sum":
                    self._check_sum(who, target, row, wanted)
                elif (who, target) not in self.foreign:
                    held = self.holds(who, target)
                    assert self.agrees(row, wanted, held), (
                        f"{night}: {target} of {who} is {held!r}, but should be {wanted!r} ({row.how})"
                    )

        self._check_leavers(night)

    def _check_leavers(self, night: Night) -> None:
        """Judge what became of who was in the read before, if that one was good, and is not in this one."""
        before = self.nights[night.number - 1] if night.number else night
        if before.disturbed or before.steps_left or not night.complete or before.as_of > night.as_of:
            return
        for who in before.snapshot.keys() - night.snapshot.keys():
            for target, value in self._of_leavers(night.config).items():
                is_ours = value is not None or self.acknowledged(who, target)
                if is_ours and not self.refused[who] and (who, target) not in self.foreign:
                    held = self.holds(who, target)
                    assert held == value, f"{night}: {who} left; {target} is {held!r}, but should be {value!r}"

    def _check_sum(self, who: str, target: str, row: Row, wanted: str) -> None:
        doubt = self.in_doubt(who, target)
        if row.of == "increase":
            least = Decimal(wanted) - sum(doubt)
            assert self.added(who, target) >= least, f"{who}: less than {least} was added to {target}"
        else:
            last = self.last.get((who, target))
            assert (last and last.value == wanted) or Decimal(wanted) in doubt, f"{who}: {wanted} not added to {target}"

    def may_rest(self, night: Night, who: str) -> bool:
        """Tell whether a person may go unsent because the target refused the same before."""
        if night.retry_held or not self.refused[who]:
            return False
        last = self.refused[who][-1]
        if last.night is night:
            return True
        if last.outcome in ("not_found", "no_consent") and night.as_of - last.night.as_of > dt.timedelta(days=7):
            return False
        for target, wanted in self._all_wanted(night, who).items():
            told = self.last.get((who, target))
            known = told.value if told and told.acknowledged else NOTHING
            if wanted is not NOTHING and wanted != last.wanted.get(target, NOTHING) and wanted != known:
                return False
        return True

    # Rules: what changes

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def the_source_changes(self, who: str, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.source[who])), label="source")
        self.change(who, name, data.draw(self.values(name), label="value"))

    def change(self, who: str, name: str, value: Any) -> None:
        if isinstance(value, int):
            self.risen[who, name] += max(0, value - self.counters[who, name])
            self.counters[who, name] = value
        self.source[who][name] = value
        self.quiet = False

    def values(self, name: str) -> st.SearchStrategy[Any]:
        raise NotImplementedError

    @precondition(lambda self: self.nights)
    @rule(back=st.integers(0, 2))
    def the_source_is_again_as_it_was(self, back: int) -> None:
        self._take_source_back(self.nights[-1 - back % len(self.nights)].snapshot)

    def _take_source_back(self, before: Mapping[str, Mapping[str, Any]]) -> None:
        for who, values in before.items():
            for name, value in values.items():
                if value != self.source[who][name]:
                    self.change(who, name, copy.deepcopy(value))

    @rule(who=st.sampled_from(PEOPLE))
    def a_person_enters_or_leaves(self, who: str) -> None:
        self.members ^= {who}
        self.quiet = False

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def the_target_refuses_a_person_or_takes_them_again(self, who: str, data: st.DataObject) -> None:
        self.refuse(who, data.draw(st.sampled_from(self.REFUSALS), label="how"))
        self.quiet = False

    def refuse(self, who: str, how: str) -> None:
        raise NotImplementedError

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def somebody_else_changes_the_target(self, who: str, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(self.ROWS)), label="target")
        if any(row.how == "sum" for row in self.ROWS[target]):
            return
        if self.change_target(who, target):
            self.foreign.add((who, target))

    def change_target(self, who: str, target: str) -> bool:
        raise NotImplementedError

    @rule(data=st.data())
    def the_mapping_changes(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(self.ROWS)), label="target")
        rows = [None, *self.ROWS[target]]
        row = data.draw(st.sampled_from(rows), label="row")
        fields = {name: old for name, old in self.config.fields.items() if name != target}
        if row is not None:
            fields[target] = row
        if fields:
            self.config = replace(self.config, fields=fields)
            self.quiet = False

    @rule(data=st.data())
    def the_goal_changes(self, data: st.DataObject) -> None:
        self.config = replace(self.config, **data.draw(self.policies(), label="policy"))
        self.quiet = False

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        raise NotImplementedError

    @rule()
    def eight_days_pass(self) -> None:
        self.now += dt.timedelta(days=8)
        self.quiet = False

    # Rules: runs

    @rule(retry_held=st.sampled_from([False, False, True]), complete=st.sampled_from([True, True, False]))
    def a_night_goes_well(self, retry_held: bool, complete: bool) -> None:
        night = self.begin(complete=complete, retry_held=retry_held)
        self.go(night)
        self.check()
        if not night.disturbed:
            self.check_good(night)
            if self.quiet:
                accepted = [who for who, outcome in night.outcomes.items() if outcome == "accepted"]
                assert not accepted, f"{night}: nothing had changed, and {accepted} were sent"
            self.quiet = not self.open

    @rule(
        first=st.sampled_from([1, 1, 2, 3]),  # most nights have a request or two
        count=st.sampled_from([1, 2, 7, 7]),  # only what is lost again and again leaves people unknown
        fault=st.sampled_from(["busy", "too fast", "dropped", "lost", "lost", "unclear", "revoked"]),
        again=st.booleans(),
        news=st.sampled_from(_NEWS),
        data=st.data(),
    )
    def a_night_with_faults_on_the_way(
        self, first: int, count: int, fault: str, again: bool, news: str, data: st.DataObject
    ) -> None:
        with self._news(news, data):
            night = self.begin()
            night.faults = dict.fromkeys(range(first, first + count), fault)
            self.go(night)
        self.quiet = self.quiet and not night.disturbed
        if again:
            failed = [name for name, result in night.run.done.items() if result is None]
            if failed:
                night.run.again(*failed, "commit", "report")
                self.go(night)
        self.check()

    @contextmanager
    def _news(self, news: str, data: st.DataObject) -> Iterator[None]:
        """Have the source change before a night, and perhaps be again as it was after it."""
        before = copy.deepcopy(self.source)
        if news != "none":
            self.the_source_changes(data.draw(st.sampled_from(PEOPLE), label="who"), data)
        yield
        if news == "taken back":
            self._take_source_back(before)

    @rule(
        until=st.integers(1, 24),
        after=st.booleans(),
        then=st.sampled_from(["again", "killed again", "given up"]),
        news=st.sampled_from(_NEWS),
        data=st.data(),
    )
    def a_night_is_killed(self, until: int, after: bool, then: str, news: str, data: st.DataObject) -> None:
        with self._news(news, data):
            night = self.begin()
            lived = self.go(night, life=Life(until, after=after))
            self.quiet = False
            if then == "killed again" and not lived:
                lived = self.go(night, life=Life(max(1, until // 2), after=not after))
            if then != "given up" and not lived:
                self.go(night)
        self.check()

    @precondition(lambda self: len(self.open) < 2)
    @rule(steps=st.integers(1, 6))
    def a_run_begins(self, steps: int) -> None:
        night = self.begin()
        self.go(night, steps=steps)
        self.quiet = False
        if night.steps_left:
            self.open.append(night)
        self.check()

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 1), steps=st.integers(1, 7), until=st.sampled_from([None, None, 1, 2, 3, 5]))
    def a_run_goes_on(self, which: int, steps: int, until: int | None) -> None:
        night = self.open[which % len(self.open)]
        self.quiet = False
        self.go(night, steps=steps, life=Life(until))
        if not night.steps_left or night.lost:
            self.open.remove(night)
        self.check()

    @precondition(lambda self: self.dead)
    @rule(which=st.integers(0, 3))
    def a_dead_run_is_tried_again_late(self, which: int) -> None:
        night = self.dead[which % len(self.dead)]
        self.go(night)
        self.quiet = False
        self.check()

    @property
    def dead(self) -> list[Night]:
        """Runs that were given up before their end."""
        return [night for night in self.nights if night.steps_left and night not in self.open and not night.lost]

    @precondition(lambda self: self.nights)
    @rule(back=st.integers(0, 3), first=st.sampled_from(STEPS[1:]))
    def steps_of_a_run_are_cleared(self, back: int, first: str) -> None:
        night = self.nights[-1 - back % len(self.nights)]
        if night in self.open or night.steps_left or night.lost:
            return
        night.run.again(*STEPS[STEPS.index(first) :])
        self.go(night)
        self.quiet = self.quiet and night is self.nights[-1]
        self.check()

    @precondition(lambda self: self.nights)
    @rule(back=st.integers(0, 3), allow_stale=st.booleans())
    def an_old_date_is_filled_in_again(self, back: int, allow_stale: bool) -> None:
        old = self.nights[-1 - back % len(self.nights)]
        night = self.begin(old.as_of, old.snapshot, allow_stale=allow_stale)
        self.go(night)
        self.quiet = self.quiet and not allow_stale
        self.check()


class ExportModel(GoalModel):
    """An export goal, from BlueConic to Braze."""

    direction = "export"
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "x": [Row("p", "string"), Row("q", "string"), Row("p", "integer")],
        "y": [Row("q", "string"), Row("q", "integer")],
        "tags": [Row("l", "array")],
    }
    REFUSALS = ("rejected",)

    def __init__(self) -> None:
        super().__init__()
        self.target = Braze()
        self.config = Config({"x": Row("p", "string"), "tags": Row("l", "array")})
        for number, who in enumerate(PEOPLE):
            self.source[who] = {"p": "a", "q": str(number), "l": ["r"]}

    def goal(self, night: Night) -> ExportGoalOf:
        profiles = [
            {
                "crm_id": [who],
                **{name: value if isinstance(value, list) else [value] for name, value in values.items() if value},
            }
            for who, values in night.snapshot.items()
        ]
        return ExportGoalOf(
            "goal",
            Wire(self, night),  # type: ignore[arg-type]
            BlueConic(*copy.deepcopy(profiles)),
            [(row.source, target, {"type": row.how}) for target, row in night.config.fields.items()],
            mapping={"when_missing": night.config.when_missing},
            delta={"send": night.config.send, "leavers": night.config.leavers},
        )

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        return [
            (
                entry["external_id"],
                {
                    name: ("SET", value)
                    for name, value in entry.items()
                    if name not in ("external_id", "_update_existing_only")
                },
            )
            for entry in json.loads(body)["attributes"]
        ]

    def wanted(self, config: Config, target: str, values: Mapping[str, Any]) -> Any:
        row = config.fields[target]
        value = values.get(row.source)
        if not value:
            return None if config.when_missing == "clear" else NOTHING
        if row.how == "integer":
            return int(value) if value.isdigit() else NOTHING
        return sorted(set(value)) if row.how == "array" else value

    def holds(self, who: str, target: str) -> Any:
        return self.target.users.get(who, {}).get(target)

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        return bool(wanted == held)

    def takes(self, config: Config, who: str) -> bool:
        return who not in self.target.rejected

    def who_is(self, identifier: str) -> str:
        return str(json.loads(identifier)["external_id"])

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "l":
            return st.lists(st.sampled_from(["r", "s"]), max_size=2, unique=True)
        return st.sampled_from(["a", "1", None])

    def refuse(self, who: str, how: str) -> None:
        self.target.rejected ^= {who}

    def change_target(self, who: str, target: str) -> bool:
        self.target.users.setdefault(who, {})[target] = "of somebody else"
        return True

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            st.builds(lambda n: {"partitions": n}, st.integers(1, 3)),
            st.builds(lambda how: {"send": how}, st.sampled_from(["changed_fields", "whole_profile"])),
            st.builds(lambda how: {"leavers": how}, st.sampled_from(["keep", "clear_fields", {"left": True}])),
            st.builds(lambda how: {"when_missing": how}, st.sampled_from(["keep", "clear"])),
        )


class _Particular(BlueConic):
    """A BlueConic that also rejects people as such."""

    def __init__(self, *profiles: dict[str, list[str]], types: Mapping[str, str]) -> None:
        super().__init__(*profiles, types=types)
        self.rejected: set[str] = set()

    def _put(self, entry: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        if self.rejected.intersection(condition["value"] for all_of in entry["matching"] for condition in all_of):
            return "rejected", {}
        return super()._put(entry)


class ImportModel(GoalModel):
    """An import goal, from Braze to BlueConic."""

    direction = "import"
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "level": [Row("t", "set"), Row("u", "set"), Row("t", "set_or_clear")],
        "nick": [Row("u", "set_if_empty"), Row("u", "set")],
        "score": [Row("t", "set"), Row("n", "set")],
        "tags": [Row("l", "add"), Row("l", "set"), Row("l", "remove")],
        "gone": [Row("l", "remove"), Row("l", "add")],
        "spent": [Row("n", "sum", "increase")],
        "paid": [Row("n", "sum", "value")],
    }
    REFUSALS = ("rejected", "no_consent", "not_found", "fields")

    def __init__(self) -> None:
        super().__init__()
        self.target = _Particular(
            {"crm_id": ["ann"], "level": ["z"], "tags": ["z"], "gone": ["r", "s"]},
            {"crm_id": ["bob"], "nick": ["Bobby"], "gone": ["t"]},
            types={"score": "RANGE", "spent": "DECIMAL", "paid": "DECIMAL"},
        )
        self.config = Config(
            {"level": Row("t", "set"), "tags": Row("l", "add"), "spent": Row("n", "sum", "increase")},
            types={},
        )
        for number, who in enumerate(PEOPLE, start=1):
            self.source[who] = {"t": "a", "u": "b", "l": ["r"], "n": None}
            self.change(who, "n", number)

    def goal(self, night: Night) -> ImportGoalOf:
        users = {who: copy.deepcopy(dict(values)) for who, values in night.snapshot.items()}
        return ImportGoalOf(
            "goal",
            Braze(**users),
            Wire(self, night),  # type: ignore[arg-type]
            [
                (
                    f"custom_attributes.{row.source}",
                    target,
                    {"merge": row.how} | ({"of": row.of} if row.of else {}),
                )
                for target, row in night.config.fields.items()
            ],
            allow_creation=night.config.allow_creation,
        )

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        return [
            (
                entry["matching"][0][0]["value"],
                {
                    one["id"]: (one["strategy"], one["values"][0] if one["strategy"] == "INCREMENT" else one["values"])
                    for one in entry["properties"]
                    if one["id"] != "crm_id"
                },
            )
            for entry in json.loads(body)
        ]

    def wanted(self, config: Config, target: str, values: Mapping[str, Any]) -> Any:
        row = config.fields[target]
        value = values.get(row.source)
        if value in (None, []):
            return [] if row.how == "set_or_clear" else NOTHING
        if row.how == "sum":
            return str(value)
        texts = sorted(set(value)) if isinstance(value, list) else [str(value)]
        if target == "score" and not all(text.isdigit() for text in texts):
            return NOTHING
        return texts

    def holds(self, who: str, target: str) -> Any:
        return self.target.values("crm_id", who, target)

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        held = held or []
        match row.how:
            case "add":
                return set(wanted) <= set(held)
            case "remove":
                return not set(wanted) & set(held)
            case "set_if_empty":
                return bool(held)
            case _:
                return bool(wanted == held)

    def takes(self, config: Config, who: str) -> bool:
        known = config.allow_creation or self.target._found([[{"id": "crm_id", "value": who}]]) is not None
        return known and who not in self.target.rejected | self.target.without_consent

    def takes_field(self, target: str) -> bool:
        return target not in self.target.refused

    def who_is(self, identifier: str) -> str:
        return str(json.loads(identifier)["braze_id"]).removeprefix("b-")

    def ledger_value(self, text: str) -> Any:
        return json.loads(text) or []

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "l":
            return st.lists(st.sampled_from(["r", "s"]), max_size=2, unique=True)
        if name == "n":
            return st.one_of(st.none(), st.integers(1, 9))
        return st.sampled_from(["a", "7", None])

    def refuse(self, who: str, how: str) -> None:
        match how:
            case "rejected":
                self.target.rejected ^= {who}
            case "no_consent":
                self.target.without_consent ^= {who}
            case "not_found":
                if self.target._found([[{"id": "crm_id", "value": who}]]) is None:
                    self.target.profiles.append({"crm_id": [who]})
            case "fields":
                self.target.refused ^= {"level", "spent"}

    def change_target(self, who: str, target: str) -> bool:
        profile = self.target._found([[{"id": "crm_id", "value": who}]])
        if profile is not None:
            profile[target] = ["0"]
        return profile is not None

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            st.builds(lambda n: {"partitions": n}, st.integers(1, 3)),
            st.builds(lambda how: {"send": how}, st.sampled_from(["changed_fields", "whole_profile"])),
            st.builds(lambda how: {"allow_creation": how}, st.booleans()),
        )


def play(machine: type[GoalModel], *, examples: int, steps: int, seed: int | None = None) -> None:
    """Try examples of a model.

    :param seed: of the examples; ``None`` takes the same ones every time.
    :raises AssertionError: a promise was not kept; the shortest sequence that was found is in its notes.
    """
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=seed is None,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    # A class of its own, since a seed stays with the class that it was given to.
    one = type(machine.__name__, (machine,), {})
    with fast_and_alone():
        run_state_machine_as_test(one if seed is None else with_seed(seed)(one), settings=chosen)


def run_long(seed: int, minutes: float) -> bool:
    """Try examples on every core until the time is over, and say how many they were.

    :param seed: of the first examples; those that follow have the numbers that follow.
    :return: whether every one kept the promises.
    """
    cores = os.cpu_count() or 1
    # Not forked: a fork takes the threads' locks along.
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        played = list(pool.map(_play_seeds, range(seed, seed + cores), repeat(cores), repeat(minutes)))
    for each in played:
        print(each.failure, end="")  # noqa: T201
    counts = sum((each.counts for each in played), Counter())
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"model test, seeds {seed} to {max(each.last for each in played)}: {told}")  # noqa: T201
    return not any(each.failure for each in played)


@dataclass(frozen=True)
class _Played:
    """What one process tried.

    :param last: the last seed.
    :param failure: the promise that was not kept, with the sequence that led to it; empty if all were.
    """

    last: int
    counts: Counter[str]
    failure: str


def _play_seeds(first: int, every: int, minutes: float) -> _Played:
    """Play every so many seeds until the time is over, or a promise was not kept."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    until, seed, failure = time.monotonic() + 60 * minutes, first, ""
    while not failure and time.monotonic() < until:
        for machine in (ExportModel, ImportModel):
            try:
                play(machine, examples=10, steps=30, seed=seed)
            except Exception as error:  # noqa: BLE001  whatever it is, the sequence that led to it is shown
                trace = "".join(traceback.format_exception(error))
                failure += f"model test, {machine.__name__}, seed {seed}:\n{trace}\n"
        seed += every
    counts = {name: getattr(Steps, name) for name in ("examples", "steps", "runs", "kills")}
    return _Played(seed - every, Counter(counts), failure)

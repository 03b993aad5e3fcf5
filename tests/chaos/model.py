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
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from deltalake import DeltaTable
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, SyncError, WriterConflict
from airflow_provider_braze_blueconic.sync.blueconic import snapshot as snapshot_module
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict
from airflow_provider_braze_blueconic.sync.state import ledger as ledger_module
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger
from airflow_provider_braze_blueconic.sync.store.tables import Table, microseconds
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.clock import in_clock_time
from tests.support.database import keep_duckdb_open
from tests.support.import_nights import ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Killed, Life

__all__ = [
    "NOTHING",
    "PEOPLE",
    "STEPS",
    "Config",
    "GoalModel",
    "Night",
    "Place",
    "Row",
    "Steps",
    "Wire",
    "fast_and_alone",
]

PEOPLE = ("ann", "bob", "cas")
HOUR = dt.timedelta(hours=1)
WEEK = dt.timedelta(days=7)
FIRST_NIGHT = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)
STEPS = ("extract", "map", "delta", "guard", "upload", "commit", "report")

NEWS = ("none", "there", "taken back")
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


Place = tuple[str, str]
"""Where in the target a person is: the connection, and by what the person is found there."""


@dataclass(frozen=True)
class Config:
    """A goal as it is declared at one moment.

    :param links: by what people are known; each machine says what that means.
    :param read: ``full`` or ``modified``, of an export.
    """

    fields: Mapping[str, Row]
    partitions: int = 1
    send: str = "changed_fields"
    leavers: str | Mapping[str, object] = "keep"
    when_missing: str = "keep"
    allow_creation: bool = False
    segment: str = "Everybody"
    connection: str = "target"
    objectives: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    read: str = "full"


@dataclass(eq=False)
class Sent:
    """One field of one person in one request, that the target applied or may have applied.

    :param how: ``SET`` and so on; of Braze always ``SET``.
    :param place: where in the target it went: two of them hold different values of one person.
    :param night: the run that sent it.
    :param number: place among everything sent.
    :param applied: the target has it.
    :param acknowledged: the answer said so.
    :param busy: the target said that it did nothing of it for now, so the same upload may try again.
    :param kept: the upload lived long enough to write that down.
    """

    who: str
    target: str
    how: str
    value: Any
    night: Night
    number: int
    place: Place
    applied: bool
    acknowledged: bool
    busy: bool = False
    kept: bool = False


@dataclass(eq=False)
class Refused:
    """A person whom the target refused, or some of whose fields."""

    who: str
    outcome: str
    night: Night
    wanted: Mapping[str, Any]
    place: Place


@dataclass(eq=False)
class Night:
    """One run of the goal.

    :param everybody: person → values, of all who were in the segment when it read.
    :param snapshot: those of them whom it read.
    :param reads: what comes of the read: see ``GoalModel.read``.
    :param replays: the run whose snapshot it reads again.
    :param limits: of the goal, in this night.
    :param planned: it is a dry run.
    :param looks: it asks first what the target holds.
    :param complete: absence from what it read means departure.
    :param missing: so many people may have been missing from the read.
    :param disturbed: something went wrong in it, or another run was at work beside it.
    :param broken_off: its process died in an upload.
    :param lost: it may not go on, since another run has done its part.
    :param known: length of the list of everything sent when the delta was made.
    :param faults: number of a request → what goes wrong with it.
    :param errors: step → why it failed.
    :param outcomes: person → what became of the person's record.
    :param left: people who were told something as leavers.
    """

    number: int
    as_of: dt.datetime
    config: Config
    everybody: Mapping[str, Mapping[str, Any]]
    snapshot: Mapping[str, Mapping[str, Any]]
    reads: str = "whole"
    replays: Night | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    planned: bool = False
    looks: bool = False
    allow_stale: bool = False
    retry_held: bool = False
    complete: bool = False
    missing: int = 0
    run: Run = field(init=False)
    disturbed: bool = False
    broken_off: bool = False
    lost: bool = False
    known: int = 0
    requests: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    errors: dict[str, SyncError] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"night {self.number} of {self.as_of:%d %H:%M}"

    @property
    def steps_left(self) -> list[str]:
        done = self.run.done
        uploads = [f"upload {partition}" for partition in done.get("guard") or ()]
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
        self._target = model.targets[night.config.connection]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    async def send(self, body: bytes) -> Reply:
        night = self._night
        night.requests += 1
        fault = night.faults.get(night.requests)
        if fault:
            night.disturbed = True
        if fault in ("busy", "dropped"):
            # Also who is told to be busy, again and again, may have taken it.
            self._model.note(night, body, None, busy=fault == "busy")
        if fault == "dropped":
            return _NO_ANSWER
        if fault in _NOT_DONE:
            return _NOT_DONE[fault]
        reply: Reply = await self._target.send(body)
        self._model.note(night, body, reply, answered=fault is None and reply.verdict is not Verdict.UNKNOWN)
        if fault == "lost":
            return _NO_ANSWER
        if fault == "unclear":
            return Reply(Verdict.READ_ENTRIES, 201, unanswered=tuple(range(len(self._model.entries(body)))))
        return reply


_lives: list[Life] = []
"""The process of the step that runs now."""


@contextmanager
def in_process(life: Life) -> Iterator[None]:
    """Let commits of the tables count as writes of a process."""
    _lives.append(life)
    try:
        yield
    finally:
        _lives.pop()


@contextmanager
def fast_and_alone() -> Iterator[None]:
    """Uploads run in a time of their own, DuckDB stays open, and commits of the tables count as durable writes."""
    write = Table._commit

    def counted(table: Table, *args: Any, **how: Any) -> None:
        return _lives[-1].write(f"commit {table.uri}", lambda: write(table, *args, **how))

    with (
        mock.patch.object(asyncio, "run", lambda main: in_clock_time(lambda _: main)),
        keep_duckdb_open(plain=True),
        mock.patch.object(Table, "_commit", counted),
        # Three people stand for a thousand: one of them may be missing from a read that is taken for whole.
        mock.patch.object(snapshot_module, "_COMPLETE_SHARE", 0.5),
    ):
        yield


class GoalModel(RuleBasedStateMachine):
    """One goal, its two ends, and everything that can happen to them."""

    ROWS: ClassVar[Mapping[str, Sequence[Row]]]
    """Target → the rows that a goal may have for it."""
    REFUSALS: ClassVar[tuple[str, ...]]
    """Ways in which the target can refuse a person."""
    SEGMENTS: ClassVar[tuple[str, ...]] = ("Everybody",)

    direction: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="braze-blueconic-model-"))
        self.now = FIRST_NIGHT
        self.targets: dict[str, Any] = {}
        """Connection → what it leads to."""
        self.source: dict[str, dict[str, Any]] = {who: {} for who in PEOPLE}
        self.members: dict[str, set[str]] = {segment: set(PEOPLE) for segment in self.SEGMENTS}
        self.touched: dict[str, dt.datetime] = dict.fromkeys(PEOPLE, self.now)
        """Person → when the source last changed."""
        self.config = Config({})
        self.nights: list[Night] = []
        self.open: list[Night] = []
        self.sent: list[Sent] = []
        self.last: dict[tuple[str, str], Sent] = {}
        self.refused: dict[str, list[Refused]] = defaultdict(list)
        self.released: dict[str, int] = {}
        """Person → number of runs before the last release."""
        self.foreign: set[tuple[Place, str]] = set()
        self.counters: Counter[tuple[str, str]] = Counter()
        """(person, source) → what a counter last stood at."""
        self.risen: Counter[tuple[str, str]] = Counter()
        """(person, source) → what a counter grew by in all."""
        self.anew: Counter[tuple[str, str, str]] = Counter()
        """(person, target, source) → where the counter stood whenever it took another one's place."""
        self.counter_of: dict[str, str] = {}
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

    def read(self, night: Night, workspace: Workspace) -> Any:
        """Read the source as the goal's extract does, and say in ``night.snapshot`` who was read."""
        raise NotImplementedError

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        """Read a request: (by what the person is found, target → (how, value)) of each record."""
        raise NotImplementedError

    def owner(self, name: str) -> str:
        """Say whose it is by what somebody is found."""
        return name

    def name(self, values: Mapping[str, Any], who: str) -> str:
        """Say by what somebody is found whose source holds these values."""
        return who

    def is_named(self, values: Mapping[str, Any]) -> bool:
        """Tell whether a record has any identifier that the goal looks at: without one, it is nobody's."""
        return True

    def known_as(self, night: Night, who: str) -> tuple[str, ...] | None:
        """Say under what a run knows a person: where that changes, everything is in doubt. ``None`` if it is unknown."""
        values = night.snapshot.get(who)
        return None if values is None else (night.config.connection, self.name(values, who))

    def wanted(self, night: Night, target: str, values: Mapping[str, Any]) -> Any:
        """Say what a person's field should be told; ``NOTHING`` for nothing."""
        raise NotImplementedError

    def holds(self, place: Place, target: str) -> Any:
        raise NotImplementedError

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        raise NotImplementedError

    def takes(self, night: Night, who: str, values: Mapping[str, Any]) -> bool:
        """Tell whether the target takes a person now."""
        raise NotImplementedError

    def takes_field(self, target: str) -> bool:
        return True

    def applied(self, night: Night, place: Place, position: int, target: str) -> bool:
        """Tell whether the target did what a record of the last request asked of a field."""
        raise NotImplementedError

    def who_is(self, identifier: str) -> str:
        raise NotImplementedError

    def ledger_value(self, text: str) -> Any:
        return json.loads(text)

    def is_valid(self, config: Config) -> bool:
        """Tell whether a goal may be declared so."""
        return True

    # What the target is sent

    def note(
        self, night: Night, body: bytes, reply: Reply | None, *, answered: bool = False, busy: bool = False
    ) -> None:
        """Write down what a request held, and judge it.

        :param reply: the target's; ``None`` if the request never reached it.
        :param busy: the target said so.
        """
        refusals = {refusal.position: refusal.outcome for refusal in reply.refusals} if reply else {}
        open_ones = reply.unanswered if reply else ()
        for position, (name, fields) in enumerate(self.entries(body)):
            who, place = self.owner(name), (night.config.connection, name)
            is_answered = answered and position not in open_ones
            self._judge(night, who, place, fields)
            if answered and reply and position in reply.again:
                continue
            partial = reply.partial.get(position, {}) if reply else {}
            wanted = self._all_wanted(night, who)
            if position in refusals:
                self.refused[who].append(Refused(who, refusals[position], night, wanted, place))
                night.outcomes[who] = refusals[position] if is_answered else "unknown"
                continue
            night.outcomes[who] = "accepted" if is_answered else "unknown"
            if partial or not is_answered:
                outcome = "fields" if is_answered else "unknown"
                self.refused[who].append(Refused(who, outcome, night, wanted, place))
            for target, (how, value) in fields.items():
                applied = reply is not None and self.applied(night, place, position, target)
                # Of several profiles of one person some may have taken what others refused.
                if target not in partial or (how == "INCREMENT" and applied):
                    is_known = is_answered and target not in partial
                    one = Sent(who, target, how, value, night, len(self.sent), place, applied, is_known, busy)
                    self.sent.append(one)
                    self.last[who, target] = one
                    if one.applied:
                        self.foreign.discard((place, target))

    def _all_wanted(self, night: Night, who: str) -> Mapping[str, Any]:
        values = night.snapshot.get(who)
        if values is None:
            return {}
        return {target: self.wanted(night, target, values) for target in night.config.fields}

    def _is_stale(self, night: Night) -> bool:
        return self.newest is not None and night.as_of < self.newest

    def _judge(self, night: Night, who: str, place: Place, fields: Mapping[str, tuple[str, Any]]) -> None:
        if self._is_stale(night) and not night.allow_stale:
            self.faults.append(f"{night} sent {who} although a run of {self.newest} was finished")
        if night.planned:
            self.faults.append(f"{night} is a dry run, and sent {who}")
        if who not in night.snapshot:
            night.left.add(who)
        wanted = self._all_wanted(night, who)
        needless = []
        for target, (how, value) in fields.items():
            if why := self._why_wrong(night, who, target, how, value, wanted.get(target, NOTHING)):
                self.faults.append(f"{night}, {target} of {who}, {how} {value!r}: {why}")
            needless.append(self._is_known(night, who, place, target, how, value))
        if any(needless) and (night.config.send == "changed_fields" or all(needless)):
            self.faults.append(f"{night} sent {who} again what was acknowledged: {dict(fields)}")

    def _why_wrong(self, night: Night, who: str, target: str, how: str, value: Any, wanted: Any) -> str:
        stale = self._is_stale(night)
        if who not in night.snapshot:
            is_right = night.complete and not stale and self.of_leavers(night.config).get(target, NOTHING) == value
            return "" if is_right else "the person was not in the read"
        if how != "INCREMENT":
            return "" if wanted == value else f"not {wanted!r}"
        if stale:
            return f"a run of {self.newest} was finished"
        return f"not {wanted!r}" if night.config.fields[target].of == "value" and wanted != value else ""

    def of_leavers(self, config: Config) -> Mapping[str, Any]:
        """Say what leavers are told."""
        if config.leavers == "clear_fields":
            return dict.fromkeys(config.fields, None)
        return config.leavers if isinstance(config.leavers, Mapping) else {}

    def _is_known(self, night: Night, who: str, place: Place, target: str, how: str, value: Any) -> bool:
        """Tell whether the target is known to have this already, from before the delta was made or from this run."""
        last = self.last.get((who, target))
        if last is None or (last.how, last.value) != (how, value):
            return False
        if last.night is not night and last.number >= night.known:
            return False
        if how == "INCREMENT":
            # Of numbers also what is in doubt counts; what a counter grew by may well be the same twice.
            return night.config.fields[target].of == "value" and not (last.busy and last.night is night)
        if last.place != place or self._was_known_otherwise(who, last.night, night) or self.is_in_doubt(night, last):
            return False
        between = self.nights[last.night.number + 1 : night.number]
        # What had begun to send was broken off: nobody can tell whom it reached.
        is_in_doubt = any(one.broken_off for one in between)
        # What leavers are told beside the fields, they are told at each departure.
        is_told_again = target not in night.config.fields and any(who in one.snapshot for one in between)
        return last.acknowledged and last.kept and not is_in_doubt and not is_told_again

    def _was_known_otherwise(self, who: str, before: Night, night: Night) -> bool:
        """Tell whether a person was known under something else in a run between two.

        A leaver is told so under what the last run that read the person knew them by.
        """
        now = self.known_as(night, who)
        if now is None:
            return False
        known = [one.number for one in self.nights[: before.number + 1] if self.known_as(one, who) and not one.planned]
        since = known[-1] if known else before.number
        return any(self.known_as(one, who) not in (None, now) for one in self.nights[since : night.number])

    def is_in_doubt(self, night: Night, last: Sent) -> bool:
        """Tell whether the goal changed so that what was acknowledged may not be there."""
        return False

    # Runs

    def begin(
        self,
        *,
        replays: Night | None = None,
        reads: str = "whole",
        **how: Any,
    ) -> Night:
        """Make a run; by default one that reads the source as it is now."""
        if replays is None:
            self.now += HOUR
        as_of = replays.as_of if replays else self.now
        there = [who for who in sorted(self.members[self.config.segment]) if self.is_named(self.source[who])]
        seen = replays.everybody if replays else {who: copy.deepcopy(self.source[who]) for who in there}
        night = Night(len(self.nights), as_of, self.config, seen, seen, reads, replays, **how)
        night.run = self.make_run(
            night,
            partitions=night.config.partitions,
            limits=night.limits,
            plan_only=night.planned,
            read=lambda workspace: self._read(night, workspace),
            allow_stale=night.allow_stale,
            retry_held=night.retry_held,
            **self.looked(night),
        )
        self.nights.append(night)
        if not night.planned:
            self._counters_change(night)
        return night

    def make_run(self, night: Night, **how: Any) -> Run:
        """Make the steps of a run."""
        return Run(self.home, self.goal(night), night.as_of, **how)

    def _counters_change(self, night: Night) -> None:
        for target, row in night.config.fields.items():
            if row.of == "increase":
                if self.counter_of.get(target, row.source) != row.source:
                    for who in PEOPLE:
                        self.anew[who, target, row.source] += self.counters[who, row.source]
                self.counter_of[target] = row.source

    def looked(self, night: Night) -> dict[str, Any]:
        """Give ``compute_delta`` what a look at the target saw."""
        return {}

    def _read(self, night: Night, workspace: Workspace) -> Any:
        if night.replays is not None:
            snapshot = night.replays.run.done["extract"]
            night.snapshot = night.replays.snapshot
        else:
            snapshot = self.read(night, workspace)
        night.complete = snapshot["complete"]
        night.missing = max(0, (snapshot["segment_size"] or 0) - snapshot["profiles"]) if night.complete else 0
        return snapshot

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
        night.errors.pop(name, None)
        with in_process(life):
            try:
                night.run.run(life, last=name)
            except Killed:
                lived = False
            except WriterConflict:
                night.lost = True
            except SyncError as error:
                # Its task failed. Commit and report follow whatever became of the uploads.
                night.errors[name] = error
                for skipped in STEPS[STEPS.index(name) : STEPS.index("upload")] if name in STEPS[:4] else [name]:
                    night.run.done[skipped] = None
                night.disturbed |= name in STEPS[:3]
        night.disturbed |= not lived or night.lost
        night.broken_off |= not lived and name.startswith("upload")
        for one in self.sent[before:]:
            one.kept = lived
        if lived and name == "commit" and (night.run.done.get("commit") or {}).get("committed"):
            self.newest = max(night.as_of, self.newest or night.as_of)
        Steps.kills += not lived
        Steps.runs += name == "report"
        return lived

    def check(self) -> None:
        """Judge what holds after every step, whatever happened."""
        assert not self.faults, "\n".join([*self.faults, *self._story()])
        for night in self.nights[-3:]:
            gone = set(PEOPLE) - night.everybody.keys()
            assert len(night.left) <= len(gone), f"{night} took {night.left} for leavers; {gone or 'nobody'} left"
        self._check_sums()
        self._check_ledger()

    def _story(self) -> Iterator[str]:
        """Tell what happened, for whoever reads of a broken promise."""
        for night in self.nights:
            yield f"{night}: {night.config}, read {list(night.snapshot)} ({night.reads}), {night.outcomes}, lost={night.lost}"
            for one in self.sent:
                if one.night is night:
                    told = [word for word in ("applied", "acknowledged", "kept") if getattr(one, word)]
                    yield f"  {one.number}: {one.who} {one.target} {one.how} {one.value!r} at {one.place}: {told}"

    def _check_sums(self) -> None:
        for target, rows in self.ROWS.items():
            for row in rows:
                if row.of == "increase":
                    for who in PEOPLE:
                        added = self.added(who, target, row.source)
                        most = self.risen[who, row.source] + self.anew[who, target, row.source]
                        assert added <= most, f"{who}: {added} was added to {target}, {row.source} grew by {most}"

    def added(self, who: str, target: str, source: str) -> Decimal:
        """Sum what was added to a person's number on behalf of a counter."""
        return sum(
            (
                Decimal(one.value)
                for one in self.sent
                if (one.who, one.target) == (who, target) and one.how == "INCREMENT" and one.applied
                if one.night.config.fields[target].source == source
            ),
            start=Decimal(0),
        )

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of one of the goal's tables."""
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

    @property
    def is_settled(self) -> bool:
        """Whether no upload's outcome is still to be put into the ledger."""
        return not any((self.home / "staging" / "goal" / "open").glob("*"))

    def _check_ledger(self) -> None:
        """The ledger claims what the target holds, where no upload's outcome is still to be put into it."""
        if not self.is_settled or any("commit" not in n.run.done for n in self.open):
            return
        everything = {target for rows in (self.ROWS, {"left": (), "promo": ()}) for target in rows}
        for known in self.rows_of("ledger"):
            who = self.who_is(known["identifier"])
            for target in everything:
                text, last = known.get(field_column(target)), self.last.get((who, target))
                if text is None or any(row.how == "sum" for row in self.ROWS.get(target, ())):
                    continue
                claimed = self.ledger_value(text)
                if text != json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False):
                    continue  # no value is written so: the ledger says that it does not know
                if self.was_seen(who, target, claimed):
                    continue
                assert last is not None, f"the ledger claims {target} of {who}, which was never sent: {claimed!r}"
                possible = self.acknowledged(who, target)
                assert claimed in possible, f"the ledger claims {target} of {who} as {claimed!r}, not one of {possible}"
                if last.how == "SET" and last.applied and (last.place, target) not in self.foreign:
                    held = self.holds(last.place, target)
                    assert held == claimed, f"the ledger claims {target} of {who} as {claimed!r}; there is {held!r}"

    def was_seen(self, who: str, target: str, claimed: Any) -> bool:
        """Tell whether a look at the target showed this value."""
        return False

    def acknowledged(self, who: str, target: str) -> list[Any]:
        """Values of a field that may be known as the last acknowledged: those after the last one that was kept, and it."""
        values: list[Any] = []
        for one in self.sent:
            if (one.who, one.target) == (who, target) and one.acknowledged:
                values = [one.value] if one.kept else [*values, one.value]
        return values

    def check_good(self, night: Night) -> None:
        """Judge a run that read the newest data and was not disturbed."""
        self.check_report(night)
        self._check_held(night)
        self._check_leavers(night)

    def check_report(self, night: Night) -> None:
        """Judge what a run says of itself."""
        report = night.run.report
        counted = Counter(night.outcomes.values())
        said = {name: report[name] for name in ("accepted", "not_found", "no_consent", "unknown")}
        assert said == {name: counted[name] for name in said}, f"{night}: the report says {said}, not {counted}"
        assert sum(report["rejected"].values()) == counted["rejected"] + counted["unknown"]
        assert report["to_send"] == len(night.outcomes)

    def _check_held(self, night: Night) -> None:
        # A read of changes is to leave nobody behind; only who was hidden from it comes later.
        there = night.everybody if night.reads in ("whole", "unknown size") else night.snapshot
        for who, values in there.items():
            if not self.takes(night, who, values) or self.may_rest(night, who):
                continue
            place = (night.config.connection, self.name(values, who))
            for target, row in night.config.fields.items():
                wanted = self.wanted(night, target, values)
                if wanted is NOTHING or not self.takes_field(target):
                    continue
                if row.how == "sum":
                    self._check_sum(who, target, row, wanted)
                elif (place, target) not in self.foreign:
                    held = self.holds(place, target)
                    assert self.agrees(row, wanted, held), (
                        f"{night}: {target} of {who} is {held!r}, but should be {wanted!r} ({row.how})"
                    )

    def _check_leavers(self, night: Night) -> None:
        """Judge what became of who was in the read before, if that one was good, and is not in this one."""
        before = self.nights[night.number - 1] if night.number else night
        if before.disturbed or before.steps_left or before.planned or before.errors or before.as_of > night.as_of:
            return
        if before.replays or not night.complete or night.missing or before.config.links != night.config.links:
            return
        for who in before.snapshot.keys() - night.snapshot.keys():
            if self.refused[who] or not self.is_mapped(before, before.snapshot[who]):
                continue
            place = (night.config.connection, self.name(before.snapshot[who], who))
            for target, value in self.of_leavers(night.config).items():
                if target not in night.config.fields:
                    told = [one for one in self.sent if (one.who, one.target, one.night) == (who, target, night)]
                    is_known = any(one.who == who and one.acknowledged for one in self.sent[: night.known])
                    assert told or not is_known, f"{night}: {who} left, and nothing was said of {target}"
                elif (value is not None or self.acknowledged(who, target)) and (place, target) not in self.foreign:
                    if not self.applied(night, place, 0, target):
                        continue  # the target has no such person to tell it of
                    held = self.holds(place, target)
                    assert held == value, f"{night}: {who} left; {target} is {held!r}, but should be {value!r}"

    def is_mapped(self, night: Night, values: Mapping[str, Any]) -> bool:
        """Tell whether a person's record is worth sending."""
        return True

    def _check_sum(self, who: str, target: str, row: Row, wanted: str) -> None:
        doubt = self.in_doubt(who, target)
        if row.of == "increase":
            least = Decimal(wanted) - sum(doubt)
            assert self.added(who, target, row.source) >= least, f"{who}: less than {least} was added to {target}"
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
        values = night.snapshot.get(who)
        is_released = last.night.number < self.released.get(who, 0)
        is_elsewhere = values is not None and last.place != (night.config.connection, self.name(values, who))
        rests = last.outcome not in ("not_found", "no_consent") or night.as_of - last.night.as_of <= WEEK
        return rests and not is_released and not is_elsewhere and not self._has_news(night, who, last)

    def _has_news(self, night: Night, who: str, last: Refused) -> bool:
        """Tell whether anything is wanted that was not refused before."""
        for target, wanted in self._all_wanted(night, who).items():
            told = self.last.get((who, target))
            known = told.value if told and told.acknowledged else NOTHING
            if wanted is not NOTHING and wanted != last.wanted.get(target, NOTHING) and wanted != known:
                return True
        return False

    # Rules: what changes

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def the_source_changes(self, who: str, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.source[who])), label="source")
        self.change(who, name, data.draw(self.values(name), label="value"))

    def change(self, who: str, name: str, value: Any) -> None:
        """Have the source hold something else of a person."""
        if isinstance(value, int):
            self.risen[who, name] += max(0, value - self.counters[who, name])
            self.counters[who, name] = value
        self.source[who][name] = value
        self.touch(who)

    def turn(self, who: str, name: str) -> None:
        """Have the source hold the other one of two texts."""
        self.change(who, name, "7" if self.source[who][name] == "a" else "a")

    def touch(self, who: str) -> None:
        """Note that a person changed in the source: between the last run and the next one."""
        self.touched[who] = self.now + HOUR / 2
        self.quiet = False

    def values(self, name: str) -> st.SearchStrategy[Any]:
        raise NotImplementedError

    @precondition(lambda self: self.nights)
    @rule(back=st.integers(0, 2))
    def the_source_is_again_as_it_was(self, back: int) -> None:
        self._take_source_back(self.nights[-1 - back % len(self.nights)].everybody)

    def _take_source_back(self, before: Mapping[str, Mapping[str, Any]]) -> None:
        for who, values in before.items():
            for name, value in values.items():
                if value != self.source[who][name]:
                    self.change(who, name, copy.deepcopy(value))

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def a_person_enters_or_leaves(self, who: str, data: st.DataObject) -> None:
        segment = data.draw(st.sampled_from(self.SEGMENTS), label="segment") if len(self.SEGMENTS) > 1 else None
        self.members[segment or self.SEGMENTS[0]] ^= {who}
        self.touch(who)

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
        place = (self.config.connection, self.name(self.source[who], who))
        if self.change_target(place, target):
            self.foreign.add((place, target))

    def change_target(self, place: Place, target: str) -> bool:
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
            self.declare(fields=fields)

    @rule(data=st.data())
    def the_goal_changes(self, data: st.DataObject) -> None:
        self.declare(**data.draw(self.policies(), label="policy"))

    def declare(self, **changes: Any) -> None:
        """Change the goal, if it may be declared so."""
        config = replace(self.config, **changes)
        if self.is_valid(config):
            self.config = config
            self.quiet = False

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        raise NotImplementedError

    @rule()
    def eight_days_pass(self) -> None:
        self.now += dt.timedelta(days=8)
        self.quiet = False

    @precondition(lambda self: self.nights and not self.open)
    @rule(who=st.sampled_from(PEOPLE))
    def somebody_is_released(self, who: str) -> None:
        """A person is tried again: the command of the same name."""
        rows = [row["identifier"] for row in self.rows_of("ledger") if self.who_is(row["identifier"]) == who]
        if rows and self.is_settled:
            workspace = self.nights[-1].run.workspace()
            ledger = open_ledger(workspace)
            with (
                in_process(Life()),
                mock.patch.object(ledger_module, "microseconds", return_value=microseconds(self.now)),
            ):
                ledger.release(workspace.engine, rows)
            self.released[who] = len(self.nights)
            self.quiet = False

    # Rules: runs

    READS: ClassVar[tuple[str, ...]] = ("whole", "whole", "whole")

    @rule(retry_held=st.sampled_from([False, False, True]), data=st.data())
    def a_night_goes_well(self, retry_held: bool, data: st.DataObject) -> None:
        reads = data.draw(st.sampled_from(self.READS), label="reads")
        self.go_well(self.begin(reads=reads, retry_held=retry_held))

    def go_well(self, night: Night) -> None:
        """Take all steps of a run, and judge what is there afterwards."""
        self.go(night)
        self.check()
        if not night.disturbed:
            self.check_good(night)
            if self.quiet and not night.retry_held:
                accepted = [who for who, outcome in night.outcomes.items() if outcome == "accepted"]
                assert not accepted, f"{night}: nothing had changed, and {accepted} were sent"
            is_clear = "unknown" not in night.outcomes.values()
            self.quiet = is_clear and not self.open and night.reads == "whole"

    @precondition(lambda self: self.nights and not self.open)
    @rule()
    def nothing_changes_for_some_nights(self) -> None:
        """Then the target has all that it takes, and nothing is sent."""
        for _ in range(3):
            self.go_well(self.begin())

    @rule(how=st.sampled_from(["dry run", "stopped"]), then=st.booleans())
    def a_night_is_only_planned(self, how: str, then: bool) -> None:
        """It is a dry run, or the guard stops it: everything is as if it had not been."""
        is_settled, before = self.is_settled, self._state()
        night = self.begin(planned=True) if how == "dry run" else self.begin(limits={"data_points": 0})
        self.go(night)
        self.check()
        if how == "stopped" and "guard" not in night.errors:
            self.quiet = self.quiet and not night.disturbed  # there was nothing to pay for
            return
        assert not night.outcomes
        if is_settled:
            assert self._state() == before, f"{night} sent nothing, and changed the ledger"
        if then and is_settled and not self.open:
            again = self.begin()
            self.go_well(again)
            told = [one.run.done["delta"]["to_send"] for one in (night, again)]
            assert told[0] == told[1], f"{night} planned to send {told[0]} people, {again} sent {told[1]}"

    def _state(self) -> tuple[list[str], dict[str, int]]:
        """Everything that decides what the next run sends."""
        uri = self.home / "staging" / "goal" / "ledger"
        if not (uri / "_delta_log").exists():
            return [], {}
        table = DeltaTable(str(uri))
        return sorted(map(repr, self.rows_of("ledger"))), {"version": table.version()}

    @rule(percent=st.sampled_from([0, 34, 67]), fault=st.sampled_from(["none", "none", "lost"]), data=st.data())
    def a_night_with_a_limit_on_refusals(self, percent: int, fault: str, data: st.DataObject) -> None:
        """Too many refusals fail the run, by one rule."""
        if data.draw(st.booleans(), label="refused"):
            self.the_target_refuses_a_person_or_takes_them_again(data.draw(st.sampled_from(PEOPLE), label="who"), data)
        night = self.begin(limits={"rejected_percent": percent})
        if fault != "none":
            night.faults = dict.fromkeys(range(1, 99), fault)
        self.go(night)
        self.quiet = False
        self.check()
        if night.lost or night.run.done.get("delta") is None:
            return
        counted = Counter(night.outcomes.values())
        is_over = 100 * (counted["rejected"] + counted["unknown"]) > percent * night.run.done["delta"]["to_send"]
        fails = isinstance(night.errors.get("report"), LimitExceeded)
        stopped = any(isinstance(night.errors.get(name), LimitExceeded) for name in night.errors if "upload" in name)
        assert is_over or not stopped, f"{night}: stopped by {percent} % for {counted}"
        assert fails == is_over or night.run.done.get("report") is None, f"{night}: {percent} % for {counted}"
        if not stopped and not is_over:
            assert not fails, f"{night}: failed by {percent} % for {counted}"

    @rule(
        first=st.sampled_from([1, 1, 2, 3]),  # most nights have a request or two
        count=st.sampled_from([1, 2, 7, 7]),  # only what is lost again and again leaves people unknown
        fault=st.sampled_from(["busy", "too fast", "dropped", "lost", "lost", "unclear", "revoked"]),
        again=st.booleans(),
        news=st.sampled_from(NEWS),
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
        news=st.sampled_from(NEWS),
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
        if old.run.done.get("extract") is None or not self._holds_all(old.config):
            return
        night = self.begin(replays=old, allow_stale=allow_stale)
        self.go(night)
        self.quiet = self.quiet and not allow_stale
        self.check()

    def _holds_all(self, config: Config) -> bool:
        """Tell whether what was read for a goal is all that the goal needs now; otherwise a date can't be run again."""
        wanted, there = ({row.source for row in one.fields.values()} for one in (self.config, config))
        return wanted <= there and set(self.config.links) <= set(config.links) and self.config.segment == config.segment

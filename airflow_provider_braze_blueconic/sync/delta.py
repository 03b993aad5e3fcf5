"""What must be sent so that the target equals the mapped snapshot: field by field, against the ledger.

Delta row: ``identifier``, ``kind`` (``insert``, ``change``, ``leave``, ``return``), ``as_of``, ``to_send``,
``data_points``, and one ``field_…`` column a target field: JSON text to send, or NULL to say nothing.
A row without anything to send only keeps the books: who is in the segment, and what was seen.

Kinds of rows that never have anything to send are ``move`` (the person has another identifier now, and is off the list
under this one) and ``known`` (of a record that was skipped, the ledger learns by what else the person is known).

Some goals have more columns: ``matching`` (how the target finds the person), ``known_by`` (what the ledger learns of
who somebody is), ``takes_over`` (the person moved here from another row, and is on the list whatever becomes of the
sending), ``crossed`` (fields that stay in doubt even once they are accepted), ``increase_…`` of a number that is added
to (what is added; its ``field_…`` says what the counter stands at then), ``noted_…`` with ``seen_as_of`` (what the
ledger learns of a field that is not sent, since the target holds it already or a counter fell), and ``repair_hash``
with ``sticks`` (which values are sent only because the target was seen not to hold them any more, and whether all that
were put right before are there).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_braze_blueconic.sync.blueconic_values import Merge, already_holds_sql
from airflow_provider_braze_blueconic.sync.columns import (
    FIELD_PREFIX,
    certain_column,
    echo_column,
    field_column,
    field_name,
    increase_column,
    noted_column,
)
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.doubt import (
    IN_DOUBT,
    creation_setting,
    doubt_everything,
    is_added_to,
    merge_settings,
    source_settings,
    target_settings,
)
from airflow_provider_braze_blueconic.sync.identity import Identities
from airflow_provider_braze_blueconic.sync.ledger import (
    ABSENT,
    HELD_REASONS,
    QUARANTINED_REASONS,
    Ledger,
    sent_hash_sql,
)
from airflow_provider_braze_blueconic.sync.mapping import withheld_sql
from airflow_provider_braze_blueconic.sync.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.times import written_moment_sql
from airflow_provider_braze_blueconic.sync.values import CLEAR

if TYPE_CHECKING:
    import duckdb

__all__ = ["HELD_FOR", "DeltaCounts", "DeltaPlan", "Seen", "SendPolicy", "compute_delta"]

SendPolicy = Literal["changed_fields", "whole_profile"]

HELD_FOR = dt.timedelta(days=7)
"""How long a record that the target could not take as it is rests, unless something of it changes. What changed on the
target's side, a profile that came to be or a consent that was given, can't be seen from here, so it is asked again."""

_REPAIRS = 1
"""How often a value is put right that the target was seen not to hold. With the sending before it that is twice that it
did not stick: a third time would not be another, and costs as much."""

_LARGE = 10_000
"""People of a partition from which its share of anything is near that of every other partition."""

_DIFFERS_HASH = "differs_hash"
"""Column of a delta of whole profiles in the making: the fingerprint of what differs, and not only goes along."""

_ONE_NUMBER = "DECIMAL(38, 4)"
"""Exact to four decimals, which is what a number of BlueConic holds."""


@dataclass(frozen=True)
class Seen:
    """What another goal's read saw in the target: it takes the ledger's place where it is newer.

    :param file: Parquet file, as the mapping writes it: ``row`` (of the read), ``identifier`` (JSON text by which a
        person is found again, each of several on a line of its own), ``as_of``, ``field_…`` columns; ``null`` where the
        field was seen empty, NULL where it was not looked at. A column ``echo_…`` beside them holds what would be
        mapped if the source had just what the goal that read sends there: if it is what is mapped, what was seen is the
        original of it.
    :param settles_in: the target may show a write only after so long; what was seen is that much older.
    :param certain: targets whose value there can be known to be the target's own, and not one on its way from here: it
        counts also where it differs from what is to be sent. A column ``certain_…`` in the file says for whom; without
        it, for everybody.
    :param whole: the read was made to see everybody of this goal: who is not in it is worth a word.
    """

    file: Path
    settles_in: dt.timedelta
    certain: frozenset[str] = frozenset()
    whole: bool = False


@dataclass(frozen=True)
class DeltaPlan:
    """Everything that the delta needs to know of a goal.

    :param targets: target fields in the mapped snapshot.
    :param billable: those among all targets whose writing costs a data point.
    :param documents: targets that hold nested objects, billed by their inner keys.
    :param partitions: number of partitions of the ledger.
    :param as_of: version of the snapshot; a leaver's row is as old as the read that missed it.
    :param send: only changed fields, or all fields of a person with any change.
    :param leavers: target → JSON text to write for people who left; ``None`` leaves them alone.
    :param withheld: target → how the identifiers begin of people who never get it, also when they left.
    :param complete: the snapshot is known to hold every member, so that absence means departure.
    :param allow_stale: rows older than what the ledger already knows are sent all the same.
    :param merges: target → how its value meets what the target holds, where that is not simply replacing it.
    :param increases: those among the sums that send what the counter grew by, and not its value.
    :param sources: target → where its value comes from, of numbers: a counter that takes the place of another is no
        growth of it.
    :param missing: so many members of the segment the read may not have brought. Nobody can tell them from people who
        left, so as many of those who seem to have left stay on the list.
    :param creates: the target is asked to create whom it does not know; ``False`` where it drops them in silence, and
        ``None`` where it tells.
    :param target: id of the connection by which the target is reached; ``None`` if there is none.
    :param holds_back: a record that the target could not take rests until something of it changes.
    :param max_attempts: after so many attempts with the same values a refused record rests until they change; ``None``
        tries everybody again, also whom a value did not stick to.
    :param policy: fingerprint of what else decides whether the target takes a record.
    :param links: fingerprint of the links by which people are known; ``None`` if nobody ever leaves.
    :param confirms: the read tells of everybody, changed or not, so that older data are stale for all; a file of
        changes tells only of those in it.
    """

    targets: tuple[str, ...]
    billable: frozenset[str]
    documents: frozenset[str]
    partitions: int
    as_of: dt.datetime
    send: SendPolicy = "changed_fields"
    leavers: Mapping[str, str] | None = None
    withheld: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complete: bool = False
    allow_stale: bool = False
    merges: Mapping[str, Merge] = field(default_factory=dict)
    increases: frozenset[str] = frozenset()
    sources: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    creates: bool | None = None
    target: str | None = None
    holds_back: bool = False
    max_attempts: int | None = None
    policy: str = ""
    links: int | None = None
    confirms: bool = True

    def merge(self, target: str) -> Merge:
        """How a target's value meets what is there."""
        return self.merges.get(target, "set")

    def settings(self, newest: dt.datetime | None) -> dict[str, int]:
        """What the ledger remembers of how values were sent: name → number.

        :param newest: version of the newest data that was committed. Of stale data nothing is sent, so how they would
            be sent says nothing of the target.
        """
        if self.is_stale(newest):
            return {}
        return {
            **merge_settings(self.merges),
            **source_settings(self.sources),
            **creation_setting(self.creates),
            **target_settings(self.target, imports=self.creates is None),
        }

    def is_stale(self, newest: dt.datetime | None) -> bool:
        """Tell whether the data are older for everybody than the newest that was committed, so that nothing is sent.

        :param newest: version of that; ``None`` before the first commit.
        """
        return self.confirms and not self.allow_stale and newest is not None and self.as_of < newest


@dataclass(frozen=True)
class DeltaCounts:
    """What a delta holds.

    :param inserts: people to send that the ledger did not know.
    :param changes: people to send of whom some field changed.
    :param leavers: people who left, whether or not anything is sent for them.
    :param spared: people who seem to have left, and may only be missing from the read: nothing is done about them.
    :param to_send: people to send, leavers included.
    :param unchanged: people with nothing to send.
    :param stale: people not sent because the ledger knows something newer.
    :param fields: field values to send.
    :param clears: those among them that empty a field.
    :param data_points: what Braze will bill.
    :param members: people of whom the ledger says that they are in the segment, before this run.
    :param seen: people of whom the target was seen to hold something already that would have been sent.
    :param held: people not sent because the target could not take the same values before.
    :param quarantined: people not sent because the target refused the same values too often.
    :param drifted: people of whom the target was seen not to hold any more what it acknowledged.
    :param unstuck: those among them whose values are not put right again, since they did not stick.
    :param absent: people whom the target should have, and a read that was made to see them did not meet.
    :param drift: target field → people of whom it was seen to differ.
    :param emptied: target field → people in the source who are to lose a value that they have, or may have.
    :param filled: target field → people in the source who have, or may have, a value there, as far as it was counted.
    """

    inserts: int = 0
    changes: int = 0
    leavers: int = 0
    to_send: int = 0
    unchanged: int = 0
    stale: int = 0
    fields: int = 0
    clears: int = 0
    data_points: int = 0
    members: int = 0
    seen: int = 0
    held: int = 0
    quarantined: int = 0
    drifted: int = 0
    unstuck: int = 0
    absent: int = 0
    spared: int = 0
    drift: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter, compare=False)
    filled: Counter[str] = field(default_factory=Counter, compare=False)

    def __add__(self, other: DeltaCounts) -> DeltaCounts:
        return DeltaCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_row(self) -> dict[str, Any]:
        """Return the counts as plain values, for a reference."""
        counts = {f.name: getattr(self, f.name) for f in fields(self)}
        counts["filled"] = {target: self.filled[target] for target in self.emptied}
        return {name: dict(count) if isinstance(count, Counter) else count for name, count in counts.items()}


def compute_delta(
    engine: Engine,
    *,
    partition: int,
    mapped: Sequence[Path],
    skipped: Path | None,
    ledger: Ledger,
    plan: DeltaPlan,
    out: Path,
    seen: Sequence[Seen] = (),
    identities: Identities | None = None,
) -> DeltaCounts:
    """Write the delta of one partition.

    :param mapped: the partition's files of the mapped snapshot; none when nobody is in it.
    :param skipped: people who were read but not mapped; they did not leave.
    :param out: Parquet file to write; not written when it would be empty.
    :param seen: what reads of other goals saw in the target.
    :param identities: who of the ledger is who of the read; ``None`` where people have one identifier.
    """
    sent_to_leavers = {field_column(target): text for target, text in (plan.leavers or {}).items()}
    columns = [field_column(target) for target in plan.targets]
    every = [*columns, *(column for column in sent_to_leavers if column not in columns)]
    with connect(engine) as connection:
        newest = ledger.newest_as_of()
        doubts = ledger.doubts(plan.settings(newest))
        ledger.load(connection, partition, every, partitions=plan.partitions, doubts=doubts, with_known_by=True)
        _load_mapped(connection, mapped, columns)
        who = _Who.load(connection, ledger, plan, partition, identities)
        floor = newest if plan.confirms else None
        looks = _Looks.at(plan, floor, *_load_seen(connection, plan, seen, skipped))
        looks = replace(looks, is_whole=looks.is_seen and any(look.whole for look in seen))
        absent = _collect_absent(connection, plan) if looks.is_whole else 0
        _compare(connection, columns, plan, floor, looks, who)
        _collect_repairs(connection, plan, looks)
        _collect_delta(connection, columns, every, plan, looks, who)
        if identities is not None:
            identities.collect(connection, as_of=plan.as_of)
        spared = 0
        if plan.complete:
            spared = _collect_leavers(connection, partition, skipped, every, sent_to_leavers, plan, floor, who)
        _rest(connection, every, plan, looks, who)
        counts = replace(_count(connection, every, plan, looks), spared=spared, absent=absent)
        if connection.execute("SELECT count(*) FROM delta").fetchall()[0][0]:
            connection.execute(f"COPY delta TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)")
    return counts


@dataclass(frozen=True)
class _Who:
    """What a partition's people are known by, and whom that puts in doubt: in the table ``news``, if there is one.

    :param fields: field columns in ``news``; where they are not NULL, the field is in doubt.
    :param is_told: ``news`` is there, for people of several identifiers.
    :param is_found: people are found by their ``matching``; ``news`` is there, for whom the target may now find
        somebody else.
    """

    fields: tuple[str, ...] = ()
    is_told: bool = False
    is_found: bool = False

    @classmethod
    def load(
        cls,
        connection: duckdb.DuckDBPyConnection,
        ledger: Ledger,
        plan: DeltaPlan,
        partition: int,
        identities: Identities | None,
    ) -> _Who:
        """Load ``news``, and put the table ``ledger`` in doubt where it is not the same person any more."""
        if identities is not None:
            identities.load(connection, partition)
            return cls(identities.fields, is_told=True)
        if "matching" not in _columns(connection, "mapped"):
            return cls()
        # A counter stays where it stood: by another address its whole level would be added again.
        columns = [name for name in ledger.columns() if name.startswith(FIELD_PREFIX)]
        sums = {field_column(target) for target in plan.targets if plan.merge(target) == "sum"}
        known = {field_column(target) for target in plan.targets}
        fields_ = tuple(
            name
            for name in columns
            if name not in sums and (name in known or is_added_to(name, known=ledger.transaction) is False)
        )
        doubts = [
            f"CASE WHEN l.{quote(name)} IS NOT NULL THEN {literal(IN_DOUBT)} END AS {quote(name)}" for name in fields_
        ]
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE news AS
            SELECT l.identifier{"".join(f", {text}" for text in doubts)}
            FROM ledger AS l JOIN mapped AS m ON m.identifier = l.identifier WHERE l.known_by <> m.matching
            """
        )
        if fields_:
            doubted = ", ".join(f"{quote(name)} = coalesce(n.{quote(name)}, ledger.{quote(name)})" for name in fields_)
            connection.execute(f"UPDATE ledger SET {doubted} FROM news AS n WHERE n.identifier = ledger.identifier")
        return cls(fields_, is_found=True)

    @property
    def is_loaded(self) -> bool:
        """Whether the table ``news`` is there."""
        return self.is_told or self.is_found

    def differs(self, mapped: str, ledger: str) -> str:
        """SQL that tells whether the ledger learns who somebody is."""
        if self.is_told:
            return f"{mapped}.identifier IN (SELECT identifier FROM news)"
        return f"{ledger}.known_by IS DISTINCT FROM {mapped}.matching" if self.is_found else "FALSE"

    def known_by(self, to_send: str) -> str:
        """SQL for what the ledger learns whatever becomes of the sending."""
        if self.is_told:
            return "n.known_by"
        # By what else BlueConic is asked is only known once it was asked.
        return f"CASE WHEN l.known_by IS NULL OR (l.known_by <> m.matching AND NOT ({to_send})) THEN m.matching END"


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> set[str]:
    return {name for name, *_ in connection.execute(f"DESCRIBE {relation}").fetchall()}


_LOOKED = "coalesce(s.as_of > coalesce(l.as_of, '-infinity'::TIMESTAMPTZ), FALSE)"
"""SQL that tells whether a look at the target is newer than what it acknowledged."""


@dataclass(frozen=True)
class _Looks:
    """SQL for what is sent and noted of each target, over ``m`` (mapped), ``l`` (ledger) and ``s`` (seen).

    :param differs: target → whether the target has to be told.
    :param noted: target → JSON text that the ledger learns without a sending.
    :param increase: target → JSON text of what is added.
    :param repaired: target → whether the target holds something else than it acknowledged and is to hold.
    :param is_seen: anything was seen, so that ``s`` is there; and ``p``, the repairs.
    :param echo: target → whether the mapped value is only what the target's own value became on its way.
    :param is_whole: a read was made to see everybody, so that the table ``absent`` is there.
    """

    differs: Mapping[str, str]
    noted: Mapping[str, str]
    increase: Mapping[str, str]
    repaired: Mapping[str, str]
    is_seen: bool
    echo: Mapping[str, str]
    is_whole: bool = False

    @classmethod
    def at(
        cls, plan: DeltaPlan, floor: dt.datetime | None, seen: Mapping[str, bool], echoed: Collection[str]
    ) -> _Looks:
        """Work out the SQL of every target.

        :param seen: targets that were seen → whether what was seen there is certain to be the target's own.
        :param echoed: targets of which is known what comes back of them.
        """
        echo = {target: _echo_sql(target) for target in echoed}
        differs: dict[str, str] = {}
        noted: dict[str, str] = {}
        increase: dict[str, str] = {}
        repaired: dict[str, str] = {}
        for target in plan.targets:
            column = quote(field_column(target))
            mapped, known = f"m.{column}", f"l.{column}"
            changed = f"{mapped} IS DISTINCT FROM {known}"
            if plan.merge(target) == "sum":
                # Also where stale rows are sent: what was added once, or where a counter once stood, would be added
                # a second time.
                moment = f"{literal(floor.isoformat())}::TIMESTAMPTZ" if floor else "NULL::TIMESTAMPTZ"
                changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)"
                increase[target] = _increase_sql(mapped, known, changed, grows=target in plan.increases)
                if target in echo:
                    increase[target] = f"CASE WHEN NOT {echo[target]} THEN {increase[target]} END"
                differs[target] = f"({increase[target]}) IS NOT NULL"
                unsent = f"{changed} AND {mapped} IS NOT NULL AND ({increase[target]}) IS NULL"
                noted[target] = f"CASE WHEN {unsent} THEN {mapped} END"
            elif target in seen:
                looked = f"{_LOOKED} AND s.{column} IS NOT NULL"
                held = (
                    f"({looked} AND {already_holds_sql(plan.merge(target), mapped, f's.{column}')} "
                    f"AND NOT {_differs_in_form_sql(mapped, known)})"
                )
                if target in echo:
                    held = f"(coalesce({held}, FALSE) OR {echo[target]})"
                certain = f"s.{quote(certain_column(target))}"
                otherwise = f"({looked} AND {mapped} IS NOT NULL AND {certain})" if seen[target] else "FALSE"
                differs[target] = (
                    f"(NOT coalesce({held}, FALSE) AND ({changed} OR ({otherwise} AND NOT coalesce(p.unstuck, FALSE))))"
                )
                if seen[target]:
                    repaired[target] = f"({otherwise} AND NOT ({changed}) AND NOT coalesce({held}, FALSE))"
                noted[target] = f"CASE WHEN {held} AND {changed} THEN {mapped} END"
            else:
                differs[target] = f"({changed})"
        return cls(differs, noted, increase, repaired, bool(seen or echo), echo)

    def tells(self, target: str) -> str:
        """SQL that tells whether a target field makes the person worth a request."""
        if target in self.increase:
            return self.differs[target]
        return f"(m.{quote(field_column(target))} IS NOT NULL AND {self.differs[target]})"

    @property
    def notes(self) -> str:
        """SQL that tells whether the ledger learns anything."""
        return " OR ".join(f"({text}) IS NOT NULL" for text in self.noted.values()) or "FALSE"


def _differs_in_form_sql(mapped: str, known: str) -> str:
    """SQL that tells whether the goal writes the acknowledged value in another form now: ``7`` and not ``"7"``.

    A look sees the values of the target without their types, so it can't tell the one from the other.
    """
    bare = [f"trim({text}, '[]\"')" for text in (mapped, known)]
    return f"coalesce({mapped} <> {known} AND {bare[0]} = {bare[1]}, FALSE)"


def _echo_sql(target: str) -> str:
    """SQL that tells whether a mapped value is an echo."""
    return f"({_LOOKED} AND coalesce(s.{quote(echo_column(target))}, FALSE))"


_ONE_MOMENT = r'\["[0-9]{4}-[0-9]{2}-[0-9]{2}[^"]*"\]'
"""A property that holds one text which begins as a moment does."""


def _is_echo_sql(mapped: str, echo: str) -> str:
    """SQL that tells whether a mapped value is what came back. A moment may come back in another notation."""
    moments = [f"CASE WHEN regexp_full_match({text}, '{_ONE_MOMENT}') THEN {written_moment_sql(f'({text})[3:-3]')} END"
               for text in (mapped, echo)]  # fmt: skip
    return f"coalesce({mapped} = {echo} OR {moments[0]} = {moments[1]}, FALSE)"


def _increase_sql(mapped: str, known: str, changed: str, *, grows: bool) -> str:
    """SQL for what is added: the value itself, or what it grew by since the last acknowledged one; NULL for nothing.

    Who was never sent counts from zero. A counter that fell adds nothing, and grows from where it fell to. Where the
    field was set before, and it is in doubt what to, nobody can tell what to add: it grows from where it stands now.
    """
    changed = f"({changed}) AND {known} IS DISTINCT FROM {literal(IN_DOUBT)}"
    if not grows:
        return f"CASE WHEN {changed} THEN {mapped} END"
    # What the ledger knows may be a text from before the property became a number: there is no number to grow from.
    now, before = (f"TRY_CAST(json_extract_string({text}, '$[0]') AS {_ONE_NUMBER})" for text in (mapped, known))
    grown = f"({now} - coalesce({before}, 0))"
    plain = f"regexp_replace(regexp_replace({grown}::VARCHAR, '0+$', ''), '\\.$', '')"
    return f"CASE WHEN {changed} AND {grown} > 0 THEN concat('[\"', {plain}, '\"]') END"


def _load_seen(
    connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, seen: Sequence[Seen], skipped: Path | None
) -> tuple[dict[str, bool], list[str]]:
    """Load what was seen of this partition's people into ``seen``, the newest look at each of them.

    A person is found again by the identifier, or by any of the conditions by which the target would find them. Where
    either side has several records of somebody, what was seen of one of them does not count.

    :param skipped: people of whom this goal's own read had a record that was not mapped.
    :return: targets that were seen → whether what was seen is certain; and targets of which is known what comes back
        of them. Of these every look counts, and not the newest alone.
    """
    targets: dict[str, bool] = {}
    echoed: dict[str, None] = {}
    looks = []
    for number, look in enumerate(seen):
        source = parquet_source([look.file])
        there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        here = [target for target in plan.targets if field_column(target) in there and plan.merge(target) != "sum"]
        for target in here:
            targets[target] = targets.get(target, False) or target in look.certain
        shown = [quote(field_column(target)) for target in here]
        for target in here:
            column = quote(certain_column(target))
            known = column if certain_column(target) in there else "TRUE"
            shown.append(f"{known if target in look.certain else 'FALSE'} AS {column}")
        back = [target for target in plan.targets if echo_column(target) in there]
        echoed |= dict.fromkeys(back)
        shown += [quote(echo_column(target)) for target in back]
        settled = f"as_of - INTERVAL {int(look.settles_in.total_seconds())} SECONDS AS as_of"
        columns = ["identifier AS key", f"{number} AS look", f"{look.whole} AS whole", "row", settled, *shown]
        looks.append(f"SELECT {', '.join(columns)} FROM {source}")
    if not targets and not echoed:
        return {}, []
    keys = "SELECT identifier, identifier AS key FROM mapped"
    if "matching" in _columns(connection, "mapped"):
        condition = "STRUCT(id VARCHAR, value VARCHAR)"
        keys = (
            "SELECT identifier, "
            "concat('{\"id\":', to_json(c.id)::VARCHAR, ',\"value\":', to_json(c.value)::VARCHAR, '}') AS key "
            f"FROM (SELECT identifier, unnest(flatten(matching::JSON::{condition}[][])) AS c FROM mapped)"
        )
    counts = "identifier NOT IN (SELECT identifier FROM found GROUP BY identifier, look HAVING count(DISTINCT row) > 1)"
    if skipped is not None:
        # The goal's own look at its target is no news that another goal may have brought over for the other record.
        own = f"SELECT identifier FROM {parquet_source([skipped])} WHERE identifier IS NOT NULL"
        counts += f" AND (whole OR identifier NOT IN ({own}))"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE found AS
        SELECT k.identifier, s.* FROM ({keys}) AS k JOIN ({" UNION ALL BY NAME ".join(looks)}) AS s ON s.key = k.key
        """
    )
    others, compared, gathered = ["f.*"], [], ["*"]
    if echoed:
        names = [quote(echo_column(target)) for target in echoed]
        others = [f"f.* EXCLUDE ({', '.join(names)})"]
        gathered = [f"* EXCLUDE ({', '.join(names)})"]
        for target, name in zip(echoed, names, strict=True):
            compared.append(f"{_is_echo_sql(f'm.{quote(field_column(target))}', f'f.{name}')} AS {name}")
            gathered.append(f"bool_or({name}) OVER (PARTITION BY identifier) AS {name}")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE seen AS
        SELECT * EXCLUDE (key, look, whole, row, place) FROM (
            SELECT {", ".join(gathered)}, row_number() OVER (PARTITION BY identifier ORDER BY as_of DESC) AS place
            FROM (
                SELECT {", ".join([*others, *compared])}
                FROM found AS f JOIN mapped AS m ON m.identifier = f.identifier
            )
        ) WHERE place = 1 AND {counts}
        """
    )
    return targets, list(echoed)


def _load_mapped(connection: duckdb.DuckDBPyConnection, mapped: Sequence[Path], columns: Sequence[str]) -> None:
    if mapped:
        source = parquet_source(mapped)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS SELECT * FROM {source}")
        return
    fields_ = "".join(f", NULL::VARCHAR AS {quote(column)}" for column in columns)
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW mapped AS "
        f"SELECT NULL::VARCHAR AS identifier, NULL::TIMESTAMPTZ AS as_of{fields_} LIMIT 0"
    )


def _collect_absent(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> int:
    """Find the people whom the target has acknowledged, and a read of everybody did not meet, into ``absent``.

    ``again`` tells who is sent once more: all that was acknowledged of them is in doubt. Once is enough: who is still
    not there afterwards is nobody whom sending brings back, or the read does not see them.

    :return: how many they are.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE absent AS
        SELECT m.identifier, {bool(plan.creates)} AND l.refused_as IS DISTINCT FROM {literal(ABSENT)} AS again
        FROM mapped AS m JOIN ledger AS l ON l.identifier = m.identifier
        WHERE l.as_of IS NOT NULL AND m.identifier NOT IN (SELECT identifier FROM found WHERE whole)
        """
    )
    doubt_everything(connection, "identifier IN (SELECT identifier FROM absent WHERE again)")
    return int(connection.execute("SELECT count(*) FROM absent").fetchall()[0][0])


def _compare(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    plan: DeltaPlan,
    floor: dt.datetime | None,
    looks: _Looks,
    who: _Who,
) -> None:
    """Find the people of whom anything differs, by two hashes of their fields, into ``moved``.

    Comparing 128 bits reads each side once and keeps the join narrow; the fields themselves are compared
    afterwards, for the few that differ. Hashes live for one statement, so the library's version does not matter.
    """
    listed = ", ".join(quote(column) for column in columns)
    backwards = ", ".join(quote(column) for column in reversed(columns))
    hashes = f"hash({listed}) AS h, hash('', {backwards}) AS g"
    stale = "FALSE" if plan.allow_stale else "coalesce(m.as_of < greatest(l.as_of, $floor::TIMESTAMPTZ), FALSE)"
    parameters = {} if plan.allow_stale else {"floor": floor}
    # What was seen may differ also where mapped and ledger agree.
    elsewhere = " OR m.identifier IN (SELECT identifier FROM seen)" if looks.is_seen else ""
    if looks.is_whole:
        elsewhere += " OR m.identifier IN (SELECT identifier FROM absent)"
    if not plan.confirms:
        elsewhere += " OR m.as_of > l.as_of"
    if who.is_loaded:
        elsewhere += f" OR {who.differs('m', 'l')}"
    matching, known_by = ("matching, ", "known_by, ") if who.is_found else ("", "")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE moved AS
        SELECT m.identifier, {stale} AS stale
        FROM (SELECT identifier, as_of, {matching}{hashes} FROM mapped) AS m
        LEFT JOIN (SELECT identifier, as_of, in_segment, {known_by}{hashes} FROM ledger) AS l
            ON l.identifier = m.identifier
        WHERE l.identifier IS NULL OR l.in_segment IS DISTINCT FROM TRUE OR m.h <> l.h OR m.g <> l.g{elsewhere}
        """,
        parameters,
    )


def _collect_repairs(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, looks: _Looks) -> None:
    """Find the people of whom the target does not hold any more what it acknowledged, into ``repairs``.

    ``unstuck`` tells that exactly these values were put right before, and did not stick.
    """
    if not looks.is_seen:
        return
    marks = [f"{text} AS {quote(field_column(target))}" for target, text in looks.repaired.items()]
    values = [
        f"CASE WHEN {text} THEN {literal(target + ':')} || m.{quote(field_column(target))} END"
        for target, text in sorted(looks.repaired.items())
    ]
    any_repair = " OR ".join(looks.repaired.values()) or "FALSE"
    tried = (
        "FALSE" if plan.max_attempts is None else f"coalesce(unstuck_hash = repair_hash AND times >= {_REPAIRS}, FALSE)"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE repairs AS
        SELECT * EXCLUDE (unstuck_hash, times), {tried} AS unstuck FROM (
            SELECT m.identifier, l.unstuck_hash, l.unstuck AS times,
                {", ".join([f"md5(concat_ws('|', {', '.join(values) or 'NULL'})) AS repair_hash", *marks])}
            FROM (SELECT * FROM mapped WHERE identifier IN (SELECT identifier FROM moved WHERE NOT stale)) AS m
            JOIN seen AS s ON s.identifier = m.identifier
            JOIN ledger AS l ON l.identifier = m.identifier
            WHERE {any_repair}
        )
        """
    )


_IS_ABSENT = "m.identifier IN (SELECT identifier FROM absent)"
"""SQL that tells whether a read of everybody did not meet a person whom the target acknowledged."""


def _noted(plan: DeltaPlan, looks: _Looks, who: _Who) -> dict[str, str]:
    """SQL for what the ledger learns whatever becomes of the sending: column → JSON text.

    What puts a single person in doubt is among it, so that a sending that fails leaves the doubt behind.
    """
    noted = {noted_column(target): text for target, text in looks.noted.items()}
    if looks.is_whole:
        again = "m.identifier IN (SELECT identifier FROM absent WHERE again)"
        for target in plan.targets:
            told = f"{again} AND m.{quote(field_column(target))} IS NOT NULL"
            name = noted_column(target)
            noted[name] = f"coalesce({noted.get(name, 'NULL')}, CASE WHEN {told} THEN {literal(IN_DOUBT)} END)"
    for column in who.fields:
        name = noted_column(field_name(column))
        noted[name] = f"coalesce({noted.get(name, 'NULL')}, n.{quote(column)})"
    return noted


def _collect_delta(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    every: Sequence[str],
    plan: DeltaPlan,
    looks: _Looks,
    who: _Who,
) -> None:
    any_change = " OR ".join(looks.tells(target) for target in plan.targets)
    targets = {field_column(target): target for target in plan.targets}
    wanted = []
    for column in every:
        if column not in targets:
            wanted.append(f"NULL::VARCHAR AS {quote(column)}")
        else:
            is_sent = _is_sent(targets[column], any_change, plan, looks)
            wanted.append(f"CASE WHEN {is_sent} THEN m.{quote(column)} END AS {quote(column)}")
    if plan.send == "whole_profile":
        differing = {
            column: f"(CASE WHEN {looks.differs[target]} THEN m.{quote(column)} END)"
            for column, target in targets.items()
        }
        wanted.append(f"{sent_hash_sql(columns, plan.policy, values=differing)} AS {_DIFFERS_HASH}")
    wanted += [f"{text} AS {quote(increase_column(target))}" for target, text in looks.increase.items()]
    noted = _noted(plan, looks, who)
    news = "FALSE"
    if looks.is_whole:
        news = f"({_IS_ABSENT}) IS DISTINCT FROM coalesce(l.refused_as = {literal(ABSENT)}, FALSE)"
        wanted.append(f"{_IS_ABSENT} AS absent")
    wanted += [f"{text} AS {quote(name)}" for name, text in noted.items()]
    # A file that says the same as before makes it true for longer: what is older than the file must not undo it.
    confirmed = "FALSE" if plan.confirms else f"m.as_of > l.as_of AND NOT ({any_change})"
    if noted or who.is_told or not plan.confirms:
        seen_as_of = "s.as_of" if looks.is_seen else "NULL::TIMESTAMPTZ"
        known_as_of = f"greatest(n.as_of, {seen_as_of})" if who.is_told else seen_as_of
        wanted.append(
            f"CASE WHEN {confirmed} THEN greatest(m.as_of, {seen_as_of}) ELSE {known_as_of} END AS seen_as_of"
        )
    sticks = "FALSE"
    if looks.repaired:
        sticks = f"(l.unstuck_hash IS NOT NULL AND {_LOOKED} AND p.identifier IS NULL)"
        wanted += ["CASE WHEN NOT p.unstuck THEN p.repair_hash END AS repair_hash", f"{sticks} AS sticks"]
    if who.is_told:
        wanted[:0] = ["coalesce(n.taken, FALSE) AS takes_over", "n.crossed"]
    if who.is_loaded:
        wanted.insert(0, f"{who.known_by(any_change)} AS known_by")
    if who.is_found:
        wanted.insert(0, "m.matching")
    known = " OR ".join(f"l.{quote(column)} IS NOT NULL" for column in columns)
    beside = {"s": "seen", "p": "repairs"} if looks.is_seen else {}
    beside |= {"n": "news"} if who.is_loaded else {}
    joins = " ".join(
        f"LEFT JOIN {name} AS {short} ON {short}.identifier = m.identifier" for short, name in beside.items()
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE delta AS
        SELECT m.identifier,
            CASE
                WHEN ({any_change}) AND NOT ({known}) THEN 'insert'
                WHEN ({any_change}) THEN 'change'
                ELSE 'return'
            END AS kind,
            m.as_of, ({any_change}) AS to_send, 0::INTEGER AS data_points, {", ".join(wanted)}
        FROM (SELECT * FROM mapped WHERE identifier IN (SELECT identifier FROM moved WHERE NOT stale)) AS m
        LEFT JOIN ledger AS l ON l.identifier = m.identifier {joins}
        WHERE ({any_change}) OR l.in_segment IS DISTINCT FROM TRUE OR {looks.notes} OR ({confirmed}) OR {sticks}
            OR {news} OR {who.differs("m", "l")}
        """
    )


def _is_sent(target: str, any_change: str, plan: DeltaPlan, looks: _Looks) -> str:
    """SQL that tells whether a record holds a field.

    A whole profile holds all of them. But the level of a number that is added to only where that is also what the
    ledger will know: a level that nothing is added for, an older one, would let the counter grow a second time.
    """
    if plan.send != "whole_profile":
        return looks.differs[target]
    column = quote(field_column(target))
    if target in looks.increase:
        return f"({any_change}) AND ({looks.differs[target]} OR m.{column} IS NOT DISTINCT FROM l.{column})"
    # All that there is of the person, but nothing over its own original.
    return f"({any_change}) AND NOT {looks.echo[target]}" if target in looks.echo else any_change


def _collect_leavers(
    connection: duckdb.DuckDBPyConnection,
    partition: int,
    skipped: Path | None,
    every: Sequence[str],
    written: Mapping[str, str],
    plan: DeltaPlan,
    floor: dt.datetime | None,
    who: _Who,
) -> int:
    """Add the people of whom the ledger says that they are in the segment, and whom this read did not meet.

    A read that is older than what the ledger knows is silent about them, also where its values are sent: they may have
    come since.

    :return: how many of them may only be missing from the read, and stay as they are; those whose data are newest.
    """
    if floor is not None and plan.as_of < floor:
        return 0
    withheld = {field_column(target): beginnings for target, beginnings in plan.withheld.items()}
    mapped = {field_column(target) for target in plan.targets}
    # Who never had anything acknowledged has nothing of ours: nothing to mark, and marking might create them.
    known = " OR ".join(["l.as_of IS NOT NULL", *(f"l.{quote(column)} IS NOT NULL" for column in every)])
    wanted = []
    for column in every:
        text = written.get(column)
        if text is None:
            wanted.append(f"NULL::VARCHAR AS {quote(column)}")
            continue
        differs = known
        if column in mapped:
            # What a field holds is known, so the same is not sent again, and what was never set is not cleared.
            differs = f"({known}) AND l.{quote(column)} IS DISTINCT FROM {literal(text)}"
            differs += f" AND l.{quote(column)} IS NOT NULL" if text == CLEAR else ""
        # Of another attribute it is only known what the last departure left there, and not what came after it.
        told = f"({differs}) AND NOT {withheld_sql(withheld.get(column, ()))}"
        wanted.append(f"CASE WHEN {told} THEN {literal(text)} END AS {quote(column)}")
    anything = " OR ".join(f"{quote(column)} IS NOT NULL" for column in every)
    here = "SELECT identifier FROM mapped"
    if skipped is not None:
        skipped_here = partition_sql("identifier", plan.partitions)
        here += (
            f" UNION ALL SELECT identifier FROM {parquet_source([skipped])} "
            f"WHERE identifier IS NOT NULL AND {skipped_here} = {partition:d}"
        )
    if who.is_told:
        here += " UNION ALL SELECT identifier FROM present"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS SELECT * FROM ledger WHERE in_segment AND identifier NOT IN ({here})"
    )
    spared = 0
    if plan.missing:
        kept = "SELECT identifier FROM gone ORDER BY as_of DESC NULLS LAST, identifier LIMIT ?"
        stay = connection.execute(f"DELETE FROM gone WHERE identifier IN ({kept})", [plan.missing])
        spared = stay.fetchall()[0][0]
    connection.execute(
        f"""
        INSERT INTO delta BY NAME
        SELECT identifier, 'leave' AS kind, as_of, ({anything}) AS to_send, 0 AS data_points,
            {", ".join(quote(column) for column in every)}
        FROM (SELECT l.identifier, $as_of::TIMESTAMPTZ AS as_of, {", ".join(wanted)} FROM gone AS l)
        """,
        {"as_of": plan.as_of},
    )
    return spared


def _rest(
    connection: duckdb.DuckDBPyConnection, every: Sequence[str], plan: DeltaPlan, looks: _Looks, who: _Who
) -> None:
    """Send nothing of who would be refused again, and note them in ``resting``: the same values, the same policy.

    Where the target is asked for somebody by something else, it was not asked for that person before. What the ledger
    is to learn of them stays, or a counter that fell and grew again meanwhile would count too little.
    """
    again = f"{sent_hash_sql(every, plan.policy, prefix='d.')} = l.refused_hash"
    if plan.send == "whole_profile":
        # A row that was taken without some fields has all others again: what counts is whether more than these differ.
        again = f"({again} OR coalesce(l.refused_as = 'fields' AND d.{_DIFFERS_HASH} = l.refused_hash, FALSE))"
    if who.is_found:
        again += " AND d.identifier NOT IN (SELECT identifier FROM news)"
    held = "FALSE"
    if plan.holds_back:
        held = f"l.refused_as IN ({_listed(HELD_REASONS)}) AND l.tried_at > $since::TIMESTAMPTZ"
    quarantined = "FALSE"
    if plan.max_attempts is not None:
        quarantined = f"l.refused_as IN ({_listed(QUARANTINED_REASONS)}) AND l.attempts >= {plan.max_attempts:d}"
    noted = dict.fromkeys([*map(noted_column, looks.noted), *(noted_column(field_name(name)) for name in who.fields)])
    learnt = [f"d.{quote(name)} IS NOT NULL" for name in noted]
    learnt += ["d.known_by IS NOT NULL"] if who.is_loaded else []
    learns = " OR ".join(learnt) or "FALSE"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resting AS
        SELECT d.identifier, d.kind = 'leave' AS leaves, {quarantined} AS quarantined,
            l.in_segment IS DISTINCT FROM TRUE OR {learns} AS keeps_books
        FROM delta AS d JOIN ledger AS l ON l.identifier = d.identifier
        WHERE d.to_send AND {again} AND (({held}) OR ({quarantined}))
        """,
        {"since": plan.as_of - HELD_FOR} if plan.holds_back else {},
    )
    sent = [*every, *(increase_column(target) for target in looks.increase)]
    unsent = ", ".join(f"{quote(column)} = NULL" for column in sent)
    if plan.send == "whole_profile":
        connection.execute(f"ALTER TABLE delta DROP COLUMN {_DIFFERS_HASH}")
    connection.execute("DELETE FROM delta WHERE identifier IN (SELECT identifier FROM resting WHERE NOT keeps_books)")
    connection.execute(
        f"UPDATE delta SET kind = 'return', to_send = FALSE, {unsent} "
        "WHERE identifier IN (SELECT identifier FROM resting)"
    )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)


def _count(connection: duckdb.DuckDBPyConnection, every: Sequence[str], plan: DeltaPlan, looks: _Looks) -> DeltaCounts:
    points = ["0"]
    for target in dict.fromkeys((*plan.targets, *(plan.leavers or {}))):
        column = quote(field_column(target))
        if target in plan.billable:
            points.append(_points_sql(column, nested=target in plan.documents))
    connection.execute(f"UPDATE delta SET data_points = {' + '.join(points)} WHERE to_send")
    sums = {field_column(target): increase_column(target) for target in looks.increase}
    sent = " + ".join(f"count({quote(sums.get(column, column))}) FILTER (WHERE to_send)" for column in every)
    cleared = " + ".join(f"count(*) FILTER (WHERE to_send AND {quote(column)} = '{CLEAR}')" for column in every)
    seen = "FALSE"
    if looks.is_seen:
        seen = " OR ".join(
            f"{quote(noted_column(target))} <> {literal(IN_DOUBT)}"
            for target in looks.noted
            if target not in looks.increase
        )
    row = connection.execute(
        f"""
        SELECT
            count(*) FILTER (WHERE to_send AND kind = 'insert'),
            count(*) FILTER (WHERE to_send AND kind = 'change'),
            count(*) FILTER (WHERE kind = 'leave'),
            count(*) FILTER (WHERE to_send),
            (SELECT count(*) FROM mapped) - count(*) FILTER (WHERE to_send AND kind <> 'leave')
                - (SELECT count(*) FROM moved WHERE stale) - (SELECT count(*) FROM resting WHERE NOT leaves),
            (SELECT count(*) FROM moved WHERE stale),
            {sent},
            {cleared},
            coalesce(sum(data_points), 0)::BIGINT,
            (SELECT count(*) FROM ledger WHERE in_segment),
            count(*) FILTER (WHERE {seen or "FALSE"}),
            (SELECT count(*) FROM resting WHERE NOT quarantined),
            (SELECT count(*) FROM resting WHERE quarantined)
        FROM delta
        """
    ).fetchall()[0]
    return replace(DeltaCounts(*row), **_count_drift(connection, looks), **_count_emptied(connection, plan))


def _count_drift(connection: duckdb.DuckDBPyConnection, looks: _Looks) -> dict[str, Any]:
    """Count the people, and of each field the people, of whom the target does not hold what it acknowledged."""
    if not looks.repaired:
        return {}
    fields_ = [f"count(*) FILTER (WHERE {quote(field_column(target))})" for target in looks.repaired]
    drifted, unstuck, *people = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE unstuck), {', '.join(fields_)} FROM repairs"
    ).fetchall()[0]
    drift = {target: count for target, count in zip(looks.repaired, people, strict=True) if count}
    return {"drifted": drifted, "unstuck": unstuck, "drift": Counter(drift)}


def _count_emptied(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> dict[str, Any]:
    """Count of each field the people who lose an acknowledged value, and all who have one; leavers are in neither.

    A field in doubt may hold a value. It counts where it is emptied now and where the source has a value; who is not
    sent, and has none in the source, is no witness that the field is still there.

    In a large partition the second count is left out for a field that nobody loses: each field costs a look at every
    row, and where a share worth stopping for loses it in one partition, somebody does in each other of that size.
    """
    targets = [target for target in plan.targets if plan.merge(target) != "sum"]
    if not targets:
        return {}
    counts = [
        f"count(*) FILTER (WHERE d.{column} = '{CLEAR}' AND l.{column} <> '{CLEAR}')"
        for column in (quote(field_column(target)) for target in targets)
    ]
    size, *people = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM mapped), {", ".join(counts)}
        FROM delta AS d JOIN ledger AS l ON l.identifier = d.identifier WHERE d.to_send AND d.kind <> 'leave'
        """
    ).fetchall()[0]
    emptied = Counter({target: number for target, number in zip(targets, people, strict=True) if number})
    asked = targets if size < _LARGE else list(emptied)
    if not asked:
        return {}
    counts = [
        f"count(*) FILTER (WHERE l.{column} <> '{CLEAR}' AND (l.{column} <> {literal(IN_DOUBT)} "
        f"OR m.{column} IS DISTINCT FROM '{CLEAR}' OR d.identifier IS NOT NULL))"
        for column in (quote(field_column(target)) for target in asked)
    ]
    filled = connection.execute(
        f"""
        SELECT {", ".join(counts)}
        FROM ledger AS l JOIN mapped AS m ON m.identifier = l.identifier
        LEFT JOIN (SELECT identifier FROM delta WHERE to_send) AS d ON d.identifier = l.identifier
        """
    ).fetchall()[0]
    return {"emptied": emptied, "filled": Counter(dict(zip(asked, filled, strict=True)))}


def _points_sql(column: str, *, nested: bool) -> str:
    """One data point a value; a nested object costs one a key, counted by its inner values."""
    if not nested:
        return f"({column} IS NOT NULL)::INTEGER"
    inner = f"(SELECT count(*) FROM json_tree({column}) WHERE type NOT IN ('OBJECT', 'ARRAY'))"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE greatest(1, {inner}) END"

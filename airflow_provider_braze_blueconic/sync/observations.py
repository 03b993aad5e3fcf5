"""What a goal's read saw in a system, for the goals that write into that system.

A read is an observation: an import's export of a Braze segment tells what Braze holds, an export's read of a BlueConic
segment tells what BlueConic holds. So a goal that writes there need not send what is there already, and what one goal
has just brought is not sent back by the other.

The snapshot itself is the dataset; what is published is where it lies. It is read with the rules of the goal that asks,
so that both sides of a comparison are written alike. Goals find each other by their common staging prefix and by the
Airflow connection of the system:

::

    <staging>/~observed/<goal id>.json           the newest read: system, connection, time, snapshot, what it holds
    <staging>/~observed/<goal id>.written.json   when the goal last wrote into its own target, and the newest read of
                                                 which everything that followed is written

No goal id begins with ``~``.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError, TransientError, UnsupportedTable
from airflow_provider_braze_blueconic.sync.columns import certain_column, echo_column, field_column, source_column
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.delta import Seen
from airflow_provider_braze_blueconic.sync.ledger import Ledger
from airflow_provider_braze_blueconic.sync.mapping import IdentifierLink, MappedField, MappingPlan, map_snapshot
from airflow_provider_braze_blueconic.sync.staging import GoalFolder, Staging, fetch_folder

__all__ = [
    "SETTLES_IN",
    "Observation",
    "Route",
    "System",
    "check_settled",
    "fields_written_by_others",
    "look_again",
    "look_at_target",
    "mark_written",
    "publish_observation",
]

log = logging.getLogger(__name__)

System = Literal["braze", "blueconic"]

SETTLES_IN: Mapping[System, dt.timedelta] = {
    "braze": dt.timedelta(minutes=5),  # between dependent calls: docs "API limits", read 2026-11
    "blueconic": dt.timedelta(minutes=10),  # until a change can be searched: support "Troubleshooting the number …"
}
"""How long a write may take to show in a read."""


@dataclass(frozen=True)
class Observation:
    """One goal's newest read.

    :param goal_id: the goal that read.
    :param system: where it read.
    :param connection: Airflow connection of that system.
    :param as_of: start of the read, UTC.
    :param uri: the snapshot.
    :param columns: what the snapshot holds: paths into a Braze user, or BlueConic property ids.
    :param pairs: (Braze field, BlueConic property) that the goal carries over one to one.
    :param target: Airflow connection of the other system, which the goal writes to.
    :param writes: fields that it writes there.
    :param mapped: the mapped snapshot, which tells of each row what the goal wanted to write.
    :param routes: (Braze field, BlueConic property) that the goal brings over in whatever form.
    """

    goal_id: str
    system: System
    connection: str
    as_of: dt.datetime
    uri: str
    columns: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    target: str
    writes: tuple[str, ...]
    mapped: str
    routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Route:
    """A field that a goal brings over whole, in whatever form: what it changed on its way may come back.

    :param braze: field of the Braze user.
    :param blueconic: property.
    :param field: how the goal writes it; which column it reads does not matter.
    """

    braze: str
    blueconic: str
    field: MappedField


def publish_observation(staging: Staging, folder: GoalFolder, observation: Observation) -> None:
    """Say where a goal's newest read lies. What is replayed of a past date is older, and does not take its place."""
    before = _observed_as_of(staging, folder.observed)
    if before is not None and before > observation.as_of:
        return
    document = {
        "system": observation.system,
        "connection": observation.connection,
        "as_of": observation.as_of.isoformat(),
        "uri": observation.uri,
        "columns": observation.columns,
        "pairs": observation.pairs,
        "target": observation.target,
        "writes": observation.writes,
        "mapped": observation.mapped,
        "routes": observation.routes,
    }
    staging.write_bytes(folder.observed, json.dumps(document, indent=1).encode())


def _observed_as_of(staging: Staging, uri: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(json.loads(staging.read_bytes(uri))["as_of"])
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class _Written:
    """What a goal has written.

    :param at: when it last wrote; ``None`` if it never did.
    :param read: start of the newest of its reads of which all that followed is written.
    """

    at: dt.datetime | None
    read: dt.datetime


def mark_written(staging: Staging, folder: GoalFolder, *, read: dt.datetime, wrote: dt.datetime | None) -> None:
    """Remember that all is written that followed from a goal's read, and when: a read soon after may not show it yet.

    :param read: start of that read.
    :param wrote: time after the last write; ``None`` if there was nothing to write.
    """
    before = _written(staging, folder.written)
    at = wrote or (before.at if before else None)
    newest = max(read, before.read) if before else read
    document = {"at": at.isoformat() if at else None, "read": newest.isoformat()}
    staging.write_bytes(folder.written, json.dumps(document).encode())


def look_at_target(
    engine: Engine,
    staging: Staging,
    folder: GoalFolder,
    local: Path,
    *,
    system: System,
    connection: str,
    read_at: dt.datetime,
    plans: Callable[[Observation], Sequence[MappingPlan]],
    pairs: Mapping[str, tuple[str, str]],
    routes: Mapping[str, Route] | None = None,
    settles_in: Mapping[System, dt.timedelta] = SETTLES_IN,
) -> list[Seen]:
    """Collect what other goals have seen in the system that this goal writes to.

    Left out is a look that this goal's own last write may be newer than, and whoever was met more than once: which of
    several records the target writes to is its own choice, so what one of them holds says nothing.

    What a look shows otherwise than it is about to be sent counts only where both goals carry the same field over, only
    if this goal's own read shows all that the other wrote because of that look, and only for people of whom the other
    has brought over what it saw: else an older value could come back over a newer one that was refused, left out or
    skipped on its way.

    An echo is told apart from news by what the other goal makes of what it saw: it may not bring a value over as it is
    (the first of a list, a text as a number). If the source of this goal holds just what the other sends there, then
    what it saw is the original, and this goal has nothing to bring.

    :param system: where this goal writes.
    :param connection: Airflow connection of that system.
    :param read_at: start of this goal's own read, of the other system.
    :param plans: how this goal reads an observation, in one partition: keys of the people, one plan for each kind of
        key, and its own target fields; none if the observation has nothing for it.
    :param pairs: target field → (Braze field, BlueConic property) that this goal carries over one to one.
    :param routes: target field → how this goal brings it over, in whatever form.
    """
    other: System = "blueconic" if system == "braze" else "braze"
    looks: list[Seen] = []
    for observation in _published(staging, folder):
        if (observation.system, observation.connection) != (system, connection):
            continue
        if _wrote_too_late(staging, folder, observation.as_of - settles_in[system]):
            log.info("%s: what %s read is not looked at, since this goal wrote since then or shortly before",
                     folder.goal_id, observation.goal_id)  # fmt: skip
            continue
        wanted = plans(observation)
        if not wanted:
            continue
        parts = fetch_folder(staging, observation.uri, local / observation.goal_id / "snapshot")
        if not parts:
            log.info("%s: what %s read has expired and is not looked at", folder.goal_id, observation.goal_id)
            continue
        seen = _met_once(engine, parts, wanted, local / observation.goal_id)
        certain: frozenset[str] = frozenset()
        carried = _carried(pairs, observation)
        back = {
            target: route
            for target, route in (routes or {}).items()
            if (route.braze, route.blueconic) in observation.routes
        }
        is_through = _has_written(
            staging,
            writer := GoalFolder(folder.staging, observation.goal_id),
            observation.as_of,
            by=read_at - settles_in[other],
        )
        mapped: list[Path] = []
        if back or (carried and is_through):
            found = fetch_folder(staging, observation.mapped, local / observation.goal_id / "mapped")
            mapped = [path for path in found if path.parent.name.startswith("partition=")]
        if back and mapped:
            seen = _tell_echo(engine, seen, back, mapped, reads_blueconic=system == "blueconic")
        if carried and is_through:
            ledger = Ledger(writer.ledger, staging.storage_options())
            try:
                seen, certain = _tell_carried(engine, seen, carried, ledger, mapped)
            except (BrokenTable, UnsupportedTable) as error:
                # The other goal's own run stops there and says what to do; this one only knows less.
                log.warning("%s: what %s brought over is not known: %s", folder.goal_id, observation.goal_id, error)
        looks.append(Seen(seen, settles_in[system], certain))
        log.info("%s: looking at what %s read of %s", folder.goal_id, observation.goal_id, observation.as_of)
    return looks


def check_settled(
    staging: Staging, folder: GoalFolder, system: System, *, settles_in: Mapping[System, dt.timedelta], at: dt.datetime
) -> None:
    """Make sure that a read of the system that a goal writes to, begun at a time, shows all that the goal wrote.

    :raises TransientError: if the goal wrote there so shortly before that it may not.
    """
    wrote = _wrote_too_late(staging, folder, at - settles_in[system])
    if wrote is None:
        return
    until = wrote + settles_in[system]
    raise TransientError(
        f"{folder.goal_id}: this goal wrote at {wrote:%Y-%m-%d %H:%M:%S} UTC, and what is read there before "
        f"{until:%H:%M:%S} may not show it yet. Nothing was sent; the next try after that time looks again."
    )


def _wrote_too_late(staging: Staging, folder: GoalFolder, latest: dt.datetime) -> dt.datetime | None:
    """Return when a goal wrote last, if that was at a time or later."""
    written = _written(staging, folder.written)
    return None if written is None or written.at is None or written.at < latest else written.at


def look_again(
    engine: Engine,
    staging: Staging,
    folder: GoalFolder,
    local: Path,
    *,
    observation: Observation,
    plans: Callable[[Observation], Sequence[MappingPlan]],
    pairs: Mapping[str, tuple[str, str]],
    settles_in: Mapping[System, dt.timedelta] = SETTLES_IN,
) -> list[Seen]:
    """Read what a goal itself read of the system that it writes to, in order to compare.

    What differs counts: the target no longer holds what it acknowledged. Of fields that another goal brings from there,
    it may be news that has still to come over, so of these only what is equal counts.

    :param observation: this goal's own read of its target.
    :param plans: see :func:`look_at_target`.
    :param pairs: see :func:`look_at_target`.
    :return: one look; none if the read met nobody.
    :raises SyncError: if this goal wrote since, or shortly before.
    """
    system = observation.system
    if wrote := _wrote_too_late(staging, folder, observation.as_of - settles_in[system]):
        raise SyncError(
            f"{folder.goal_id}: this goal wrote at {wrote:%Y-%m-%d %H:%M:%S} UTC, so what was read of {system} at "
            f"{observation.as_of:%H:%M:%S} does not tell what is there now. Nothing was sent. Clear the run from its "
            "first task on, so that it looks again."
        )
    wanted = plans(observation)
    parts = fetch_folder(staging, observation.uri, local / "own" / "snapshot")
    if not parts or not wanted:
        log.warning("%s: the read of %s met nobody, so nothing was compared", folder.goal_id, system)
        return []
    seen = _met_once(engine, parts, wanted, local / "own")
    brought_here = {
        target
        for other in _published(staging, folder)
        if (other.system, other.connection) == (system, observation.connection)
        for target in _carried(pairs, other)
    }
    certain = frozenset(field.target for plan in wanted for field in plan.fields) - brought_here
    return [Seen(seen, settles_in[system], certain, whole=True)]


def _met_once(engine: Engine, parts: Sequence[Path], plans: Sequence[MappingPlan], local: Path) -> Path:
    """Read an observation by each kind of key, and keep who is one record by all of them.

    :param parts: the snapshot.
    :param plans: one for each kind of key, with the same fields.
    """
    mapped, several = [], []
    for number, plan in enumerate(plans):
        out = local / str(number)
        map_snapshot(engine, parts, plan, out)
        here, skipped = parquet_source([out / "partition=0" / "mapped.parquet"]), out / "skipped.parquet"
        mapped.append(f"SELECT * FROM {here}")
        doubles = f"SELECT row, identifier FROM {parquet_source([skipped])} WHERE identifier IS NOT NULL"
        several.append(f"SELECT row FROM ({doubles})")
        several.append(f"SELECT row FROM {here} WHERE identifier IN (SELECT identifier FROM ({doubles}))")
    file = local / "met-once.parquet"
    kept = f"SELECT * FROM ({' UNION ALL '.join(mapped)}) WHERE row NOT IN ({' UNION ALL '.join(several)})"
    with connect(engine) as connection:
        connection.execute(f"COPY ({kept}) TO {literal(str(file))} (FORMAT parquet)")
    return file


def _carried(pairs: Mapping[str, tuple[str, str]], observation: Observation) -> dict[str, str]:
    """Find the fields that both goals carry over one to one: this goal's target → the other goal's."""
    others = set(observation.pairs)
    place = 0 if observation.system == "blueconic" else 1
    return {target: pair[place] for target, pair in pairs.items() if pair in others}


def _tell_carried(
    engine: Engine, seen: Path, carried: Mapping[str, str], ledger: Ledger, mapped: Sequence[Path]
) -> tuple[Path, frozenset[str]]:
    """Add to what was seen whether it was brought over: what was wanted of that row is what was acknowledged.

    :param seen: the read in the terms of the goal that asks.
    :param carried: the target of the goal that asks → that of the goal that read.
    :param ledger: what the target of the goal that read has acknowledged.
    :param mapped: what the goal that read wanted to write: its mapped snapshot.
    :return: the file to use, and the targets of which it tells.
    :raises BrokenTable: the ledger can't be read.
    :raises UnsupportedTable: the ledger has a feature that this package can't use.
    """
    known = set(ledger.columns())
    told = {mine: theirs for mine, theirs in carried.items() if field_column(theirs) in known}
    table = ledger.open()
    if table is None or not told or not mapped:
        return seen, frozenset()
    out = seen.with_name("told.parquet")
    columns = []
    for mine, theirs in told.items():
        column = quote(field_column(theirs))
        columns.append(f"coalesce(m.{column} = l.{column}, FALSE) AS {quote(certain_column(mine))}")
    with connect(engine) as connection:
        connection.register("acknowledged", table.to_pyarrow_dataset())
        told_sql = f"""
            SELECT s.*, {", ".join(columns)}
            FROM {parquet_source([seen])} AS s
            LEFT JOIN {parquet_source(mapped)} AS m ON m.row = s.row
            LEFT JOIN acknowledged AS l ON l.identifier = m.identifier
            """
        with ledger.reading():
            connection.execute(f"COPY ({told_sql}) TO {literal(str(out))} (FORMAT parquet)")
        connection.unregister("acknowledged")
    return out, frozenset(told)


def _tell_echo(
    engine: Engine, seen: Path, back: Mapping[str, Route], mapped: Sequence[Path], *, reads_blueconic: bool
) -> Path:
    """Add to what was seen what this goal would map if its source held what the goal that read sends there.

    :param seen: the read in the terms of the goal that asks.
    :param back: the target of the goal that asks → how it brings it over.
    :param mapped: what the goal that read wanted to write: its mapped snapshot.
    :param reads_blueconic: what was read is BlueConic, so that what was wanted goes to Braze.
    :return: the file to use. A row that the other goal did not map has no echo; if it wanted nothing, it is ``null``.
    """
    names = {target: route.braze if reads_blueconic else route.blueconic for target, route in back.items()}
    with connect(engine) as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {parquet_source(mapped)}").fetchall()
        there = {name for name, *_ in described}
        told = {target: name for target, name in names.items() if field_column(name) in there}
        if not told:
            return seen
        sent = seen.with_name("sent.parquet")
        columns = [f"{_as_read_sql(quote(field_column(n)))} AS {quote(source_column(n))}" for n in set(told.values())]
        as_read = f"""
            SELECT row, row::VARCHAR AS key, NULL::VARCHAR AS profile_id, as_of, last_modified, {", ".join(columns)}
            FROM {parquet_source(mapped)}
            """
        connection.execute(f"COPY ({as_read}) TO {literal(str(sent))} (FORMAT parquet)")
    plan = MappingPlan(
        identifiers=(IdentifierLink("key", "", "", is_list=False),),
        fields=tuple(
            replace(back[target].field, column=quote(source_column(name)), is_list=True, joined=False, clearable=True)
            for target, name in told.items()
        ),
        clear_missing=True,
        objectives=(),
        partitions=1,
    )
    back_here = seen.with_name("echo")
    map_snapshot(engine, [sent], plan, back_here)
    out = seen.with_name("with-echo.parquet")
    listed = ", ".join(f"e.{quote(field_column(target))} AS {quote(echo_column(target))}" for target in told)
    echo = parquet_source([back_here / "partition=0" / "mapped.parquet"])
    joined = f"SELECT s.*, {listed} FROM {parquet_source([seen])} AS s LEFT JOIN {echo} AS e ON e.row = s.row"
    with connect(engine) as connection:
        connection.execute(f"COPY ({joined}) TO {literal(str(out))} (FORMAT parquet)")
    return out


def _as_read_sql(text: str) -> str:
    """SQL for the texts that a JSON text would be read back as, from either system: a whole number has no fraction."""
    return (
        f"CASE WHEN {text} = 'null' THEN NULL "
        f"WHEN starts_with({text}, '[') THEN from_json({text}, '[\"VARCHAR\"]') "
        f"WHEN starts_with({text}, '\"') THEN [json_extract_string({text}, '$')] "
        f"ELSE [regexp_replace({text}, '\\.0$', '')] END"
    )


def _has_written(staging: Staging, folder: GoalFolder, read: dt.datetime, *, by: dt.datetime) -> bool:
    """Tell whether a goal had written everything that followed from a read, and nothing else since, before a time.

    An open upload alone would not tell: between a goal's read and its first write there are the mapping and the delta,
    and goals often run at the same time.
    """
    written = _written(staging, folder.written)
    if written is None or written.read < read or staging.list_objects(folder.open_uploads):
        return False
    return written.at is None or written.at < by


def fields_written_by_others(
    staging: Staging, folder: GoalFolder, *, system: System, connection: str
) -> dict[str, str]:
    """Name the fields of a system that other goals write: field → goal.

    What a goal brought there is not news from there.
    """
    return {
        field: observation.goal_id
        for observation in _published(staging, folder)
        if observation.system != system and observation.target == connection
        for field in observation.writes
    }


def _published(staging: Staging, folder: GoalFolder) -> Iterator[Observation]:
    for staged in staging.list_objects(f"{folder.observations}/"):
        goal_id = staged.uri.rsplit("/", 1)[1].removesuffix(".json")
        if goal_id == folder.goal_id or goal_id.endswith(".written"):
            continue
        document = json.loads(staging.read_bytes(staged.uri))
        yield Observation(
            goal_id=goal_id,
            system=document["system"],
            connection=document["connection"],
            as_of=dt.datetime.fromisoformat(document["as_of"]),
            uri=document["uri"],
            columns=tuple(document["columns"]),
            pairs=tuple((braze, blueconic) for braze, blueconic in document["pairs"]),
            target=document["target"],
            writes=tuple(document["writes"]),
            mapped=document["mapped"],
            # A note of an older version tells only of what is carried one to one.
            routes=tuple((braze, blueconic) for braze, blueconic in document.get("routes", document["pairs"])),
        )


def _written(staging: Staging, uri: str) -> _Written | None:
    try:
        document = json.loads(staging.read_bytes(uri))
    except FileNotFoundError:
        return None
    at = document["at"]
    return _Written(dt.datetime.fromisoformat(at) if at else None, dt.datetime.fromisoformat(document["read"]))

"""What reads saw in the target, in the terms of the goal that uses them."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError, UnsupportedTable
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.recognised import people_files
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.sync.mapping.value_files import value_files
from airflow_provider_braze_blueconic.sync.observations.acknowledged_values import acknowledged_files
from airflow_provider_braze_blueconic.sync.observations.carried import carried_fields, tell_carried
from airflow_provider_braze_blueconic.sync.observations.echo import tell_echo
from airflow_provider_braze_blueconic.sync.observations.observation import Observation, Route, System, published
from airflow_provider_braze_blueconic.sync.observations.written import SETTLES_IN, has_written, wrote_too_late
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging, fetch_folder

__all__ = ["look_again", "look_at_target"]

log = logging.getLogger(__name__)


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
    asker = _Asker(engine, staging, folder, local, system, read_at, pairs, routes or {}, settles_in)
    looks = [
        asker.look(observation, plans)
        for observation in published(staging, folder)
        if (observation.system, observation.connection) == (system, connection)
    ]
    return [look for look in looks if look is not None]


@dataclass(frozen=True)
class _Asker:
    """The goal that asks; see :func:`look_at_target`."""

    engine: Engine
    staging: Staging
    folder: GoalFolder
    local: Path
    system: System
    read_at: dt.datetime
    pairs: Mapping[str, tuple[str, str]]
    routes: Mapping[str, Route]
    settles_in: Mapping[System, dt.timedelta]

    def look(self, observation: Observation, plans: Callable[[Observation], Sequence[MappingPlan]]) -> Seen | None:
        """Look at one observation; ``None`` if it says nothing."""
        goal_id, local = self.folder.goal_id, self.local / observation.goal_id
        settles_in = self.settles_in[self.system]
        if wrote_too_late(self.staging, self.folder, observation.as_of - settles_in):
            log.info("%s: ignoring what %s read, because this goal wrote after that read or shortly before it",
                     goal_id, observation.goal_id)  # fmt: skip
            return None
        wanted = plans(observation)
        if not wanted:
            return None
        parts = fetch_folder(self.staging, observation.uri, local / "snapshot")
        if not parts:
            log.info("%s: ignoring what %s read, because its files have expired", goal_id, observation.goal_id)
            return None
        seen, certain = self._told(observation, _met_once(self.engine, parts, wanted, local))
        log.info("%s: using what %s read at %s", goal_id, observation.goal_id, observation.as_of)
        return Seen(seen, settles_in, certain)

    def _told(self, observation: Observation, seen: Path) -> tuple[Path, frozenset[str]]:
        """Add to what was seen what is an echo of this goal, and what the goal that read has brought over.

        :return: the file to use, and the targets of which it is certain.
        """
        writer = GoalFolder(self.folder.staging, observation.goal_id)
        carried = carried_fields(self.pairs, observation)
        if not self._is_through(writer, observation):
            carried = {}
        routes = self.routes.items()
        back = {target: route for target, route in routes if (route.braze, route.blueconic) in observation.routes}
        ledger = Ledger(writer.ledger, self.staging.storage_options())
        mapped = self._mapped(observation, ledger) if back or carried else []
        if back and mapped:
            seen = tell_echo(self.engine, seen, back, mapped, reads_blueconic=self.system == "blueconic")
        if not carried:
            return seen, frozenset()
        try:
            return tell_carried(self.engine, seen, carried, ledger, mapped)
        except (BrokenTable, UnsupportedTable) as error:
            # The other goal's own run stops there and says what to do; this one only knows less.
            log.warning("%s: what %s has synced is unknown: %s", self.folder.goal_id, observation.goal_id, error)
            return seen, frozenset()

    def _is_through(self, writer: GoalFolder, observation: Observation) -> bool:
        """Tell whether this goal's own read shows all that the other wrote because of its look."""
        other: System = "blueconic" if self.system == "braze" else "braze"
        return has_written(self.staging, writer, observation.as_of, by=self.read_at - self.settles_in[other])

    def _mapped(self, observation: Observation, ledger: Ledger) -> list[Path]:
        """Fetch what the goal that read wanted to write: its mapped snapshot."""
        local = self.local / observation.goal_id / "mapped"
        fetch_folder(self.staging, observation.mapped, local)
        values, people = value_files(local), people_files(local)
        if not people:
            return values
        try:
            return [*values, *acknowledged_files(self.engine, values, people, ledger, local)]
        except (BrokenTable, UnsupportedTable) as error:
            # The other goal's own run stops there and says what to do; this one only knows less.
            log.warning("%s: what %s has synced is unknown: %s", self.folder.goal_id, observation.goal_id, error)
            return values


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
    if wrote := wrote_too_late(staging, folder, observation.as_of - settles_in[system]):
        raise SyncError(
            f"{folder.goal_id}: this goal wrote at {wrote:%Y-%m-%d %H:%M:%S} UTC, so what this run read from "
            f"{system} at {observation.as_of:%H:%M:%S} may be out of date. Nothing was sent. Clear the run from "
            "its first task on to read again."
        )
    wanted = plans(observation)
    parts = fetch_folder(staging, observation.uri, local / "own" / "snapshot")
    if not parts or not wanted:
        log.warning("%s: the read of %s returned nobody, so nothing was compared", folder.goal_id, system)
        return []
    seen = _met_once(engine, parts, wanted, local / "own")
    brought_here = {
        target
        for other in published(staging, folder)
        if (other.system, other.connection) == (system, observation.connection)
        for target in carried_fields(pairs, other)
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
        here, skipped = parquet_source(value_files(out)), out / "skipped.parquet"
        mapped.append(f"SELECT * FROM {here}")
        doubles = f"SELECT row, identifier FROM {parquet_source([skipped])} WHERE identifier IS NOT NULL"
        several.append(f"SELECT row FROM ({doubles})")
        several.append(f"SELECT row FROM {here} WHERE identifier IN (SELECT identifier FROM ({doubles}))")
    file = local / "met-once.parquet"
    kept = f"SELECT * FROM ({' UNION ALL '.join(mapped)}) WHERE row NOT IN ({' UNION ALL '.join(several)})"
    with connect(engine) as connection:
        connection.execute(f"COPY ({kept}) TO {literal(str(file))} (FORMAT parquet)")
    return file

"""The place of an observation: a goal's newest read of a system, for the goals that write to that system.

A read is an observation: an import's export of a Braze segment tells what Braze holds, an export's read of a BlueConic
segment tells what BlueConic holds. So a goal that writes there need not send what is there already, and what one goal
has just brought is not sent back by the other.

The snapshot itself is the dataset; what is published is where it lies. It is read with the rules of the goal that asks,
so that both sides of a comparison are written alike. Goals find each other by their common staging prefix and by the
Airflow connection of the system:

::

    <staging>/~observed/<goal id>.json           the newest read: system, connection, time, snapshot, what it holds

No goal id begins with ``~``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = [
    "Observation",
    "Route",
    "System",
    "fields_written_by_others",
    "is_seen_by_others",
    "publish_observation",
    "published",
]

System = Literal["braze", "blueconic"]


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


def fields_written_by_others(
    staging: Staging, folder: GoalFolder, *, system: System, connection: str
) -> dict[str, str]:
    """Name the fields of a system that other goals write: field → goal.

    What a goal brought there is not news from there.
    """
    return {
        field: observation.goal_id
        for observation in published(staging, folder)
        if observation.system != system and observation.target == connection
        for field in observation.writes
    }


def is_seen_by_others(staging: Staging, folder: GoalFolder, *, system: System, connection: str) -> bool:
    """Tell whether other goals have read a system that this goal writes to."""
    return any(
        (observation.system, observation.connection) == (system, connection)
        for observation in published(staging, folder)
    )


def published(staging: Staging, folder: GoalFolder) -> Iterator[Observation]:
    """Read where the newest reads of the other goals lie."""
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

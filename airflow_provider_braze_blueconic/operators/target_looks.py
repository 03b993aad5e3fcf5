"""What the target holds, as read by other goals or by this run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.delta.seen import Seen
    from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
    from airflow_provider_braze_blueconic.sync.observations.observation import Observation, Route, System
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["TargetLooks"]


@dataclass(frozen=True)
class TargetLooks:
    """Brings what was read from the target into the form of a mapped snapshot.

    :param connection: connection of the target; ``None`` reads nothing.
    :param plans: how this goal reads an observation.
    :param pairs: target field → (Braze field, BlueConic property) that this goal carries over one to one.
    :param routes: target field → how this goal syncs it, in whatever form.
    """

    workspace: Workspace
    system: System
    connection: str | None
    plans: Callable[[Observation], Sequence[MappingPlan]]
    pairs: Mapping[str, tuple[str, str]]
    routes: Mapping[str, Route]

    def by_others(self, local: Path, *, read_at: dt.datetime) -> Sequence[Seen]:
        """Use what other goals read there.

        :param local: folder for files on the way.
        :param read_at: when this goal's source was read.
        """
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations.looks import look_at_target

        if self.connection is None:
            return ()
        return look_at_target(
            self.workspace.engine,
            self.workspace.staging,
            self.workspace.folder,
            local,
            system=self.system,
            connection=self.connection,
            read_at=read_at,
            plans=self.plans,
            pairs=self.pairs,
            routes=self.routes,
            settles_in=Settings.load().settles_in,
        )

    def again(self, local: Path, snapshot: SnapshotRef | None, *, columns: tuple[str, ...]) -> Sequence[Seen]:
        """Use what this run read there for the comparison.

        :param snapshot: what was read, if anything was.
        :param columns: columns of the snapshot.
        """
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations.looks import look_again
        from airflow_provider_braze_blueconic.sync.observations.observation import Observation

        if snapshot is None:
            return ()
        observation = Observation(
            goal_id=self.workspace.folder.goal_id,
            system=self.system,
            connection=self.connection or "",
            as_of=dt.datetime.fromisoformat(snapshot["as_of"]),
            uri=snapshot["uri"],
            columns=columns,
            pairs=(),
            target="",
            writes=(),
            mapped="",
        )
        return look_again(
            self.workspace.engine,
            self.workspace.staging,
            self.workspace.folder,
            local,
            observation=observation,
            plans=self.plans,
            pairs=self.pairs,
            settles_in=Settings.load().settles_in,
        )

"""Whole runs of an export on a local disk, step by step as Airflow calls them, killed at any durable write."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import write_snapshot
from airflow_provider_braze_blueconic.sync.braze.objects import BODY_AFTER, BODY_BEFORE, attributes_sql
from airflow_provider_braze_blueconic.sync.engine.database import Engine, keep_open
from airflow_provider_braze_blueconic.sync.plans.export_reads import properties_to_read
from airflow_provider_braze_blueconic.sync.plans.to_braze import delta_plan, mapping_plan, warning_sources
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Reply, Sender
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads
from airflow_provider_braze_blueconic.sync.steps.compute_delta import compute_staged_delta
from airflow_provider_braze_blueconic.sync.steps.guard import GuardLimits, guard_delta
from airflow_provider_braze_blueconic.sync.steps.map_fields import map_staged_snapshot
from airflow_provider_braze_blueconic.sync.steps.report import report_run
from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, run_key
from airflow_provider_braze_blueconic.sync.store.tables import Table
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.staging import LocalStaging
from tests.support.targets import opened

__all__ = ["Deadly", "Killed", "Life", "Night", "deadly_tables", "profile", "table"]

FIELDS = [ExportField(**{"from": f"property.{name}", "to": name}) for name in ("first_name", "tier")]  # type: ignore[arg-type]
IDENTIFIERS = [ExportIdentifier(blueconic="crm", braze="external_id")]
PARTITIONS = 2


class Killed(BaseException):
    """The process is gone; nothing catches it."""


class Life:
    """Counts durable writes, and ends at one of them. Once over, nothing can be written or sent any more.

    :param until: number of the write (from 1) at which it ends; ``None`` for never.
    :param after: the write is made before the end.
    :param end: what ending is.
    """

    def __init__(self, until: int | None = None, *, after: bool = False, end: Callable[[], None] | None = None) -> None:
        self._until = until
        self._after = after
        self._end = end
        self.writes: list[str] = []
        self.over = False

    def check(self) -> None:
        if self.over:
            raise Killed

    def write(self, what: str, make: Callable[[], Any]) -> Any:
        self.check()
        self.writes.append(what)
        dies = len(self.writes) == self._until
        result = None if dies and not self._after else make()
        if dies:
            self.over = True
            if self._end:
                self._end()
            raise Killed
        return result


class Deadly(LocalStaging):
    """A staging area whose every write may be the last thing that its process does."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def upload_file(self, local: Path, uri: str) -> int:
        return int(self._life.write(uri, lambda: super(Deadly, self).upload_file(local, uri)))

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        return bool(self._life.write(uri, lambda: super(Deadly, self).write_bytes(uri, data, if_absent=if_absent)))

    def delete(self, uris: Iterable[str]) -> None:
        listed = list(uris)
        self._life.write(f"delete {listed}", lambda: super(Deadly, self).delete(listed))


@dataclass(frozen=True)
class _Mortal:
    """A sender that is gone with its process. An answer takes a little, so that receipts come in parts."""

    sender: Sender
    life: Life

    async def send(self, body: bytes) -> Reply:
        self.life.check()
        reply = await self.sender.send(body)
        await asyncio.sleep(0.4)
        self.life.check()
        return reply


def profile(crm: str, **values: str) -> dict[str, Any]:
    """A BlueConic profile with single values."""
    properties = [{"id": "crm", "values": [crm]}, *({"id": name, "values": [value]} for name, value in values.items())]
    return {"id": f"profile-{crm}", "properties": properties}


class Night:
    """One run. A step that was done stays done, as Airflow keeps what a task returned.

    :param home: folder of the staging area and of local files.
    """

    def __init__(
        self, home: Path, run_id: str, profiles: Sequence[Mapping[str, Any]], as_of: dt.datetime, target: Sender
    ) -> None:
        self._home = home
        self._run_id = run_id
        self._profiles = profiles
        self._as_of = as_of
        self._target = target
        self._done: dict[str, Any] = {}

    @property
    def delta(self) -> Any:
        return self._done["delta"]

    @property
    def report(self) -> Any:
        return self._done["report"]

    @property
    def handed_on(self) -> dict[str, Any]:
        """What the steps returned."""
        return self._done

    def again(self, *steps: str) -> None:
        """Clear steps, as from Airflow's UI."""
        for step in list(self._done):
            if step.startswith(steps):
                del self._done[step]

    def run(self, life: Life | None = None, *, last: str = "report") -> None:
        """Go through the steps that are not done, up to and with the last one.

        :raises Killed: where the life ends.
        """
        life = life or Life()
        workspace = Workspace(
            Deadly(life),
            GoalFolder(str(self._home / "staging"), "goal"),
            run_key(self._run_id),
            Engine(self._home / "local", threads=1),
        )
        with keep_open(workspace.engine):
            for name, step in self._steps(workspace, life):
                if name not in self._done:
                    self._done[name] = step()
                if name == last:
                    return

    def _steps(self, workspace: Workspace, life: Life) -> Iterable[tuple[str, Callable[[], Any]]]:
        done = self._done
        yield "extract", lambda: self._extract(workspace)
        plan = mapping_plan(
            IDENTIFIERS, FIELDS, property_types={}, clear_missing=False, objectives=[], partitions=PARTITIONS
        )
        yield (
            "map",
            lambda: map_staged_snapshot(workspace, done["extract"], plan, warning_sources(plan), mapped_by={}),
        )
        yield (
            "delta",
            lambda: compute_staged_delta(
                workspace,
                done["map"],
                delta_plan(
                    FIELDS,
                    partitions=PARTITIONS,
                    as_of=self._as_of,
                    send="changed_fields",
                    leavers={"tier": "gone"},
                    complete=True,
                    allow_stale=False,
                ),
                mapping=lambda: plan,
            ),
        )
        yield (
            "guard",
            lambda: guard_delta(
                workspace,
                done["delta"],
                limits=GuardLimits(),
                acts_on_leavers=True,
                dry_run=False,
                objects=2,
                rate=Rate(100, 1.0, counted=False),
            ),
        )
        for partition in done["guard"]["partitions"]:
            yield f"upload {partition}", lambda partition=partition: self._upload(workspace, life, partition)
        yield "commit", lambda: commit_uploads(workspace, done["delta"])
        yield (
            "report",
            lambda: report_run(
                workspace,
                snapshot=done["extract"],
                mapped=done["map"],
                delta=done["delta"],
                passed=True,
                dry_run=False,
                uploads=[result for step, result in done.items() if step.startswith("upload")],
                committed=True,
            ),
        )

    def _extract(self, workspace: Workspace) -> Any:
        uri = workspace.folder.step(workspace.run_key, "snapshot")
        counts = write_snapshot(
            [SimpleNamespace(profiles=self._profiles, total_results=len(self._profiles))],
            properties=list(properties_to_read(IDENTIFIERS, FIELDS)),
            interaction_names=None,
            as_of=self._as_of,
            folder=self._home / "local" / "snapshot",
            publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
            label="goal",
        )
        return {
            "uri": uri,
            "profiles": counts.profiles,
            "segment_id": "s1",
            "segment_name": "VIP",
            "segment_size": counts.announced,
            "read": "full",
            "complete": counts.complete,
            "as_of": self._as_of.isoformat(),
            "bytes": counts.bytes,
            "property_types": {},
        }

    def _upload(self, workspace: Workspace, life: Life, partition: int) -> Any:
        return upload_partition(
            workspace,
            self.delta,
            partition,
            objects_sql=lambda source, columns: attributes_sql(source, columns, allow_creation=True),
            sender=opened(_Mortal(self._target, life)),
            rate=Rate(100, 1.0, counted=False),
            settings=UploadSettings(
                BatchLimits(2, 4_000_000), BODY_BEFORE, BODY_AFTER, max_in_flight=1, flush_seconds=0.5
            ),
        )


def table(home: Path, name: str) -> list[dict[str, Any]]:
    """Rows of one of the goal's tables; none before it is made."""
    folder = home / "staging" / "goal" / name
    if not (folder / "_delta_log").exists():
        return []
    return list(DeltaTable(str(folder)).to_pyarrow_table().to_pylist())


@pytest.fixture
def deadly_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Life], None]]:
    """Commits of the tables are durable writes too, and count in the life that was set last."""
    write = Table._commit
    lives: list[Life] = []

    def counted(table: Table, *args: Any, **how: Any) -> None:
        if not lives:
            return write(table, *args, **how)
        return lives[-1].write(f"commit {table.uri}", lambda: write(table, *args, **how))

    monkeypatch.setattr(Table, "_commit", counted)
    yield lives.append
    lives.clear()

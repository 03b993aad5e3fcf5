"""Whole runs of goals in both directions on a local disk, step by step as Airflow calls them.

A Braze and a BlueConic of a few lines each hold what was written to them. Time is the nights' own: each run says when it
read and when it wrote. All but the two ends are the operators of the package.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier
from airflow_provider_braze_blueconic.operators.commit_ledger import CommitLedgerOperator
from airflow_provider_braze_blueconic.operators.compute_delta import ComputeDeltaOperator
from airflow_provider_braze_blueconic.operators.guard import GuardOperator
from airflow_provider_braze_blueconic.operators.map_fields import MapFieldsOperator
from airflow_provider_braze_blueconic.operators.sync_report import SyncReportOperator
from airflow_provider_braze_blueconic.sync.blueconic import objects as blueconic_objects
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import write_snapshot
from airflow_provider_braze_blueconic.sync.braze import objects as braze_objects
from airflow_provider_braze_blueconic.sync.braze.segment_export import write_export_snapshot
from airflow_provider_braze_blueconic.sync.engine.database import Engine, keep_open
from airflow_provider_braze_blueconic.sync.plans.export_reads import properties_to_read
from airflow_provider_braze_blueconic.sync.plans.import_links import export_sources
from airflow_provider_braze_blueconic.sync.sending.delta_records import ObjectsSql
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Refusal, Reply, Sender, Verdict
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields
from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, run_key
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.nights import Deadly, Life
from tests.support.targets import opened

__all__ = ["WRITES_FOR", "BlueConic", "Braze", "ExportGoalOf", "ImportGoalOf", "Run"]

WRITES_FOR = dt.timedelta(minutes=30)
"""From the beginning of a read to the last write of the same run."""

_BEGINNING = 1_790_000_000_000
"""Milliseconds since 1970, some time before the nights."""


class BlueConic:
    """Keeps profiles, counts what was written of them.

    Of several profiles that are found the first one is written. A profile that was written is the one that was modified
    last, and so is one that a test calls ``touch`` for; beside the others it comes first in an export's mapping.

    :param profiles: property id → values, of each profile.
    :param types: property id → type; by default everything is text.
    """

    def __init__(self, *profiles: dict[str, list[str]], types: Mapping[str, str] | None = None) -> None:
        self.profiles = list(profiles)
        self.types = dict(types or {})
        self.writes: Counter[str] = Counter()
        """Property id → rules that were carried out."""
        self.refused: set[str] = set()
        """Properties that are not taken, though the rest of a profile is."""
        self.without_consent: set[str] = set()
        """Values of any link of people who did not consent."""
        self.answers = True
        """Whether an answer arrives; what was asked is done all the same."""
        self._modified: list[dict[str, list[str]]] = []

    def touch(self, profile: dict[str, list[str]]) -> None:
        """Let a profile be the one that was modified last."""
        self._modified.append(profile)

    def last_modified(self, profile: dict[str, list[str]]) -> str:
        """When a profile was modified, as BlueConic writes it; by default all of them at the same moment."""
        times = [time for time, modified in enumerate(self._modified, start=1) if modified is profile]
        return str(_BEGINNING + (times[-1] if times else 0))

    def values(self, link: str, value: str, property_id: str) -> list[str] | None:
        """Values of a property of the profile that has this value in another."""
        found = self._found([[{"id": link, "value": value}]])
        return None if found is None else found.get(property_id)

    async def send(self, body: bytes) -> Reply:
        refusals, partial = [], {}
        for position, entry in enumerate(json.loads(body)):
            outcome, faults = self._put(entry)
            if outcome != "accepted":
                refusals.append(Refusal(position, outcome.replace("_", " "), outcome))  # type: ignore[arg-type]
            if faults:
                partial[position] = faults
        if not self.answers:
            return Reply(Verdict.UNKNOWN, None, sentence="no answer came")
        return Reply(Verdict.READ_ENTRIES, 200, tuple(refusals), partial=partial)

    def _put(self, entry: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        conditions = [condition["value"] for all_of in entry["matching"] for condition in all_of]
        if self.without_consent.intersection(conditions):
            return "no_consent", {}
        profile, is_new = self._found(entry["matching"]), False
        if profile is None:
            if entry["strategy"] != "UPSERT":
                return "not_found", {}
            profile, is_new = {}, True
            self.profiles.append(profile)
        faults = {}
        self.touch(profile)
        for rule in entry["properties"]:
            if rule["id"] in self.refused:
                faults[rule["id"]] = "not valid here"
            elif is_new or rule.get("restriction") != "NEW_PROFILES_ONLY":
                self._apply(profile, rule)
                self.writes[rule["id"]] += 1
        return "accepted", faults

    def _found(self, matching: Sequence[Sequence[Mapping[str, str]]]) -> dict[str, list[str]] | None:
        for all_of in matching:
            for profile in self.profiles:
                if all(condition["value"] in profile.get(condition["id"], []) for condition in all_of):
                    return profile
        return None

    def _apply(self, profile: dict[str, list[str]], rule: Mapping[str, Any]) -> None:
        held, values = profile.get(rule["id"], []), rule["values"]
        match rule["strategy"]:
            case "SET":
                held = values
            case "SET_IF_EMPTY":
                held = held or values
            case "ADD":
                held = sorted({*held, *values})
            case "REMOVE":
                held = [value for value in held if value not in values]
            case "INCREMENT":
                held = [format(Decimal(held[0] if held else 0) + Decimal(values[0]), "f")]
            case other:
                raise AssertionError(other)
        profile[rule["id"]] = held


class Braze:
    """Keeps users, counts what was written of them.

    :param users: external id → custom attributes.
    """

    def __init__(self, **users: dict[str, Any]) -> None:
        self.users = users
        self.writes: Counter[str] = Counter()
        """Attribute → times that it was written."""
        self.rejected: set[str] = set()
        """External ids of people of whom nothing is taken."""

    async def send(self, body: bytes) -> Reply:
        refusals = []
        for position, entry in enumerate(json.loads(body)["attributes"]):
            who = entry.pop("external_id")
            if entry.pop("_update_existing_only") and who not in self.users:
                continue  # dropped, and nobody is told
            if who in self.rejected:
                refusals.append(Refusal(position, "is not valid"))
                continue
            self.users.setdefault(who, {}).update(entry)
            self.writes.update(entry.keys())
        return Reply(Verdict.READ_ENTRIES, 201, tuple(refusals))

    def lines(self) -> bytes:
        """The users as a segment export writes them."""
        users = [
            {"braze_id": f"b-{who}", "external_id": who, "custom_attributes": attributes}
            for who, attributes in self.users.items()
        ]
        return "".join(json.dumps(user) + "\n" for user in users).encode()


@dataclass(frozen=True)
class ImportGoalOf:
    """An import goal, from Braze to BlueConic.

    :param fields: (source, property[, further keys of the row]).
    :param remaining: ``remaining_fields`` of the goal.
    """

    goal_id: str
    braze: Braze
    blueconic: BlueConic
    fields: Sequence[tuple[str, str] | tuple[str, str, dict[str, Any]]]
    remaining: Mapping[str, Any] | None = None
    allow_creation: bool = False
    identifiers: Sequence[Mapping[str, Any]] = ({"braze": "external_id", "blueconic": "crm_id"},)
    direction: str = "import"
    source_conn_id: str = "braze"
    target_conn_id: str = "blueconic"

    @property
    def target(self) -> Sender:
        return self.blueconic

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [{"from": row[0], "to": row[1], **(row[2] if len(row) > 2 else {})} for row in self.fields]

    @property
    def mapping(self) -> dict[str, Any]:
        return {"remaining_fields": self.remaining}

    @property
    def delta(self) -> dict[str, Any]:
        return {"policy": {"allow_creation": self.allow_creation}}

    def extract(self, workspace: Workspace, local: Path, uri: str, as_of: dt.datetime) -> dict[str, Any]:
        local.mkdir(parents=True, exist_ok=True)
        file = local / "export.json"
        file.write_bytes(self.braze.lines())
        counts = write_export_snapshot(
            [("export.json", file)],
            paths=list(
                export_sources(
                    [ImportIdentifier.model_validate(link) for link in self.identifiers],
                    [ImportField.model_validate(row) for row in self.rows],
                )
            ),
            remaining=self.remaining is not None,
            excluded=(),
            campaign_names=None,
            as_of=as_of,
            folder=local / "parts",
            publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
            label=self.goal_id,
            broken_percent=0,
        )
        file.unlink()
        return {"profiles": counts.profiles, "property_types": self._types()}

    def _types(self) -> dict[str, str]:
        known = {name: "SELECT" for profile in self.blueconic.profiles for name in profile}
        return known | dict.fromkeys((row[1] for row in self.fields), "SELECT") | self.blueconic.types

    def objects_sql(self, workspace: Workspace, delta: Mapping[str, Any]) -> ObjectsSql:
        merges = {row["target"]: row["merge"] for row in read_fields(workspace, delta["uri"])}
        links = [link["blueconic"] for link in self.identifiers]
        return lambda source, columns: blueconic_objects.profiles_sql(
            source, columns, merges=merges, creates=self.allow_creation, links=links
        )

    @property
    def frame(self) -> tuple[bytes, bytes]:
        return blueconic_objects.BODY_BEFORE, blueconic_objects.BODY_AFTER


@dataclass(frozen=True)
class ExportGoalOf:
    """An export goal, from BlueConic to Braze.

    :param fields: (property, attribute[, further keys of the row]).
    """

    goal_id: str
    braze: Braze
    blueconic: BlueConic
    fields: Sequence[tuple[str, str] | tuple[str, str, dict[str, Any]]]
    identifiers: Sequence[Mapping[str, Any]] = ({"blueconic": "crm_id", "braze": "external_id"},)
    direction: str = "export"
    source_conn_id: str = "blueconic"
    target_conn_id: str = "braze"
    mapping: Mapping[str, Any] = field(default_factory=dict)
    delta: Mapping[str, Any] = field(default_factory=lambda: {"allow_creation": True})

    @property
    def target(self) -> Sender:
        return self.braze

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [{"from": f"property.{row[0]}", "to": row[1], **(row[2] if len(row) > 2 else {})} for row in self.fields]

    def extract(self, workspace: Workspace, local: Path, uri: str, as_of: dt.datetime) -> dict[str, Any]:
        profiles = [
            {
                "id": f"p{number}",
                "properties": [
                    {"id": "lastmodifieddate", "values": [self.blueconic.last_modified(profile)]},
                    *({"id": name, "values": values} for name, values in profile.items()),
                ],
            }
            for number, profile in enumerate(self.blueconic.profiles)
        ]
        counts = write_snapshot(
            [SimpleNamespace(profiles=profiles, total_results=len(profiles))],
            properties=list(
                properties_to_read(
                    [ExportIdentifier.model_validate(link) for link in self.identifiers],
                    [ExportField.model_validate(row) for row in self.rows],
                )
            ),
            interaction_names=None,
            as_of=as_of,
            folder=local / "parts",
            publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
            label=self.goal_id,
        )
        return {"profiles": counts.profiles, "property_types": self.blueconic.types}

    def objects_sql(self, workspace: Workspace, delta: Mapping[str, Any]) -> ObjectsSql:
        creates = self.delta.get("allow_creation", True)
        return lambda source, columns: braze_objects.attributes_sql(source, columns, allow_creation=creates)

    @property
    def frame(self) -> tuple[bytes, bytes]:
        return braze_objects.BODY_BEFORE, braze_objects.BODY_AFTER


class _OnTheCalendar(Deadly):
    """A staging area in which a run wrote when it says, and not when the test ran."""

    def __init__(self, life: Life, wrote: dt.datetime) -> None:
        super().__init__(life)
        self._wrote = wrote

    def _sent(self, uri: str, document: dict[str, Any]) -> bool:
        """Tell whether the run says that it wrote, and not only when an earlier one did."""
        before = json.loads(Path(uri).read_text())["at"] if Path(uri).exists() else None
        return bool(document["at"] != before)

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        if uri.endswith(".written.json") and self._sent(uri, document := json.loads(data)):
            data = json.dumps({**document, "at": self._wrote.isoformat()}).encode()
        return super().write_bytes(uri, data, if_absent=if_absent)


class _Pushed(dict[str, Any]):
    """Stands for a task instance: keeps what was pushed."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        self[key] = value


class Run:
    """One run of a goal. A step that was done stays done, as Airflow keeps what a task returned.

    :param home: folder of the staging area, which goals share, and of local files.
    :param as_of: when it read; it wrote half an hour later.
    :param partitions: of the ledger.
    :param limits: of the goal.
    :param plan_only: it is a dry run.
    :param read: makes the snapshot; by default all that the goal's source has.
    """

    def __init__(
        self,
        home: Path,
        goal: ImportGoalOf | ExportGoalOf,
        as_of: dt.datetime,
        *,
        partitions: int = 1,
        complete: bool = True,
        limits: Mapping[str, Any] | None = None,
        plan_only: bool = False,
        read: Callable[[Workspace], Any] | None = None,
        **delta: Any,
    ) -> None:
        self._home = home
        self._goal = goal
        self._as_of = as_of
        self._partitions = partitions
        self._complete = complete
        self._limits = limits or {}
        self._plan_only = plan_only
        self._read = read
        self._delta = delta
        self.done: dict[str, Any] = {}
        self.pushed = _Pushed()

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.done["report"]
        return report

    def take(self, goal: ImportGoalOf | ExportGoalOf) -> None:
        """Go on by the goal as it is now."""
        self._goal = goal

    def again(self, *steps: str) -> None:
        """Clear steps, as from Airflow's UI."""
        for step in list(self.done):
            if step.startswith(steps):
                del self.done[step]

    def workspace(self, life: Life | None = None) -> Workspace:
        """Where its steps work."""
        return Workspace(
            _OnTheCalendar(life or Life(), self._as_of + WRITES_FOR),
            GoalFolder(str(self._home / "staging"), self._goal.goal_id),
            run_key(f"{self._goal.goal_id}-{self._as_of.isoformat()}"),
            Engine(self._home / "local", threads=1),
        )

    def run(self, life: Life | None = None, *, last: str = "report") -> Run:
        """Go through the steps that are not done, up to and with the last one.

        :raises Killed: where the life ends.
        """
        life = life or Life()
        workspace = self.workspace(life)
        with keep_open(workspace.engine):
            for name, step in self._steps(workspace, life):
                if name not in self.done:
                    self.done[name] = step()
                if name == last:
                    break
        return self

    def _steps(self, workspace: Workspace, life: Life) -> Iterable[tuple[str, Callable[[], Any]]]:
        goal, done = self._goal, self.done
        common: dict[str, Any] = {"goal_id": goal.goal_id, "staging": str(self._home / "staging")}
        ends: dict[str, Any] = {
            "identifiers": goal.identifiers,
            "fields": goal.rows,
            "direction": goal.direction,
            "target_conn_id": goal.target_conn_id,
        }

        def step(operator: type[Any], task_id: str, **settings: Any) -> Callable[[], Any]:
            made = operator(task_id=task_id, **common, **settings)
            return lambda: made.run_step(workspace, {"ti": self.pushed})

        yield "extract", lambda: self._extract(workspace)
        yield (
            "map",
            step(
                MapFieldsOperator,
                "map_fields",
                snapshot=done["extract"],
                partitions=self._partitions,
                source_conn_id=goal.source_conn_id,
                **ends,
                **goal.mapping,
            ),
        )
        yield (
            "delta",
            step(ComputeDeltaOperator, "compute_delta", mapped=done["map"], **ends, **goal.delta, **self._delta),
        )
        target = "blueconic" if goal.direction == "import" else "braze"
        planned = {"plan_only": self._plan_only}
        yield (
            "guard",
            step(
                GuardOperator,
                "guard",
                delta=done["delta"],
                target=target,
                limits=self._limits,
                leavers=goal.delta.get("leavers", "keep"),
                **planned,
            ),
        )
        # Nothing where the guard stopped the run: commit and report follow all the same.
        for partition in done["guard"] or ():
            yield f"upload {partition}", lambda partition=partition: self._upload(workspace, life, partition)
        yield "commit", step(CommitLedgerOperator, "commit", delta=done["delta"], partitions=done["guard"], **planned)
        yield (
            "report",
            step(
                SyncReportOperator,
                "report",
                snapshot=done["extract"],
                mapped=done["map"],
                delta=done["delta"],
                partitions=done["guard"],
                uploads=[result for name, result in done.items() if name.startswith("upload")],
                commit=done["commit"],
                limits=self._limits,
                **planned,
            ),
        )

    def _extract(self, workspace: Workspace) -> Any:
        if self._read is not None:
            return self._read(workspace)
        uri = workspace.folder.step(workspace.run_key, "snapshot")
        read = self._goal.extract(workspace, self._home / "local" / "extract", uri, self._as_of)
        return {
            "uri": uri,
            "segment_id": "s1",
            "segment_name": "Everybody",
            "segment_size": read["profiles"],
            "read": "full",
            "complete": self._complete,
            "as_of": self._as_of.isoformat(),
            "bytes": 1,
            **read,
        }

    def _upload(self, workspace: Workspace, life: Life, partition: int) -> Any:
        before, after = self._goal.frame
        return upload_partition(
            workspace,
            self.done["delta"],
            partition,
            objects_sql=self._goal.objects_sql(workspace, self.done["delta"]),
            sender=opened(_Mortal(self._goal.target, life)),
            rate=Rate(100, 1.0, counted=False),
            settings=UploadSettings(
                BatchLimits(2, 4_000_000),
                before,
                after,
                max_in_flight=1,
                rejected_percent=self._limits.get("rejected_percent"),
                rejected_after=1,
            ),
        )


@dataclass(frozen=True)
class _Mortal:
    """A sender that is gone with its process."""

    sender: Sender
    life: Life

    async def send(self, body: bytes) -> Reply:
        self.life.check()
        reply = await self.sender.send(body)
        self.life.check()
        return reply

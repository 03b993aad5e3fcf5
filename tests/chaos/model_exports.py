"""The model of an export goal's life: from BlueConic, read by the goal's own extract, to Braze."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from pydantic import ValidationError

from airflow_provider_braze_blueconic.dag_factory.export_ends import what_decides
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.hooks import blueconic as blueconic_hooks
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import ProfileProperty, Segment
from airflow_provider_braze_blueconic.operators import blueconic_segment_to_s3 as blueconic_operators
from airflow_provider_braze_blueconic.sync.blueconic.page_rows import PageRows
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import RowsPage
from airflow_provider_braze_blueconic.sync.braze.segment_export import write_export_snapshot
from airflow_provider_braze_blueconic.sync.plans.export_reads import properties_to_read
from airflow_provider_braze_blueconic.sync.plans.observed_users import observable_sources
from airflow_provider_braze_blueconic.sync.sending.seam import Reply
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.chaos.model import NOTHING, PEOPLE, STEPS, Config, GoalModel, Night, Place, Row, Sent, Wire
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf
from tests.support.nights import Life
from tests.support.staging import LocalStaging

__all__ = ["ExportModel", "LinkedExportModel", "ModifiedExportModel"]

CONNECTIONS = ("target", "elsewhere")
CRM = {"blueconic": "crm_id", "braze": "external_id"}
EMAIL = {"blueconic": "mail", "braze": "email"}
PHONE = {"blueconic": "mobile", "braze": "phone"}
SETTINGS: Mapping[str, tuple[Any, Any]] = {
    "segment": ("Fans", "Everybody"),
    "when_missing": ("keep", "clear"),
    "allow_creation": (False, True),
    "connection": CONNECTIONS,
    "objectives": (("news",), ()),
}
"""Settings of a goal, each with two values, that decide who is worth reading."""
READS = ("whole", "whole", "one hidden", "unknown size", "index empty")
LINKS = {"crm": CRM, "mail": EMAIL, "mobile": PHONE}


class ExportModel(GoalModel):
    """An export goal that reads whole segments."""

    direction = "export"
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "x": [Row("p", "string"), Row("q", "string"), Row("p", "integer")],
        "y": [Row("q", "string"), Row("q", "integer")],
        "tags": [Row("l", "array")],
    }
    REFUSALS = ("rejected",)
    READS = READS

    def __init__(self) -> None:
        super().__init__()
        # Cas is nobody whom Braze knows.
        self.targets = {name: Braze(ann={}, bob={}) for name in CONNECTIONS}
        self.types = {"n": "SELECT"}
        self.types_of: dict[int, Mapping[str, str]] = {}
        """Number of a run → property id → type, as they were when it began."""
        self.shown: set[tuple[Place, str, str]] = set()
        """What looks at Braze have shown."""
        self.gone_from_braze: set[tuple[str, str]] = set()
        """(connection, person) whom a look missed and sent once more, and no look has met since."""
        self.config = Config({"x": Row("p", "string"), "tags": Row("l", "array")}, links=("crm",))
        for number, who in enumerate(PEOPLE):
            self.source[who] = {"p": "a", "q": str(number), "l": ["r"], "c": "news"}

    # The goal

    def declared(self, config: Config) -> ExportGoal:
        leavers = {"set": dict(config.leavers)} if isinstance(config.leavers, Mapping) else config.leavers
        return ExportGoal.model_validate(
            {
                "goal": "export",
                "id": "goal",
                "staging": "s3://bucket/state",
                "source": {"segment": config.segment, "read": config.read},
                "connections": {"braze": config.connection},
                "identifiers": [LINKS[link] for link in config.links],
                "fields": [self._row(target, row) for target, row in config.fields.items()],
                "objectives": list(config.objectives),
                "when_missing": config.when_missing,
                "leavers": leavers,
                "send": config.send,
                "allow_creation": config.allow_creation,
                "partitions": config.partitions,
            }
        )

    def _row(self, target: str, row: Row) -> dict[str, Any]:
        made = {"from": f"property.{row.source}", "to": target}
        return made if row.how == "auto" else {**made, "type": row.how}

    def is_valid(self, config: Config) -> bool:
        try:
            self.declared(config)
        except ValidationError:
            return False
        return True

    def goal(self, night: Night) -> ExportGoalOf:
        config = night.config
        self.types_of[night.number] = dict(self.types)
        return ExportGoalOf(
            "goal",
            Wire(self, night),  # type: ignore[arg-type]
            BlueConic(),
            [
                (row.source, target, {} if row.how == "auto" else {"type": row.how})
                for target, row in config.fields.items()
            ],
            identifiers=[LINKS[link] for link in config.links],
            target_conn_id=config.connection,
            mapping={"when_missing": config.when_missing, "objectives": config.objectives},
            delta={
                "send": config.send,
                "leavers": config.leavers,
                "allow_creation": config.allow_creation,
                "settings": what_decides(self.declared(config)),
            },
        )

    # The read

    def read(self, night: Night, workspace: Workspace) -> Any:
        goal = self.declared(night.config)
        hook = _SourceOf(self, night)
        operator = blueconic_operators.BlueConicSegmentToS3Operator(
            task_id="extract",
            goal_id="goal",
            staging="s3://bucket/state",
            segment=night.config.segment,
            properties=properties_to_read(goal.identifiers, goal.fields),
            objectives=goal.objectives,
            read=night.config.read,  # type: ignore[arg-type]
            full=night.retry_held,
            settings=what_decides(goal),
            blueconic_conn_id="blueconic",
        )
        now = SimpleNamespace(now=lambda _: night.as_of)
        with (
            mock.patch.object(blueconic_hooks, "BlueConicHook", hook),
            mock.patch.object(blueconic_operators, "dt", SimpleNamespace(datetime=now, UTC=dt.UTC)),
            mock.patch.object(type(workspace.staging), "check_access", create=True),
        ):
            snapshot = operator._read(workspace)
        night.snapshot = {who: night.everybody[who] for who in hook.read}
        return snapshot

    def profile(self, who: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """A person as BlueConic returns one."""
        held = {**self.identifiers(who, values), **{name: values[name] for name in values if name not in ("c", "i")}}
        return {
            "id": f"p-{who}",
            "properties": [
                {"id": "lastmodifieddate", "values": [str(int(self.touched[who].timestamp() * 1000))]},
                *(
                    {"id": name, "values": value if isinstance(value, list) else [value]}
                    for name, value in held.items()
                    if value
                ),
            ],
            "consentedObjectives": [values["c"]] if values["c"] else [],
        }

    def identifiers(self, who: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {"crm_id": who}

    # Braze

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        found = []
        for entry in json.loads(body, object_pairs_hook=_without_twins)["attributes"]:
            key = _key(entry)
            fields = {
                name: ("SET", value) for name, value in entry.items() if name not in (key, "_update_existing_only")
            }
            found.append((_whose(key, entry[key]), fields))
        return found

    def wanted(self, night: Night, target: str, values: Mapping[str, Any]) -> Any:
        row = night.config.fields[target]
        value = values.get(row.source)
        if not self.is_mapped(night, values):
            return NOTHING
        if not value:
            return None if night.config.when_missing == "clear" else NOTHING
        how = row.how
        if how == "auto":
            how = "integer" if self.types_of[self._origin(night).number][row.source] == "RANGE" else "string"
        if how == "integer":
            return int(value) if value.isdigit() else NOTHING
        return sorted(set(value)) if how == "array" else value

    def _origin(self, night: Night) -> Night:
        return night if night.replays is None else self._origin(night.replays)

    def is_mapped(self, night: Night, values: Mapping[str, Any]) -> bool:
        return not night.config.objectives or values["c"] in night.config.objectives

    def holds(self, place: Place, target: str) -> Any:
        connection, who = place
        return self.targets[connection].users.get(who, {}).get(target)

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        return bool(wanted == held)

    def applied(self, night: Night, place: Place, position: int, target: str) -> bool:
        connection, who = place
        return who in self.targets[connection].users

    def takes(self, night: Night, who: str, values: Mapping[str, Any]) -> bool:
        braze = self.targets[night.config.connection]
        is_known = night.config.allow_creation or self.name(values, who) in braze.users
        return is_known and who not in braze.rejected and self.is_mapped(night, values)

    def is_in_doubt(self, night: Night, last: Sent) -> bool:
        """What was acknowledged while nobody was created is in doubt once people are; and after a look, what differs."""
        if any(one.looks for one in self.nights[last.night.number : night.number + 1]):
            return True
        creates = any(one.config.allow_creation for one in self.nights[last.night.number : night.number + 1])
        return creates and any(
            one.who == last.who and one.acknowledged and not one.night.config.allow_creation
            for one in self.sent[last.number :]
        )

    def was_seen(self, who: str, target: str, claimed: Any) -> bool:
        """An export of Braze shows values as texts, and also what is empty."""
        is_shown = any(((connection, who), target, str(claimed)) in self.shown for connection in CONNECTIONS)
        return is_shown or (claimed is None and any(night.looks for night in self.nights))

    def who_is(self, identifier: str) -> str:
        ((key, value),) = json.loads(identifier).items()
        return _whose(key, value)

    # What changes

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "l":
            return st.lists(st.sampled_from(["r", "s"]), max_size=2, unique=True)
        if name == "c":
            return st.sampled_from(["news", None])
        return st.sampled_from(["a", "7", "007", None])

    def refuse(self, who: str, how: str) -> None:
        for braze in self.targets.values():
            braze.rejected ^= {who}

    def take_everybody(self) -> None:
        """Have Braze refuse nobody, as a read of changes needs it to begin where the last one did."""
        for braze in self.targets.values():
            braze.rejected.clear()
        self.quiet = False

    def change_target(self, place: Place, target: str) -> bool:
        connection, who = place
        if who not in self.targets[connection].users:
            return False
        self.targets[connection].users[who][target] = "of somebody else"
        return True

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            st.builds(lambda n: {"partitions": n}, st.integers(1, 3)),
            st.builds(lambda how: {"send": how}, st.sampled_from(["changed_fields", "whole_profile"])),
            st.builds(
                lambda how: {"leavers": how}, st.sampled_from(["keep", "clear_fields", {"left": True}, {"promo": None}])
            ),
            st.builds(lambda how: {"when_missing": how}, st.sampled_from(["keep", "clear"])),
            st.builds(lambda how: {"allow_creation": how}, st.booleans()),
            st.builds(lambda how: {"connection": how}, st.sampled_from(CONNECTIONS)),
            st.builds(lambda how: {"objectives": how}, st.sampled_from([(), ("news",)])),
        )

    @precondition(lambda self: self.nights)
    @rule(name=st.sampled_from(["p", "l"]))
    def a_field_vanishes_for_everybody(self, name: str) -> None:
        """A run that would empty a field for most people stops before it sends."""
        self.declare(when_missing="clear")
        self.go_well(self.begin())
        for who in PEOPLE:
            self.change(who, name, None)
        night = self.begin(limits={"clears_percent": 50})
        known = {(one.who, one.target): one.value for one in self.sent if one.acknowledged}
        self.go(night)
        self.quiet = False
        self.check()
        sent = [one for one in self.sent if one.night is night and one.value is None and one.who in night.snapshot]
        for target in night.config.fields:
            lost = {one.who for one in sent if one.target == target and known.get((one.who, target)) is not None}
            held = {who for who in night.snapshot if known.get((who, target)) is not None}
            assert 2 * len(lost) <= len(held), f"{night} emptied {target} for {lost} of {held}"

    @precondition(lambda self: self.nights)
    @rule(
        setting=st.sampled_from([*sorted(SETTINGS), "fields"]),
        back=st.sampled_from([False, False, False, True]),
        who=st.sampled_from(PEOPLE),
        ends=st.sampled_from(["well", "well", "refused", "killed"]),
    )
    def a_goal_is_changed_between_two_good_nights(self, setting: str, back: bool, who: str, ends: str) -> None:
        """The one after the change finds everybody whom it concerns, though nobody changed in BlueConic since.

        If that one did not end well, the goal is changed back, and the next one finds them too.
        """
        if setting == "segment" and len(self.SEGMENTS) == 1:
            return
        self.take_everybody()
        mapped = [{**self.config.fields, "x": Row(source, "string")} for source in ("p", "q")]
        both = {**SETTINGS, "fields": mapped}[setting]
        before, after = reversed(both) if back else both
        for segment, members in self.members.items():
            (members.add if segment == "Everybody" else members.discard)(who)
        self.touch(who)
        self.declare(**{setting: before})
        self.go_well(self.begin())
        self.turn(who, "p")
        self.change(who, "p" if setting == "when_missing" else "c", None)
        self.go_well(self.begin())
        self.declare(**{setting: after})
        if ends == "refused":
            self.refuse(who, "rejected")
        if ends == "killed":
            self.go(self.begin(), steps=4 + self.config.partitions)
        else:
            self.go_well(self.begin())
        if ends != "well":
            self.declare(**{setting: before})
            self.go_well(self.begin())

    @precondition(lambda self: self.nights and not self.open)
    @rule(who=st.sampled_from(PEOPLE))
    def somebody_is_refused_until_they_rest_and_is_released(self, who: str) -> None:
        """The next night tries them again, though nobody changed in BlueConic since."""
        if who not in self.targets[self.config.connection].rejected:
            self.refuse(who, "rejected")
        self.turn(who, "p")
        for _ in range(6):
            self.go_well(self.begin())
        self.refuse(who, "rejected")
        self.somebody_is_released(who)
        self.go_well(self.begin())

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), leavers=st.sampled_from(["clear_fields", {"left": True}, {"promo": None}]))
    def somebody_leaves_between_two_good_nights(self, who: str, leavers: str | Mapping[str, object]) -> None:
        """And is told so at each departure, as far as it is not known to be so."""
        self.declare(leavers=leavers)
        for _ in range(2):
            self.members["Everybody"].add(who)
            self.touch(who)
            self.go_well(self.begin())
            self.members["Everybody"].discard(who)
            self.touch(who)
            self.go_well(self.begin())

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), how=st.sampled_from(["replayed", *sorted({*READS} - {"whole"})]))
    def a_run_that_does_not_see_somebody_follows_a_good_night(self, who: str, how: str) -> None:
        """It reads an old date again, before they joined, or not all that there is: nobody counts as gone."""
        self.declare(leavers="clear_fields")
        self.take_everybody()
        old = None
        if how == "replayed":
            self.members["Everybody"].discard(who)
            old = self.begin()
            self.go_well(old)
        self.members["Everybody"].add(who)
        self.touch(who)
        self.go_well(self.begin())
        if old is None:
            self.go_well(self.begin(reads=how))
        elif old.run.done.get("extract") is not None and self._holds_all(old.config):
            self.go(self.begin(replays=old, allow_stale=True))
            self.check()
        self.quiet = False

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), until=st.integers(1, 6), after=st.booleans())
    def an_upload_is_killed_and_its_news_is_taken_back(self, who: str, until: int, after: bool) -> None:
        """What it may have sent is sent back."""
        self.take_everybody()
        self.declare(fields={**self.config.fields, "x": Row("p", "string")})
        self.go_well(self.begin())
        self.turn(who, "p")
        night = self.begin()
        self.go(night, steps=4)
        self.go(night, life=Life(until, after=after))
        self.turn(who, "p")
        self.go_well(self.begin())

    # Braze loses people, and a reconcile finds out

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE))
    def braze_loses_a_person(self, who: str) -> None:
        place = (self.config.connection, self.name(self.source[who], who))
        if self.targets[place[0]].users.pop(place[1], None) is not None:
            self.foreign |= {(place, target) for target in (*self.ROWS, "left", "promo")}

    @precondition(lambda self: self.nights and not self.open)
    @rule(who=st.sampled_from((*PEOPLE, None)), creates=st.booleans())
    def a_night_reconciles(self, who: str | None, creates: bool) -> None:
        if creates:
            self.declare(allow_creation=True)
            self.go_well(self.begin())
        if who is not None:
            self.braze_loses_a_person(who)
        night = self.begin(looks=True)
        connection = night.config.connection
        there = set(self.targets[connection].users)
        self.go(night)
        self.quiet = False
        self.check()
        if night.disturbed:
            return
        for name in there:
            self.gone_from_braze.discard((connection, name))
        for person, values in night.snapshot.items():
            place = (connection, self.name(values, person))
            is_known = any(one.who == person and one.acknowledged for one in self.sent[: night.known])
            if place[1] in there or place in self.gone_from_braze or not is_known or not night.config.allow_creation:
                continue
            if self.takes(night, person, values) and not self.refused[person]:
                self.gone_from_braze.add(place)
                for target in night.config.fields:
                    wanted = self.wanted(night, target, values)
                    if wanted is not NOTHING and self.acknowledged(person, target):
                        held = self.holds(place, target)
                        assert held == wanted, f"{night}: {person} was gone; {target} is {held!r}, not {wanted!r}"

    def looked(self, night: Night) -> dict[str, Any]:
        if not night.looks:
            return {}
        connection = night.config.connection
        for who, held in self.targets[connection].users.items():
            self.shown |= {((connection, who), target, str(value)) for target, value in held.items()}
        goal = self.goal(night)
        identifiers = [ExportIdentifier.model_validate(link) for link in goal.identifiers]
        fields = [ExportField.model_validate(row) for row in goal.rows]
        uri = str(self.home / f"look-{night.number}")
        local = self.home / "local" / "look"
        local.mkdir(parents=True, exist_ok=True)
        (local / "export.json").write_bytes(self.targets[connection].lines())
        counts = write_export_snapshot(
            [("export.json", local / "export.json")],
            paths=list(observable_sources(identifiers, fields)),
            remaining=False,
            excluded=(),
            campaign_names=None,
            as_of=night.as_of,
            folder=local / "parts",
            publish=lambda path: LocalStaging().upload_file(path, f"{uri}/{path.name}"),
            label="look",
            broken_percent=0,
        )
        return {
            "looked": {
                "uri": uri, "profiles": counts.profiles, "segment_id": "s", "segment_name": "All", "segment_size": None,
                "read": "full", "complete": True, "as_of": night.as_of.isoformat(), "bytes": 1, "property_types": {},
            }
        }  # fmt: skip


class _SourceOf:
    """BlueConic as the extract of one run asks it, in place of its hook."""

    repeated_pages = 0

    def __init__(self, model: ExportModel, night: Night) -> None:
        self._model = model
        self._night = night
        self.read: list[str] = []
        """Who came."""

    def __call__(self, _: str) -> _SourceOf:
        return self

    def get_conn(self) -> Any:
        return SimpleNamespace(site=SimpleNamespace(base_url="https://blueconic.example"))

    def resolve_segment(self, name: str) -> Segment:
        count = None if self._night.reads == "unknown size" else len(self._night.everybody)
        return Segment(f"s-{name}", name, count)

    def list_profile_properties(self) -> list[ProfileProperty]:
        types = self._model.types_of[self._night.number]
        names = ("crm_id", "mail", "mobile", "contact", "lastmodifieddate", *self._model.source[PEOPLE[0]])
        return [ProfileProperty(name, name, types.get(name, "SELECT"), indexed=True) for name in names]

    def list_objectives(self) -> list[Any]:
        return [SimpleNamespace(id="news")]

    def iter_segment_rows(
        self, _: str, columns: ProfileColumns, *, folder: Path, refinement: Mapping[str, str] | None, **__: Any
    ) -> Iterator[RowsPage]:
        night, model = self._night, self._model
        meant = list(night.everybody)
        if refinement is not None:
            since, until = (dt.datetime.fromisoformat(refinement[name]) for name in ("fromDate", "toDate"))
            meant = [who for who in meant if since <= model.touched[who] <= until]
        announced: int | None = len(meant)
        if night.reads == "one hidden":
            meant = meant[:-1]
        elif night.reads == "index empty":
            meant, announced = [], 0
        elif night.reads == "unknown size":
            announced = None
        self.read = meant
        profiles = [model.profile(who, copy.deepcopy(night.everybody[who])) for who in meant]
        rows = PageRows(columns, folder)
        rows.take_profiles(profiles)
        yield RowsPage(rows, announced)


class ModifiedExportModel(ExportModel):
    """An export goal that reads what changed."""

    SEGMENTS = ("Everybody", "Fans")
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "x": [Row("p", "string"), Row("q", "string"), Row("p", "integer")],
        "tags": [Row("l", "array")],
        "auto": [Row("n", "auto")],
    }

    def __init__(self) -> None:
        super().__init__()
        # Nobody is created at first, so that a change of that concerns somebody.
        self.config = Config({"x": Row("p", "string"), "auto": Row("n", "auto")}, links=("crm",), read="modified")
        self.members["Fans"] = {"bob", "cas"}
        for who in PEOPLE:
            self.source[who]["n"] = "7"

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.sampled_from([{name: value} for name, both in SETTINGS.items() for value in both])

    @rule(is_known=st.booleans())
    def a_property_gets_another_type(self, is_known: bool) -> None:
        """Perhaps between two good nights: the one after it finds everybody, though nobody changed."""
        if is_known:
            self.declare(fields={**self.config.fields, "auto": Row("n", "auto")})
            self.go_well(self.begin())
        self.types["n"] = "RANGE" if self.types["n"] == "SELECT" else "SELECT"
        self.quiet = False
        if is_known:
            self.go_well(self.begin())

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE))
    def somebody_is_hidden_from_a_read_of_changes(self, who: str) -> None:
        """The next read finds them."""
        self.take_everybody()
        self.go_well(self.begin())
        self.turn(who, "p")
        self.go_well(self.begin(reads="one hidden"))
        self.go_well(self.begin())

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), value=st.sampled_from(["7", "007"]))
    def a_run_is_cleared_after_its_goal_changed(self, who: str, value: str) -> None:
        """Then the goal is changed back, and the next night finds whom that concerns."""
        before, after = ({**self.config.fields, "x": Row("p", kind)} for kind in ("string", "integer"))
        self.declare(fields=before)
        self.take_everybody()
        self.go_well(self.begin())
        self.change(who, "p", value)
        night = self.begin()
        self.go(night, steps=2)
        if night.lost or any(result is None for result in night.run.done.values()):
            return
        self.declare(fields=after)
        types = self.types_of[night.number]
        night.config = self.config
        night.run.take(self.goal(night))
        self.types_of[night.number] = types
        night.run.again(*STEPS[1:])
        self.go(night)
        self.check()
        self.declare(fields=before)
        self.go_well(self.begin())


def _mail(who: str) -> str:
    return f"{who}@mail.example"


def _mobile(who: str) -> str:
    return f"+3161111111{PEOPLE.index(who)}"


def _whose(key: str, value: str) -> str:
    """Whose an identifier is."""
    return PEOPLE[int(value[-1])] if key == "phone" else value.split("@", maxsplit=1)[0].removesuffix("-2")


def _key(entry: Mapping[str, Any]) -> str:
    """Name the identifier of a record: an e-mail only beside no id, and a phone number only beside no e-mail."""
    return next(name for name in ("external_id", "email", "phone") if name in entry)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a record says something twice: {names}"
    return dict(pairs)


class _BrazeOfAll(Braze):
    """A Braze in which every identifier of a person finds the same user."""

    async def send(self, body: bytes) -> Reply:
        objects = []
        for entry in json.loads(body)["attributes"]:
            key = _key(entry)
            objects.append({**entry, "external_id": _whose(key, entry[key])})
            if key != "external_id":
                del objects[-1][key]
        return await super().send(json.dumps({"attributes": objects}).encode())

    def lines(self) -> bytes:
        users = [
            {"braze_id": f"b-{who}", "external_id": who, "email": _mail(who), "phone": _mobile(who)}
            | {"custom_attributes": {name: value for name, value in held.items() if name != "email"}}
            for who, held in self.users.items()
        ]
        return "".join(json.dumps(user) + "\n" for user in users).encode()


class LinkedExportModel(ExportModel):
    """An export goal that knows people by several identifiers, which come and go. In Braze all of them are one user's."""

    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "x": [Row("p", "string"), Row("q", "string")],
        "tags": [Row("l", "array")],
        "email": [Row("contact", "string")],
    }

    def __init__(self) -> None:
        super().__init__()
        self.targets = {name: _BrazeOfAll(ann={}, bob={}) for name in CONNECTIONS}
        self.config = Config({"x": Row("p", "string")}, links=("crm", "mail"), leavers="clear_fields")
        for who in PEOPLE:
            self.source[who] |= {"contact": _mail(who), "i": "both"}

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "i":
            return st.sampled_from(["both", "both", "mail", "two", "mobile"])
        if name == "contact":
            return st.sampled_from([_mail(who) for who in PEOPLE])
        return super().values(name)

    def identifiers(self, who: str, values: Mapping[str, Any]) -> dict[str, Any]:
        mail, mobile = _mail(who), _mobile(who)
        return {
            "both": {"crm_id": who, "mail": mail, "mobile": mobile},
            "mail": {"mail": mail, "mobile": mobile},
            "two": {"crm_id": [who, f"{who}-2"], "mail": mail, "mobile": mobile},
            "mobile": {"mobile": mobile},
        }[values["i"]]

    def _link(self, config: Config, values: Mapping[str, Any]) -> str | None:
        """By which link a person is sent; ``None`` if the record is skipped."""
        there = {"both": ("crm", "mail", "mobile"), "mail": ("mail", "mobile"), "mobile": ("mobile",)}
        link = next((one for one in config.links if one in there.get(values["i"], ("crm", "mail", "mobile"))), None)
        return None if values["i"] == "two" and link == "crm" else link

    def is_named(self, values: Mapping[str, Any]) -> bool:
        return values["i"] == "two" or self._link(self.config, values) is not None

    def is_mapped(self, night: Night, values: Mapping[str, Any]) -> bool:
        return super().is_mapped(night, values) and self._link(night.config, values) is not None

    def known_as(self, night: Night, who: str) -> tuple[str, ...] | None:
        values = night.snapshot.get(who)
        link = None if values is None else self._link(night.config, values)
        return None if link is None else (night.config.connection, link)

    def wanted(self, night: Night, target: str, values: Mapping[str, Any]) -> Any:
        if target == "email" and self._link(night.config, values) == "mail":
            return NOTHING  # by that they are known
        return super().wanted(night, target, values)

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        links = [("crm", "mail"), ("crm", "mail"), ("crm",), ("mail", "crm"), ("crm", "mobile")]
        return st.one_of(
            st.builds(lambda n: {"partitions": n}, st.integers(1, 3)),
            st.builds(lambda how: {"links": how}, st.sampled_from(links)),
            st.builds(
                lambda how: {"leavers": how},
                st.sampled_from(["keep", "clear_fields", "clear_fields", {"x": "gone"}, {"email": None}]),
            ),
            st.builds(lambda how: {"allow_creation": how}, st.booleans()),
        )

    @precondition(lambda self: self.nights)
    @rule(
        who=st.sampled_from(PEOPLE),
        ways=st.permutations(["both", "mail", "two", "mobile"]),
        value=st.sampled_from(["stays", "changes"]),
        planned=st.booleans(),
    )
    def identifiers_come_and_go_from_night_to_night(
        self, who: str, ways: Sequence[str], value: str, planned: bool
    ) -> None:
        for way in ways[:3]:
            self.change(who, "i", way)
            if value == "changes":
                self.turn(who, "p")
            if planned:
                self.go(self.begin(planned=True))
            self.go_well(self.begin())

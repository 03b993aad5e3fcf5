"""Two more models: goals that write to each other's source, and an import that is delivered as files."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat
from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict
from airflow_provider_braze_blueconic.sync.steps.delivery import deliver_csv
from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.chaos.model import FIRST_NIGHT, HOUR, NOTHING, Config, Night, Place, Row, Sent, Steps, in_process
from tests.chaos.model_imports import ImportModel
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Life
from tests.support.staging import LocalStaging

__all__ = ["DeliveryModel", "TwoWayModel"]


@dataclass(frozen=True)
class Pair:
    """A property and an attribute that are to hold the same.

    :param how: type of the export's row.
    :param there: values that somebody gives the property → what the export makes of each.
    :param here: values that somebody gives the attribute → what the import makes of each.
    """

    how: str
    there: Mapping[tuple[str, ...], Any]
    here: Sequence[tuple[Any, list[str]]]


PAIRS: Mapping[str, Pair] = {
    "number": Pair("integer", {("007",): 7, ("7",): 7, ("8",): 8}, [(9, ["9"]), (7, ["7"])]),
    "amount": Pair("float", {("1.50",): 1.5, ("2",): 2.0}, [(2.5, ["2.5"])]),
    "flag": Pair("boolean", {("yes",): True, ("no",): False}, [(True, ["true"])]),
    "text": Pair("string", {("a", "b"): "a", ("c",): "c"}, [("d", ["d"]), ("a", ["a"])]),
    "list": Pair("array", {("b", "a"): ["a", "b"], ("c",): ["c"]}, [(["d", "e"], ["d", "e"])]),
    "time": Pair(
        "time",
        {("2026-01-15",): "2026-01-15T00:00:00.000Z", ("2026-02-01T10:00:00+01:00",): "2026-02-01T09:00:00.000Z"},
        [("2026-03-01T00:00:00.000Z", ["2026-03-01T00:00:00.000Z"])],
    ),
}


class TwoWayModel(RuleBasedStateMachine):
    """A goal in each direction over the same people. Whoever changed a value last is right, and it comes to rest."""

    WHO = ("ann", "bob")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="braze-blueconic-model-"))
        self.now = FIRST_NIGHT
        self.braze = Braze(**{who: {} for who in self.WHO})
        self.blueconic = BlueConic(*({"crm_id": [who]} for who in self.WHO))
        self.goals: dict[str, ImportGoalOf | ExportGoalOf] = {
            "export": ExportGoalOf(
                "export", self.braze, self.blueconic, [(name, name, {"type": pair.how}) for name, pair in PAIRS.items()]
            ),
            "import": ImportGoalOf(
                "import", self.braze, self.blueconic, [(f"custom_attributes.{name}", name) for name in PAIRS]
            ),
        }
        self.right: dict[tuple[str, str], tuple[list[str], Any] | None] = {}
        """(person, pair) → what the property and the attribute are to hold; ``None`` where both sides were changed."""
        self.changed_by: dict[tuple[str, str], str] = {}
        """(person, pair) → the side that was changed since all came to rest."""
        Steps.examples += 1
        Steps.steps -= 1

    def teardown(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def check_invariants(self, *args: Any, **options: Any) -> None:
        """Count the steps."""
        Steps.steps += 1
        super().check_invariants(*args, **options)

    def _profile(self, who: str) -> dict[str, list[str]]:
        return self.blueconic.profiles[self.WHO.index(who)]

    def _change(self, who: str, name: str, side: str, right: tuple[list[str], Any]) -> None:
        self.now += HOUR
        if self.changed_by.setdefault((who, name), side) != side:
            self.right[who, name] = None
        elif self.right.get((who, name), right) is not None or (who, name) not in self.right:
            self.right[who, name] = right

    @rule(who=st.sampled_from(WHO), name=st.sampled_from(sorted(PAIRS)), data=st.data())
    def a_property_changes(self, who: str, name: str, data: st.DataObject) -> None:
        value = data.draw(st.sampled_from(sorted(PAIRS[name].there)), label="value")
        profile = self._profile(who)
        if profile.get(name) != list(value):
            profile[name] = list(value)
            self.blueconic.touch(profile)
            self._change(who, name, "blueconic", (list(value), PAIRS[name].there[value]))

    @rule(who=st.sampled_from(WHO), name=st.sampled_from(sorted(PAIRS)), data=st.data())
    def an_attribute_changes(self, who: str, name: str, data: st.DataObject) -> None:
        value, text = data.draw(st.sampled_from(PAIRS[name].here), label="value")
        if self.braze.users[who].get(name) != value:
            self.braze.users[who][name] = value
            self._change(who, name, "braze", (text, value))

    @rule(names=st.sampled_from([("export",), ("import",), ("export", "import"), ("import", "export")]))
    def goals_run(self, names: Sequence[str]) -> None:
        for name in names:
            self._run(name)

    @rule(name=st.sampled_from(["export", "import"]))
    def a_goal_is_only_planned(self, name: str) -> None:
        before = [dict(one) for one in (*self.braze.users.values(), *self.blueconic.profiles)]
        self._run(name, plan_only=True)
        assert before == [dict(one) for one in (*self.braze.users.values(), *self.blueconic.profiles)]

    @rule(first=st.sampled_from(["export", "import"]))
    def all_comes_to_rest(self, first: str) -> None:
        """After two runs of each goal nothing is sent any more, and both sides hold what was written last."""
        second = "import" if first == "export" else "export"
        sent = [self._run(name) for name in (first, second, first, second, first, second)]
        assert sent[-2:] == [0, 0], f"{first} and {second} send for ever: {sent}"
        for (who, name), right in self.right.items():
            if right is not None:
                held = (self._profile(who).get(name), self.braze.users[who].get(name))
                assert held == right, f"{name} of {who} is {held}, but should be {right}"
        self.changed_by.clear()
        self.right = {key: right for key, right in self.right.items() if right is not None}

    def _run(self, name: str, **how: Any) -> int:
        self.now += HOUR
        Steps.runs += 1
        with in_process(Life()):
            report = Run(self.home, self.goals[name], self.now, **how).run().report
        self.now += HOUR
        return int(report["to_send"])


SEPARATOR = "|"


class _Dropped(LocalStaging):
    """The folder from which BlueConic reads files: as soon as one is there."""

    def __init__(self, model: DeliveryModel, night: Night, staging: LocalStaging) -> None:
        self._model = model
        self._night = night
        self._staging = staging

    def upload_file(self, local: Path, uri: str) -> int:
        def put() -> int:
            size = LocalStaging().upload_file(local, uri)
            self._model.read_file(self._night, Path(uri).read_bytes())
            return size

        return int(self._staging._life.write(uri, put))  # type: ignore[attr-defined]


class _DeliveredRun(Run):
    """A run whose upload is one file of all partitions: the first of them delivers it, the others find it there."""

    model: DeliveryModel
    night: Night

    def _upload(self, workspace: Workspace, life: Life, partition: int) -> Any:
        targets = {row["target"]: row["merge"] for row in read_fields(workspace, self.done["delta"]["uri"])}
        uploads = deliver_csv(
            workspace,
            self.done["delta"],
            partitions=self.done["guard"],
            links=["crm_id"],
            targets=targets,
            folder=str(self._home / "in"),
            format_=CsvFormat(",", SEPARATOR),
            target_staging=_Dropped(self.model, self.night, workspace.staging),  # type: ignore[arg-type]
        ).uploads
        return next(upload for upload in uploads if upload["partition"] == partition)


class DeliveryModel(ImportModel):
    """An import goal that is delivered as files, which hold whole profiles."""

    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "level": [Row("t", "set"), Row("u", "set")],
        "tags": [Row("l", "add"), Row("l", "set")],
        "spent": [Row("n", "sum", "increase")],
    }
    REFUSALS = ("nobody",)

    def __init__(self) -> None:
        super().__init__()
        self.config = Config({"level": Row("t", "set"), "tags": Row("l", "add")}, send="whole_profile")
        self.read_for = self.config
        """The goal whose file is read: the connection in BlueConic says what is done with each column."""

    def declare(self, **changes: Any) -> None:
        super().declare(**changes | {"send": "whole_profile"})  # a row of a file is always whole

    def make_run(self, night: Night, **how: Any) -> Run:
        run = _DeliveredRun(self.home, self.goal(night), night.as_of, send="whole_profile", **how)
        run.model, run.night = self, night
        return run

    def read_file(self, night: Night, text: bytes) -> None:
        """Read a file as BlueConic does: an empty cell says nothing, and whom it does not know it leaves out."""
        self.read_for = night.config
        for name, fields in self.entries(text):
            profile = self._profile(name)
            for target, (how, value) in fields.items():
                if profile is not None:
                    values = [value] if how == "INCREMENT" else value
                    self.blueconic._apply(profile, {"id": target, "strategy": how, "values": values})
        self.note(night, text, Reply(Verdict.READ_ENTRIES, 200), answered=True)

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        found = []
        for row in csv.DictReader(io.StringIO(body.decode())):
            name = row.pop("crm_id")
            fields: dict[str, tuple[str, Any]] = {}
            for target, cell in row.items():
                if cell:
                    how = self.read_for.fields[target].how
                    fields[target] = ("INCREMENT", cell) if how == "sum" else (how.upper(), cell.split(SEPARATOR))
            found.append((name, fields))
        return found

    def applied(self, night: Night, place: Place, position: int, target: str) -> bool:
        return self._profile(place[1]) is not None

    def wanted(self, night: Night, target: str, values: Mapping[str, Any]) -> Any:
        wanted = super().wanted(night, target, values)
        is_told = wanted is NOTHING or not any(SEPARATOR in text for text in wanted)
        return wanted if is_told else NOTHING  # it can't stand in a cell

    def is_in_doubt(self, night: Night, last: Sent) -> bool:
        """Who has something that can't stand in a cell is told the rest once more, and then no more."""
        return any(SEPARATOR in text for text in night.snapshot[last.who]["l"])

    def takes(self, night: Night, who: str, values: Mapping[str, Any]) -> bool:
        return self._profile(self.name(values, who)) is not None

    def check_report(self, night: Night) -> None:
        """A report of files counts rows, and what could not stand in them."""

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "l":
            return st.lists(st.sampled_from(["r", "s", "x|y"]), max_size=2, unique=True)
        return super().values(name)

    def refuse(self, who: str, how: str) -> None:
        """Nobody refuses anybody: a file is not answered."""

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.builds(lambda n: {"partitions": n}, st.integers(1, 3))

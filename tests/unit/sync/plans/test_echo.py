"""What one goal changed on its way is no news when it comes back: the original stays, on either side."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.observations.observation import publish_observation
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run

HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


class Pair:
    """One person, one property ``p`` and one attribute ``a``, and a goal in each direction."""

    def __init__(
        self,
        home: Path,
        *,
        held: Sequence[str] | None = None,
        there: Mapping[str, Any] | None = None,
        property_type: str = "SELECT",
        export: Mapping[str, Any] | None = None,
        merge: Mapping[str, Any] | None = None,
    ) -> None:
        self._home = home
        self.braze = Braze(u1=dict(there or {}))
        self.blueconic = BlueConic(
            {"crm_id": ["u1"], **({"p": list(held)} if held is not None else {})}, types={"p": property_type}
        )
        self.goals: dict[str, ImportGoalOf | ExportGoalOf] = {
            "export": ExportGoalOf("export", self.braze, self.blueconic, [("p", "a", dict(export or {}))]),
            "import": ImportGoalOf(
                "import", self.braze, self.blueconic, [("custom_attributes.a", "p", dict(merge or {}))]
            ),
        }
        self.now = day(1)

    def run(self, *names: str, **delta: Any) -> list[int]:
        """Run goals an hour apart; give how many people each sent."""
        sent = []
        for name in names:
            sent.append(Run(self._home, self.goals[name], self.now, **delta).run().report["to_send"])
            self.now += HOUR
        return sent

    @property
    def held(self) -> list[str] | None:
        return self.blueconic.profiles[0].get("p")

    @held.setter
    def held(self, values: list[str]) -> None:
        self.blueconic.profiles[0]["p"] = values

    @property
    def there(self) -> Any:
        return self.braze.users["u1"].get("a")

    @there.setter
    def there(self, value: Any) -> None:
        self.braze.users["u1"]["a"] = value


class Several(Pair):
    """One person with several properties ``p0``, ``p1`` … and attributes ``a0``, ``a1`` …, a pair a case."""

    def __init__(self, home: Path, cases: Sequence[Case], *, merge: str, from_braze: bool = False) -> None:
        super().__init__(home)
        numbered = list(enumerate(cases))
        self.goals["export"] = dataclasses.replace(
            self.goals["export"], fields=[(f"p{n}", f"a{n}", dict(case.export)) for n, case in numbered]
        )
        self.goals["import"] = dataclasses.replace(
            self.goals["import"], fields=[(f"custom_attributes.a{n}", f"p{n}", {"merge": merge}) for n, _ in numbered]
        )
        self.blueconic.types = {f"p{n}": case.property_type for n, case in numbered}
        if from_braze:
            self.braze.users["u1"] = {f"a{n}": case.there for n, case in numbered}
        else:
            self.blueconic.profiles[0] |= {f"p{n}": case.held for n, case in numbered}

    def both(self) -> list[tuple[list[str] | None, Any]]:
        """What either side holds of each pair."""
        profile, user = self.blueconic.profiles[0], self.braze.users["u1"]
        return [(profile.get(f"p{n}"), user.get(f"a{n}")) for n in range(len(self.goals["export"].fields))]


@dataclass(frozen=True)
class Case:
    held: list[str]
    there: Any
    export: Mapping[str, Any] = field(default_factory=dict)
    property_type: str = "SELECT"


TWO_DAYS = ("export", "import", "export", "import")
CHANGED_BY_EXPORT = [
    Case(["a", "b"], "a"),
    Case(["007"], 7, {"type": "integer"}),
    Case(["1.50"], 1.5, {"type": "float"}),
    Case(["3.00"], 3.0, {"type": "float"}),
    Case(["yes"], True, {"type": "boolean"}),
    Case(["2026-01-15"], "2026-01-15T00:00:00.000Z", {"type": "time"}),
    Case(["1768435200"], "2026-01-15T00:00:00.000Z", {"type": "time"}),
    Case(["15/01/2026"], "2026-01-15T00:00:00.000Z", {"date_format": "%d/%m/%Y"}),
    Case(['{"b": 1, "a": [2]}'], {"a": [2], "b": 1}, {"type": "object"}),
    Case(['[{"b": 1}, {"a": 2}]'], [{"b": 1}, {"a": 2}], {"type": "object"}),
]


@pytest.mark.promise(7)
@pytest.mark.parametrize("merge", ["set", "set_or_clear", "set_if_empty", "add"])
def test_what_the_export_changed_on_its_way_comes_back_and_replaces_nothing(merge: str, tmp_path: Path) -> None:
    pairs = Several(tmp_path, CHANGED_BY_EXPORT, merge=merge)

    sent = pairs.run(*TWO_DAYS)

    assert pairs.both() == [(case.held, case.there) for case in CHANGED_BY_EXPORT]
    assert sent == [1, 0, 0, 0]


@pytest.mark.promise(7)
def test_an_address_keeps_the_case_in_which_blueconic_has_it(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["Ann@Example.com"], property_type="EMAIL")
    pair.goals["export"] = dataclasses.replace(pair.goals["export"], fields=[("p", "email")])
    pair.goals["import"] = dataclasses.replace(pair.goals["import"], fields=[("email", "p")])
    lines = pair.braze.lines
    pair.braze.lines = lambda: lines().replace(b'"custom_attributes": {"email"', b'"email"').replace(b"}}", b"}")  # type: ignore[method-assign]

    sent = pair.run(*TWO_DAYS)

    assert pair.braze.users["u1"] == {"email": "ann@example.com"}
    assert (pair.held, sent) == (["Ann@Example.com"], [1, 0, 0, 0])


@pytest.mark.promise(7)
@pytest.mark.parametrize("arrives", ["2026-01-15 00:00:00 UTC", "2026-01-15 01:00:00 +0100"])
def test_a_time_that_braze_writes_in_another_way_is_an_echo_too(arrives: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["2026-01-15"], export={"type": "time"})
    pair.run("export")
    pair.there = arrives

    assert pair.run("import", "export", "import") == [0, 0, 0]
    assert pair.held == ["2026-01-15"]


@pytest.mark.promise(7)
def test_a_value_that_the_export_had_to_leave_out_is_not_cleared_where_it_stands(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["many"], export={"type": "integer"}, merge={"merge": "set_or_clear"})

    sent = pair.run(*TWO_DAYS)

    assert (pair.there, pair.held, sent) == (None, ["many"], [0, 0, 0, 0])


@pytest.mark.promise(7)
@pytest.mark.parametrize("of", ["increase", "value"])
def test_a_counter_that_came_from_blueconic_is_not_added_to_itself(of: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["100"], property_type="RANGE", merge={"merge": "sum", "of": of})

    first = pair.run(*TWO_DAYS)
    pair.held = ["110"]
    pair.run("export", "import")

    assert first == [1, 0, 0, 0]
    assert (pair.there, pair.held) == (110, ["110"])


@pytest.mark.promise(7)
def test_a_counter_that_grows_in_braze_adds_what_it_grew_by(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["100"], property_type="RANGE", merge={"merge": "sum", "of": "increase"})
    pair.run(*TWO_DAYS)
    pair.there = 105

    pair.run("export", "import", "export", "import")

    assert (pair.there, pair.held) == (105, ["105"])


@pytest.mark.promise(7)
def test_after_an_echo_news_of_either_side_still_arrives(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["a", "b"])
    pair.run(*TWO_DAYS)

    pair.there = "c"
    pair.run("export", "import", "export")
    from_braze = (pair.held, pair.there)
    pair.there = "a"
    pair.run("import", "export")
    back = (pair.held, pair.there)
    pair.held = ["d", "e"]
    pair.run("export", "import")

    assert from_braze == (["c"], "c")
    assert back == (["a"], "a")
    assert (pair.held, pair.there) == (["d", "e"], "d")


@pytest.mark.promise(7)
def test_an_echo_of_one_field_does_not_keep_another_one_from_arriving(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["a", "b"])
    pair.blueconic.profiles[0]["q"] = ["x"]
    pair.goals["export"] = dataclasses.replace(pair.goals["export"], fields=[("p", "a"), ("q", "b")])
    pair.goals["import"] = dataclasses.replace(
        pair.goals["import"], fields=[("custom_attributes.a", "p"), ("custom_attributes.b", "q")]
    )
    pair.run("export")
    pair.braze.users["u1"]["b"] = "news"

    pair.run("import")

    assert pair.blueconic.profiles[0] == {"crm_id": ["u1"], "p": ["a", "b"], "q": ["news"]}


@pytest.mark.promise(7)
def test_of_several_exports_each_tells_what_it_made_of_a_value(tmp_path: Path) -> None:
    pair = Pair(tmp_path, held=["007"], export={"type": "integer"})
    pair.goals["other"] = dataclasses.replace(pair.goals["export"], goal_id="other", fields=[("p", "b")])

    sent = pair.run("export", "other", "import", "other", "import")

    assert (pair.braze.users["u1"], pair.held) == ({"a": 7, "b": "007"}, ["007"])
    assert sent == [1, 1, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_note_of_an_older_version_still_tells_of_what_goes_one_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path, held=["a", "b"])

    def without_routes(staging: Any, folder: Any, observation: Any) -> None:
        publish_observation(staging, folder, observation)
        document = json.loads(staging.read_bytes(folder.observed))
        del document["routes"]
        staging.write_bytes(folder.observed, json.dumps(document).encode())

    monkeypatch.setattr(
        "airflow_provider_braze_blueconic.sync.observations.observation.publish_observation", without_routes
    )

    assert pair.run(*TWO_DAYS) == [1, 0, 0, 0]
    assert pair.held == ["a", "b"]


# The other way round


CHANGED_BY_IMPORT = [
    Case(["12.3457"], 12.345678, property_type="DECIMAL"),
    Case(["10", "2"], [2, 10], {"type": "array"}, "DECIMAL"),
    Case(['{"a":2,"b":1}'], {"b": 1, "a": 2}),
    Case(["1768478400000"], "2026-01-15T12:00:00Z", {"type": "string"}, "DATETIME"),
    Case(["true"], True, {"type": "string"}),
]


@pytest.mark.promise(7)
@pytest.mark.parametrize("merge", ["set", "set_or_clear", "set_if_empty", "add"])
def test_what_the_import_changed_on_its_way_comes_back_and_replaces_nothing(merge: str, tmp_path: Path) -> None:
    pairs = Several(tmp_path, CHANGED_BY_IMPORT, merge=merge, from_braze=True)

    sent = pairs.run("import", "export", "import", "export")

    assert pairs.both() == [(case.held, case.there) for case in CHANGED_BY_IMPORT]
    assert sent == [1, 0, 0, 0]


@pytest.mark.promise(7)
def test_a_value_that_the_import_had_to_leave_out_is_not_cleared_in_braze(tmp_path: Path) -> None:
    pair = Pair(tmp_path, there={"a": "many"}, property_type="RANGE")
    pair.goals["export"] = dataclasses.replace(pair.goals["export"], mapping={"when_missing": "clear"})

    sent = pair.run("import", "export", "import", "export")

    assert (pair.there, pair.held, sent) == ("many", None, [0, 0, 0, 0])


@pytest.mark.promise(7)
def test_a_whole_profile_does_not_take_the_original_along(tmp_path: Path) -> None:
    pair = Pair(tmp_path, there={"a": 12.345678}, property_type="DECIMAL")
    pair.goals["export"] = dataclasses.replace(
        pair.goals["export"], fields=[("p", "a"), ("q", "b")], delta={"send": "whole_profile"}
    )
    pair.blueconic.profiles[0]["q"] = ["one"]
    pair.run("import", "export")
    pair.blueconic.profiles[0]["q"] = ["two"]

    sent = pair.run("import", "export")

    assert (pair.braze.users["u1"], sent) == ({"a": 12.345678, "b": "two"}, [0, 1])


@pytest.mark.promise(7)
def test_a_change_in_blueconic_goes_over_the_original_that_was_imported(tmp_path: Path) -> None:
    pair = Pair(tmp_path, there={"a": 12.345678}, property_type="DECIMAL")
    pair.run("import", "export")
    pair.held = ["13"]

    pair.run("export", "import")

    assert (pair.there, pair.held) == (13.0, ["13"])

"""What one CSV file of a delta says, and that a person's numbers are in it once, whatever is killed."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError
from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, increase_column
from airflow_provider_braze_blueconic.sync.engine.database import connect
from airflow_provider_braze_blueconic.sync.state.told_receipts import best_receipts
from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads
from airflow_provider_braze_blueconic.sync.steps.delivery import Delivery, deliver_csv
from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support import import_nights
from tests.support.clock import in_clock_time
from tests.support.core import day, read_rows, write_delta
from tests.support.csv_road import Bucket, read_csv
from tests.support.nights import Deadly, Killed, Life
from tests.support.staging import LocalStaging

TARGETS = {"firstname": "set", "tags": "add", "city": "set_or_clear", "points": "sum"}
FILE = "goal_20261105T040000Z_d1.csv"


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry waits for a killed attempt in a time of its own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


def person(number: str, **fields: list[str] | None) -> dict[str, Any]:
    """A delta row; ``None`` clears, and what is not named says nothing."""
    row: dict[str, Any] = {
        "identifier": json.dumps({"braze_id": number}),
        "matching": json.dumps([[{"id": "crm", "value": number}]]),
        # Mapping says something of a clearing field in each row.
        "field_city": '["Utrecht"]',
    }
    for name, values in fields.items():
        column = increase_column(name) if TARGETS.get(name) == "sum" else field_column(name)
        row[column] = json.dumps(values, ensure_ascii=False)
    return row


class Goal:
    """A goal that delivers below ``<home>/in``, where a CSV source would find it."""

    def __init__(self, home: Path, people: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
        self.bucket = Bucket(home)
        self.delta_uri = home / "staging/goal/work/run-1/delta-d1"
        for partition, rows in people.items():
            write_delta(self.delta_uri / f"partition={partition}.parquet", rows)
        self.delta: Any = {
            "uri": str(self.delta_uri),
            "delta_id": "d1",
            "run_key": "run-1",
            "as_of": "2026-11-05T04:00:00+00:00",
            "newest_as_of": None,
            "ledger_partitions": 2,
            "partitions": sorted(people),
            "send_partitions": sorted(people),
            "policy": "",
            "new_fields": [],
        }

    def deliver(self, staging: LocalStaging | None = None, **how: Any) -> Delivery:
        folder = self.bucket.home / "in"
        format_ = CsvFormat(
            **{name: how.pop(name) for name in ("delimiter", "multi_value_separator", "gzip") if name in how}
        )
        workspace = self.bucket.workspace
        if staging is not None:
            workspace = Bucket(self.bucket.home, staging).workspace
        given: dict[str, Any] = {
            "partitions": self.delta["send_partitions"],
            "links": ["crm"],
            "targets": TARGETS,
            **how,
        }
        return deliver_csv(
            workspace, self.delta, folder=f"{folder}/", format_=format_, target_staging=workspace.staging, **given
        )

    @property
    def path(self) -> Path:
        return self.bucket.home / "in" / FILE

    def rows(self) -> list[list[str]]:
        return read_csv(self.path)[1:]

    def receipts(self) -> list[dict[str, Any]]:
        return read_rows(self.delta_uri.rglob("receipts/*/*.parquet"))

    def outcomes(self) -> dict[str, tuple[str, str, list[str] | None]]:
        """The outcome that counts: person → outcome, reason, refused fields."""
        parts = sorted(self.delta_uri.rglob("receipts/*/*.parquet"))
        with connect(self.bucket.workspace.engine) as connection:
            found = connection.execute(
                f"SELECT identifier, outcome, reason, refused_fields FROM ({best_receipts(parts)})"
            ).fetchall()
        return {json.loads(row[0])["braze_id"]: (row[1], row[2], row[3]) for row in found}


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def maker(*people: Mapping[str, Any], other: Sequence[Mapping[str, Any]] = ()) -> Goal:
        return Goal(tmp_path, {0: people, **({1: other} if other else {})})

    return maker


def test_file_has_links_first_and_then_the_targets_in_the_goals_order(make: Any) -> None:
    goal = make(
        person("b", firstname=["Bo"], tags=["x", "y"], city=["Delft"], points=["12.5"]),
        person("a", firstname=["Ann"]),
        other=[person("c", city=None)],
    )

    delivery = goal.deliver()

    assert goal.path.read_text() == ("crm,firstname,tags,city,points\na,Ann,,Utrecht,\nb,Bo,x|y,Delft,12.5\nc,,,,\n")
    assert (delivery.uri, delivery.rows, delivery.left_out) == (str(goal.path), 3, {})
    assert [
        (upload["partition"], upload["accepted"], upload["rejected"], upload["requests"]) for upload in delivery.uploads
    ] == [(0, 2, 0, 1), (1, 1, 0, 0)]


def test_everybody_in_the_file_has_a_receipt_that_the_commit_takes(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"]), other=[person("b", firstname=["Bo"])])
    goal.deliver()

    summary = commit_uploads(goal.bucket.workspace, goal.delta)

    assert summary.outcomes == {"accepted": 2}
    assert list((goal.bucket.home / "staging/goal/open").iterdir()) == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("plain", "plain"),
        ("a,b", '"a,b"'),
        ('say "hi"', '"say ""hi"""'),
        ("two\nlines", '"two\nlines"'),
        ("two\rlines", '"two\rlines"'),
        (" edge", '" edge"'),
        ("edge ", '"edge "'),
        ("tab\t", '"tab\t"'),
        ("\u00a0no-break", '"\u00a0no-break"'),
        ("no width\u200b", '"no width\u200b"'),
        ("in side", "in side"),
        ("Zoë 王 🎈", "Zoë 王 🎈"),
        ("it's", "it's"),
        ("back\\slash", "back\\slash"),
        ("NULL", "NULL"),
        ("null", "null"),
    ],
)
def test_only_what_needs_quotes_gets_them(make: Any, value: str, cell: str) -> None:
    goal = make(person("a", firstname=[value]))

    goal.deliver()

    assert goal.path.read_bytes().decode() == f"crm,firstname,tags,city,points\na,{cell},,Utrecht,\n"


def test_nobody_to_send_is_no_file(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"]))

    assert goal.deliver(partitions=[]) == Delivery((), None, 0, {})
    assert not (goal.bucket.home / "in").exists()
    assert not (goal.bucket.home / "staging/goal/open").exists()


def test_who_has_nothing_to_be_sent_is_not_in_the_file(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"]), {**person("b"), "to_send": False})

    goal.deliver()

    assert [row[0] for row in goal.rows()] == ["a"]
    assert list(goal.outcomes()) == ["a"]


def test_a_compressed_file_is_the_same_in_every_attempt(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"]))
    path = goal.bucket.home / "in" / f"{FILE}.gz"

    goal.deliver(gzip=True)
    first = path.read_bytes()
    path.unlink()
    for part in goal.delta_uri.rglob("receipts/*/*.parquet"):
        part.unlink()
    goal.deliver(gzip=True)

    assert gzip.decompress(first).decode() == "crm,firstname,tags,city,points\na,Ann,,Utrecht,\n"
    assert path.read_bytes() == first


def test_another_delimiter_is_quoted_where_it_stands_in_a_value_or_a_name(make: Any) -> None:
    goal = make(person("a", firstname=["x-y,z"]))

    goal.deliver(delimiter="-", targets={"firstname": "set", "last-name": "set"})

    assert goal.path.read_text() == 'crm-firstname-"last-name"\na-"x-y,z"-\n'


def test_columns_are_the_same_when_a_delta_has_nothing_for_a_target(make: Any) -> None:
    goal = make(person("a"))

    goal.deliver(targets={"firstname": "set", "never": "set", "counter": "sum", "city": "set"})

    assert goal.path.read_text() == "crm,firstname,never,counter,city\na,,,,Utrecht\n"


def test_several_links_are_a_column_each_and_a_target_of_that_name_stands_once(make: Any) -> None:
    both = [[{"id": "crm", "value": "a"}], [{"id": "email", "value": "a@x.nl"}]]
    every = [[{"id": "crm", "value": "b"}, {"id": "email", "value": "b@x.nl"}]]
    goal = make(
        {**person("a"), "matching": json.dumps(both), "field_email": '["other@x.nl"]'},
        {**person("b"), "matching": json.dumps(every)},
        {**person("c"), "matching": json.dumps([[{"id": "email", "value": "c@x.nl"}]])},
    )

    goal.deliver(links=["crm", "email"], targets={"city": "set", "email": "set"})

    assert goal.path.read_text() == "crm,email,city\na,a@x.nl,Utrecht\nb,b@x.nl,Utrecht\n,c@x.nl,Utrecht\n"


# What a row can't say


def test_a_value_that_holds_the_separator_is_left_out_and_never_split(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"], tags=["x|y", "z"]), person("b", firstname=["a|b"], tags=["x", "y"]))

    delivery = goal.deliver()

    assert goal.rows() == [["a", "Ann", "", "Utrecht", ""], ["b", "", "x|y", "Utrecht", ""]]
    assert delivery.left_out == {
        "firstname: a value contains the separator": 1,
        "tags: a value contains the separator": 1,
    }
    assert goal.outcomes() == {"a": ("accepted", "", ["tags"]), "b": ("accepted", "", ["firstname"])}


@pytest.mark.parametrize(
    ("values", "separator", "reason"),
    [
        (["x", ""], "|", "a value is empty text, which a cell can't distinguish from no value"),
        ([""], "|", "a value is empty text, which a cell can't distinguish from no value"),
        ([""], None, "a value is empty text, which a cell can't distinguish from no value"),
        (["x", "y"], None, "several values, but no separator"),
        (["x::y"], "::", "a value contains the separator"),
    ],
)
def test_a_field_that_one_cell_can_not_say_is_left_out(
    make: Any, values: list[str], separator: str | None, reason: str
) -> None:
    goal = make(person("a", tags=values))

    delivery = goal.deliver(multi_value_separator=separator)

    assert goal.rows() == [["a", "", "", "Utrecht", ""]]
    assert delivery.left_out == {f"tags: {reason}": 1}


def test_without_a_separator_a_single_value_may_hold_anything(make: Any) -> None:
    goal = make(person("a", firstname=["a|b"]))

    goal.deliver(multi_value_separator=None)

    assert goal.rows() == [["a", "a|b", "", "Utrecht", ""]]


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    "fields", [{"field_city": '["Den|Haag"]'}, {"field_city": None}], ids=["separator", "says-nothing"]
)
def test_an_empty_cell_never_clears_what_the_goal_did_not_clear(make: Any, fields: Mapping[str, Any]) -> None:
    goal = make({**person("a", firstname=["Ann"]), **fields}, person("b", city=None))

    delivery = goal.deliver()

    assert goal.rows() == [["b", "", "", "", ""]]
    reason = "city: the file can't hold its value, and an empty cell would clear it"
    assert goal.outcomes() == {"a": ("rejected", reason, None), "b": ("accepted", "", None)}
    assert [(upload["accepted"], upload["rejected"]) for upload in delivery.uploads] == [(1, 1)]


def test_a_link_that_can_not_be_said_keeps_its_person_out(make: Any) -> None:
    goal = make(person("a|b", firstname=["Ann"]))

    delivery = goal.deliver()

    assert (delivery.uri, delivery.rows) == (None, 0)
    assert not goal.path.exists()
    assert goal.outcomes() == {"a|b": ("rejected", "crm: a value contains the separator", None)}


# Kills and retries


@pytest.mark.promise(2)
def test_a_retry_after_the_end_writes_nothing(make: Any) -> None:
    goal = make(person("a", points=["5"]))
    goal.deliver()
    before, receipts = goal.path.stat().st_mtime_ns, len(goal.receipts())

    delivery = goal.deliver()

    assert goal.path.stat().st_mtime_ns == before
    assert len(goal.receipts()) == receipts
    assert (delivery.uri, delivery.rows) == (str(goal.path), 0)


def writes_of(home: Path) -> int:
    life = Life()
    _people(home).deliver(Deadly(life))
    return len(life.writes)


def _people(home: Path) -> Goal:
    return Goal(
        home,
        {
            0: [person("a", firstname=["Ann"], points=["5"]), person("b", firstname=["Bo"])],
            1: [person("c", points=["7"]), person("d|x", firstname=["Dirk"])],
        },
    )


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_delivery_killed_at_any_write_and_run_again_adds_each_number_once_or_holds_it(
    tmp_path: Path, after: bool
) -> None:
    writes = writes_of(tmp_path / "undisturbed")
    assert writes == 11  # two attempts, mark, two intents, file, rejected, two accepted, two ends

    for until in range(1, writes + 1):
        goal = _people(tmp_path / f"{until}")
        with pytest.raises(Killed):
            goal.deliver(Deadly(Life(until, after=after)))
        first = goal.rows() if goal.path.exists() else None
        goal.deliver()

        outcomes = {name: outcome for name, (outcome, *_) in goal.outcomes().items()}
        rows = {row[0]: row for row in goal.rows()}
        assert (outcomes["b"], outcomes["d|x"]) == ("accepted", "rejected")
        assert rows["b"] == ["b", "Bo", "", "Utrecht", ""]
        for name, points in (("a", "5"), ("c", "7")):
            # Accepted is in the file; held is not.
            assert (outcomes[name], rows.get(name, [""])[-1]) in (("accepted", points), ("unknown", ""))
        if first is not None:
            assert goal.rows() == first


@pytest.mark.promise(2)
def test_an_older_copy_of_a_delivery_places_no_file_once_a_newer_one_has_begun(make: Any) -> None:
    """The newer copy delivers while the older is about to place its file."""
    goal = make(person("a", points=["5"]), person("b", firstname=["Bo"]))
    delivered: list[Delivery] = []

    class Older(LocalStaging):
        def upload_file(self, local: Path, uri: str) -> int:
            size = super().upload_file(local, uri)
            if not delivered:  # its intents are durable now
                delivered.append(goal.deliver())
            return size

    with pytest.raises(Superseded):
        goal.deliver(Older())

    assert delivered[0].rows == 1
    assert [row[0] for row in goal.rows()] == ["b"]
    # The newer copy could not know whether the older would place its file.
    assert {name: outcome for name, (outcome, *_) in goal.outcomes().items()} == {"a": "unknown", "b": "accepted"}


@pytest.mark.promise(2)
def test_who_was_held_stays_held_in_a_third_attempt(make: Any) -> None:
    goal = make(person("a", points=["5"]), person("b", firstname=["Bo"]))
    with pytest.raises(Killed):
        goal.deliver(Deadly(Life(4)))  # after the intents, before the file
    with pytest.raises(Killed):
        goal.deliver(Deadly(Life(6)))  # after the file without the held one, before the receipts

    goal.deliver()

    assert [row[0] for row in goal.rows()] == ["b"]
    assert {name: outcome for name, (outcome, *_) in goal.outcomes().items()} == {"a": "unknown", "b": "accepted"}


@pytest.mark.promise(2)
@pytest.mark.parametrize("is_removed", [False, True], ids=["done", "removed"])
def test_a_file_that_its_reader_has_taken_is_not_written_again(make: Any, is_removed: bool) -> None:
    goal = make(person("a", points=["5"]), person("b", firstname=["Bo"]), other=[person("c", points=["7"])])
    with pytest.raises(Killed):
        goal.deliver(Deadly(Life(8)))  # the receipts of the first partition are there, those of the second are not
    if is_removed:
        goal.path.unlink()
    else:
        goal.path.rename(f"{goal.path}.done")

    goal.deliver()

    assert not goal.path.exists()
    assert {name: outcome for name, (outcome, *_) in goal.outcomes().items()} == dict.fromkeys("abc", "accepted")


class Refusing(LocalStaging):
    """Does not let the file be written."""

    def __init__(self, error: Exception, *, writes: bool = False) -> None:
        self._error = error
        self._writes = writes

    def upload_file(self, local: Path, uri: str) -> int:
        if not uri.endswith(".csv"):
            return super().upload_file(local, uri)
        if self._writes:
            super().upload_file(local, uri)
        raise self._error


@pytest.mark.parametrize("error", [AccessError("no right"), TransientError("busy")], ids=["refused", "busy"])
def test_a_file_that_could_not_be_written_holds_nobody(make: Any, error: Exception) -> None:
    goal = make(person("a", points=["5"]))
    with pytest.raises(type(error)):
        goal.deliver(Refusing(error))
    assert not goal.path.exists()

    goal.deliver()

    assert goal.rows() == [["a", "", "", "Utrecht", "5"]]
    assert goal.outcomes() == {"a": ("accepted", "", None)}


@pytest.mark.promise(2)
def test_a_file_that_was_written_although_the_answer_was_lost_is_delivered(make: Any) -> None:
    goal = make(person("a", points=["5"]))
    with pytest.raises(TransientError):
        goal.deliver(Refusing(TransientError("the connection broke"), writes=True))
    before = goal.path.stat().st_mtime_ns

    goal.deliver()

    assert goal.path.stat().st_mtime_ns == before
    assert goal.outcomes() == {"a": ("accepted", "", None)}


@pytest.mark.promise(4)
def test_a_delta_that_a_newer_run_has_overtaken_is_not_delivered(make: Any) -> None:
    goal = make(person("a", firstname=["Ann"]))
    newer: Any = {**goal.delta, "delta_id": "d2", "as_of": day(6).isoformat(), "partitions": []}
    commit_uploads(goal.bucket.workspace, newer)

    delivery = goal.deliver()

    assert (delivery.uri, delivery.rows) == (None, 0)
    assert not goal.path.exists()
    assert not goal.receipts()


# Back again

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|\x00"), min_size=1, max_size=12)


@given(
    people=st.lists(
        st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3, unique=True)),
        min_size=1,
        max_size=8,
        unique_by=lambda p: p[0],
    ),
    delimiter=st.sampled_from([",", ";", "\t", "a"]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_delivered_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, list[str]]], delimiter: str
) -> None:
    home = tmp_path_factory.mktemp("round")
    goal = Goal(home, {0: [person(name, tags=tags, firstname=[name]) for name, tags in people]})

    goal.deliver(delimiter=delimiter)

    snapshot = goal.bucket.read(
        "goal_%Y%m%dT%H%M%SZ_*.csv", columns=["crm", "firstname", "tags", "city"], delimiter=delimiter,
        multi_value_separator="|",
    )  # fmt: skip
    back = goal.bucket.values(snapshot, "crm", "firstname", "tags", "city")
    assert "broken_lines" not in snapshot
    assert sorted(back) == sorted(([name], [name], tags, ["Utrecht"]) for name, tags in people)


def test_the_bad_ends_of_a_file_come_back_too(make: Any) -> None:
    hostile = [
        '"',
        '""',
        ",",
        "\n",
        "\r\n",
        " ",
        "\t",
        '"a',
        'a"',
        "\ufeffx",
        "=1+1",
        "'",
        "\\",
        "\u2028",
        "\x0b",
        "\x1c",
    ]
    goal = make(*(person(f"p{number:02d}", firstname=[value]) for number, value in enumerate(hostile)))

    goal.deliver()

    snapshot = goal.bucket.read("*.csv", columns=["firstname"])
    assert goal.bucket.values(snapshot, "firstname") == [([value],) for value in hostile]


class DeliveredRun(import_nights.Run):
    """A night of an import goal that delivers below ``<home>/in``."""

    def _upload(self, workspace: Workspace, life: Life, partition: int) -> Any:
        targets = {row["target"]: row["merge"] for row in read_fields(workspace, self.done["delta"]["uri"])}
        (upload,) = deliver_csv(
            workspace,
            self.done["delta"],
            partitions=[partition],
            links=["crm_id"],
            targets=targets,
            folder=str(self._home / "in"),
            format_=CsvFormat(),
            target_staging=workspace.staging,
        ).uploads
        return upload


@pytest.mark.promise(2)
def test_an_acknowledged_row_is_not_delivered_again_because_of_a_field_that_can_not_stand_in_the_file(
    tmp_path: Path,
) -> None:
    braze = import_nights.Braze(u1={"tags": ["a|b", "c"], "tier": "gold"}, u2={"tags": ["c"], "tier": "gold"})
    goal = import_nights.ImportGoalOf(
        "users",
        braze,
        import_nights.BlueConic(),
        [("custom_attributes.tags", "tags"), ("custom_attributes.tier", "tier")],
    )

    def run(number: int) -> list[list[str]]:
        """The rows of the file that a night delivers."""
        before = set((tmp_path / "in").glob("*"))
        DeliveredRun(tmp_path, goal, day(number), send="whole_profile").run()
        return [row for file in set((tmp_path / "in").glob("*")) - before for row in read_csv(file)[1:]]

    nights = [run(1), run(2), run(3)]
    braze.users["u1"]["tier"] = "silver"
    nights.append(run(4))
    braze.users["u1"]["tags"] = ["c", "d"]
    nights.append(run(5))

    assert nights == [
        [["u1", "", "gold"], ["u2", "c", "gold"]],
        [],
        [],
        [["u1", "", "silver"]],
        [["u1", "c|d", "silver"]],
    ]

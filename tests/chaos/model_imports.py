"""The model of an import goal's life: from Braze to BlueConic, whose answers are read by the hook's own reader."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_replies import ProfileReplies
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SUM_WORDS, SumWord
from airflow_provider_braze_blueconic.sync.sending.seam import Reply
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.chaos.model import NOTHING, PEOPLE, Config, GoalModel, Night, Place, Row, Wire
from tests.support.import_nights import BlueConic, Braze, ImportGoalOf, Run

__all__ = ["ImportModel", "LinkedImportModel", "SumsModel"]


class _Profiles(BlueConic):
    """A BlueConic that answers in JSON, writes to every profile that an entry matches, and rejects people as such.

    :param adds_under: the word under which it adds to a number; another word changes nothing.
    """

    def __init__(self, *profiles: dict[str, list[str]], types: Mapping[str, str], adds_under: str) -> None:
        super().__init__(*profiles, types=types)
        self.rejected: set[str] = set()
        self.adds_under = adds_under
        self.replies = ProfileReplies("BlueConic", SumWord())
        self.applied: list[set[str]] = []
        """Of each entry of the last request: the properties that were written in the first profile that it matched."""
        self.refuses_sums: list[dict[str, list[str]]] = []
        """Profiles in which no number may be added to."""

    def begin(self) -> None:
        """Another upload begins, which has learnt nothing yet."""
        self.replies = ProfileReplies("BlueConic", SumWord(self.replies.sums.word))

    async def send(self, body: bytes) -> Reply:
        word = self.replies.sums.choose(body) if b'"strategy":"INCREMENT"' in body else None
        self.applied, answers = [], []
        for entry in json.loads(body):
            answers += self._answers(entry, word)
        return self.replies.read(200, {}, body, json.dumps(answers).encode(), word=word)

    def _answers(self, entry: Mapping[str, Any], word: str | None) -> list[dict[str, Any]]:
        conditions = {condition["value"] for all_of in entry["matching"] for condition in all_of}
        self.applied.append(set())
        told = {"identifier": entry["identifier"]}
        if conditions & self.without_consent:
            return [{**told, "state": "CONSENT_MISMATCH"}]
        if conditions & self.rejected:
            return [{**told, "state": "SKIPPED"}]
        found = [profile for profile in self.profiles if _matches(profile, entry["matching"])]
        is_new = not found
        if is_new and entry["strategy"] != "UPSERT":
            return [{**told, "state": "NOTFOUND"}]
        if is_new:
            found = [{}]
            self.profiles.append(found[0])
        answers = []
        for number, profile in enumerate(found):
            before = copy.deepcopy(profile)
            applied, errors = self._write(profile, entry["properties"], word, is_new=is_new)
            if number == 0:
                self.applied[-1] = applied
            state = "CREATED" if is_new else "UNCHANGED" if profile == before else "MODIFIED"
            answer = {**told, "profileId": f"p{self.profiles.index(profile)}-{number}", "state": state}
            answers.append({**answer, "validationErrors": errors} if errors else answer)
        return answers

    def _write(
        self, profile: dict[str, list[str]], rules: Sequence[Mapping[str, Any]], word: str | None, *, is_new: bool
    ) -> tuple[set[str], dict[str, list[str]]]:
        """Return what was written, and why the rest was not."""
        applied, errors = set(), {}
        for one in rules:
            adds = one["strategy"] == "INCREMENT"
            if one["id"] in self.refused or (adds and any(profile is other for other in self.refuses_sums)):
                errors[one["id"]] = ["not valid here"]
            elif (is_new or one.get("restriction") != "NEW_PROFILES_ONLY") and (not adds or word == self.adds_under):
                self._apply(profile, one)
                applied.add(one["id"])
        return applied, errors


def _matches(profile: Mapping[str, list[str]], matching: Sequence[Sequence[Mapping[str, str]]]) -> bool:
    return any(all(one["value"] in profile.get(one["id"], []) for one in all_of) for all_of in matching)


class _Users(Braze):
    """A Braze whose users have an e-mail address."""

    def lines(self) -> bytes:
        users = [
            {"braze_id": f"b-{who}", "external_id": who, "email": held["mail"], "custom_attributes": held}
            for who, held in self.users.items()
        ]
        return "".join(json.dumps(user) + "\n" for user in users).encode()


class ImportModel(GoalModel):
    """An import goal of which people are found by an id."""

    direction = "import"
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "level": [Row("t", "set"), Row("u", "set"), Row("t", "set_or_clear")],
        "nick": [Row("u", "set_if_empty"), Row("u", "set")],
        "score": [Row("t", "set"), Row("n", "set")],
        "tags": [Row("l", "add"), Row("l", "set"), Row("l", "remove")],
        "gone": [Row("l", "remove"), Row("l", "add")],
        "spent": [Row("n", "sum", "increase"), Row("m", "sum", "increase")],
        "paid": [Row("n", "sum", "value")],
    }
    REFUSALS = ("rejected", "no_consent", "not_found", "fields", "several")
    LINK: ClassVar[Mapping[str, str]] = {"braze": "external_id", "blueconic": "crm_id"}
    ADDS_UNDER: ClassVar[str] = SUM_WORDS[0]

    def __init__(self) -> None:
        super().__init__()
        self.blueconic = _Profiles(
            *self.first_profiles(),
            types={"score": "RANGE", "spent": "DECIMAL", "paid": "DECIMAL"},
            adds_under=self.ADDS_UNDER,
        )
        self.targets = {"target": self.blueconic}
        self.config = Config(
            {"level": Row("t", "set"), "tags": Row("l", "add"), "spent": Row("n", "sum", "increase")},
        )
        for number, who in enumerate(PEOPLE, start=1):
            self.source[who] = {"t": "a", "u": "b", "l": ["r"], "n": None, "m": None}
            self.change(who, "n", number)

    def first_profiles(self) -> list[dict[str, list[str]]]:
        return [
            {"crm_id": ["ann"], "level": ["z"], "tags": ["z"], "gone": ["r", "s"]},
            {"crm_id": ["bob"], "nick": ["Bobby"], "gone": ["t"]},
        ]

    def goal(self, night: Night) -> ImportGoalOf:
        self.blueconic.begin()
        users = {who: {"mail": self.name(values, who), **values} for who, values in night.everybody.items()}
        return ImportGoalOf(
            "goal",
            _Users(**copy.deepcopy(users)),
            Wire(self, night),  # type: ignore[arg-type]
            [
                (f"custom_attributes.{row.source}", target, {"merge": row.how} | ({"of": row.of} if row.of else {}))
                for target, row in night.config.fields.items()
            ],
            allow_creation=night.config.allow_creation,
            identifiers=[self.LINK],
            target_conn_id="target",
        )

    def make_run(self, night: Night, **how: Any) -> Run:
        # A goal file has no word for it, but the steps of a hand-written import have.
        return super().make_run(night, send=night.config.send, **how)

    def read(self, night: Night, workspace: Workspace) -> Any:
        night.run._read = None
        snapshot = night.run._extract(workspace)
        night.snapshot = night.everybody
        return snapshot

    def entries(self, body: bytes) -> list[tuple[str, dict[str, tuple[str, Any]]]]:
        return [
            (
                entry["matching"][0][0]["value"],
                {
                    one["id"]: (one["strategy"], one["values"][0] if one["strategy"] == "INCREMENT" else one["values"])
                    for one in entry["properties"]
                    if one["id"] != self.LINK["blueconic"]
                },
            )
            for entry in json.loads(body)
        ]

    def wanted(self, night: Night, target: str, values: Mapping[str, Any]) -> Any:
        row = night.config.fields[target]
        value = values.get(row.source)
        if value in (None, []):
            return [] if row.how == "set_or_clear" else NOTHING
        if row.how == "sum":
            return str(value)
        texts = sorted(set(value)) if isinstance(value, list) else [str(value)]
        if target == "score" and not all(text.isdigit() for text in texts):
            return NOTHING
        return texts

    def _profile(self, name: str) -> dict[str, list[str]] | None:
        return self.blueconic._found([[{"id": self.LINK["blueconic"], "value": name}]])

    def holds(self, place: Place, target: str) -> Any:
        return (self._profile(place[1]) or {}).get(target)

    def agrees(self, row: Row, wanted: Any, held: Any) -> bool:
        held = held or []
        match row.how:
            case "add":
                return set(wanted) <= set(held)
            case "remove":
                return not set(wanted) & set(held)
            case "set_if_empty":
                return bool(held)
            case _:
                return bool(wanted == held)

    def applied(self, night: Night, place: Place, position: int, target: str) -> bool:
        return target in self.blueconic.applied[position]

    def takes(self, night: Night, who: str, values: Mapping[str, Any]) -> bool:
        name = self.name(values, who)
        is_known = night.config.allow_creation or self._profile(name) is not None
        # Of who is there twice, and refused once, nobody can tell what was added.
        twice = {one for twin in self.blueconic.refuses_sums for one in twin[self.LINK["blueconic"]]}
        return is_known and name not in self.blueconic.rejected | self.blueconic.without_consent | twice

    def takes_field(self, target: str) -> bool:
        return target not in self.blueconic.refused

    def who_is(self, identifier: str) -> str:
        return str(json.loads(identifier)["braze_id"]).removeprefix("b-")

    def ledger_value(self, text: str) -> Any:
        return json.loads(text) or []

    def values(self, name: str) -> st.SearchStrategy[Any]:
        if name == "l":
            return st.lists(st.sampled_from(["r", "s"]), max_size=2, unique=True)
        if name in ("n", "m"):
            return st.one_of(st.none(), st.integers(1, 9))
        return st.sampled_from(["a", "7", None])

    def refuse(self, who: str, how: str) -> None:
        name = self.name(self.source[who], who)
        match how:
            case "rejected":
                self.blueconic.rejected ^= {name}
            case "no_consent":
                self.blueconic.without_consent ^= {name}
            case "not_found":
                if self._profile(name) is None:
                    self.blueconic.profiles.append({self.LINK["blueconic"]: [name]})
            case "fields":
                self.blueconic.refused ^= {"level", "spent"}
            case "several":
                if self._profile(name) is not None:
                    twin = {self.LINK["blueconic"]: [name]}
                    self.blueconic.profiles.append(twin)
                    self.blueconic.refuses_sums.append(twin)

    def change_target(self, place: Place, target: str) -> bool:
        profile = self._profile(place[1])
        if profile is not None:
            profile[target] = ["0"]
        return profile is not None

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            st.builds(lambda n: {"partitions": n}, st.integers(1, 3)),
            st.builds(lambda how: {"send": how}, st.sampled_from(["changed_fields", "whole_profile"])),
            st.builds(lambda how: {"allow_creation": how}, st.booleans()),
        )

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), up=st.integers(1, 4), send=st.sampled_from(["changed_fields", "whole_profile"]))
    def a_counter_grows_and_an_old_date_is_filled_in(self, who: str, up: int, send: str) -> None:
        """Whatever is replayed, what was added stays added once."""
        self.declare(send=send)
        self.go_well(self.begin())
        old = self.nights[-1]
        for name in ("n", "m"):
            self.change(who, name, self.counters[who, name] + up)
        self.turn(who, "t")
        self.go_well(self.begin())
        if old.run.done.get("extract") is not None:
            self.go(self.begin(replays=old, allow_stale=True))
        self.quiet = False
        self.check()
        self.go_well(self.begin())

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), up=st.integers(1, 4))
    def a_number_grows_of_somebody_who_is_there_twice(self, who: str, up: int) -> None:
        """One of the two profiles takes it; the one beside it does not, whatever else both take."""
        self.go_well(self.begin())
        self.refuse(who, "several")
        for _ in range(2):
            for name in ("n", "m"):
                self.change(who, name, self.counters[who, name] + up)
            self.turn(who, "t")
            self.go_well(self.begin())

    @precondition(lambda self: len(self.ROWS["spent"]) > 1)
    @rule(who=st.sampled_from(PEOPLE), up=st.integers(1, 4))
    def another_counter_takes_over(self, who: str, up: int) -> None:
        """It starts anew, wherever the one before it stood."""
        for name in ("n", "m"):
            self.declare(fields={**self.config.fields, "spent": Row(name, "sum", "increase")})
            self.change(who, name, self.counters[who, name] + up)
            self.go_well(self.begin())


class SumsModel(ImportModel):
    """An import goal that only adds, into a BlueConic that takes the other word for it, and has people twice."""

    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "spent": [Row("n", "sum", "increase"), Row("m", "sum", "increase")],
        "paid": [Row("n", "sum", "value")],
    }
    REFUSALS = ("rejected", "no_consent", "not_found", "several")
    ADDS_UNDER = SUM_WORDS[1]

    def __init__(self) -> None:
        super().__init__()
        self.config = Config({"spent": Row("n", "sum", "increase")})

    def policies(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.builds(lambda n: {"partitions": n}, st.integers(1, 3))


class LinkedImportModel(ImportModel):
    """An import goal of which people are found by an address, that changes."""

    LINK: ClassVar[Mapping[str, str]] = {"braze": "email", "blueconic": "mail"}
    ROWS: ClassVar[Mapping[str, Sequence[Row]]] = {
        "level": [Row("t", "set"), Row("u", "set")],
        "tags": [Row("l", "add"), Row("l", "set")],
        "spent": [Row("n", "sum", "increase")],
    }

    def __init__(self) -> None:
        super().__init__()
        for who in PEOPLE:
            self.source[who]["a"] = 1

    def first_profiles(self) -> list[dict[str, list[str]]]:
        return [{"mail": [f"{who}-{number}@mail.example"]} for who in ("ann", "bob") for number in (1, 2)]

    def name(self, values: Mapping[str, Any], who: str) -> str:
        return f"{who}-{values['a']}@mail.example"

    def owner(self, name: str) -> str:
        return name.split("-", maxsplit=1)[0]

    def change(self, who: str, name: str, value: Any) -> None:
        if name == "a":
            self.source[who][name] = value
            self.touch(who)
        else:
            super().change(who, name, value)

    def values(self, name: str) -> st.SearchStrategy[Any]:
        return st.sampled_from([1, 2]) if name == "a" else super().values(name)

    @precondition(lambda self: self.nights)
    @rule(who=st.sampled_from(PEOPLE), address=st.sampled_from([1, 2]), is_there=st.booleans())
    def an_address_changes_between_two_nights(self, who: str, address: int, is_there: bool) -> None:
        self.go_well(self.begin())
        self.change(who, "a", address)
        if is_there:
            self.refuse(who, "not_found")
        self.go_well(self.begin())

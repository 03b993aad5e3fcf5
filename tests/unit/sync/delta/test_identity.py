"""Who is the same person as last night, whatever the identifier: whole nights against a Braze that knows its users."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.state.doubt import IN_DOUBT
from tests.support.braze_users import BrazeUser, BrazeUsers
from tests.support.clock import in_clock_time
from tests.support.core import day, run_delta, stored_ledger, write_seen
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Killed, Life
from tests.unit.sync.steps.test_pipeline_imports import rows_of

BY_CRM = {"blueconic": "crm_id", "braze": "external_id"}
BY_EMAIL = {"blueconic": "mail", "braze": "email"}
BY_PHONE = {"blueconic": "mobile", "braze": "phone"}
BY_ALIAS = {"blueconic": "loyalty", "braze": "user_alias", "alias_label": "loyalty"}
ANN, BOB, PHONE = "ann@example.org", "bob@example.org", "+31611111111"
TIER = ("level", "tier")
ANN_ROW, CRM_7, CRM_8 = f'{{"email":"{ANN}"}}', '{"external_id":"7"}', '{"external_id":"8"}'
LEAVERS: list[Any] = ["clear_fields", {"tier": "gone"}, "keep"]


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


class Nights:
    """An export goal, night by night.

    :param profiles: of BlueConic; tests change them between two nights.
    """

    def __init__(
        self,
        home: Path,
        *profiles: dict[str, list[str]],
        braze: BrazeUsers | None = None,
        links: Sequence[Mapping[str, Any]] = (BY_CRM, BY_EMAIL),
        leavers: Any = "clear_fields",
        fields: Sequence[tuple[str, str]] = (TIER,),
        partitions: int = 1,
        mapping: Mapping[str, Any] | None = None,
    ) -> None:
        self.home = home
        self.braze = braze or BrazeUsers()
        self.blueconic = BlueConic(*profiles)
        self.goal = ExportGoalOf(
            "g", self.braze, self.blueconic, fields, links, delta={"leavers": leavers}, mapping=mapping or {}
        )
        self.partitions = partitions
        self.hours = 2

    @property
    def profiles(self) -> list[dict[str, list[str]]]:
        return self.blueconic.profiles

    def next(self, *profiles: dict[str, list[str]], **how: Any) -> Run:
        """The next run; with profiles, these are all that BlueConic has by then."""
        if profiles:
            self.profiles[:] = profiles
        self.hours += 24
        return Run(self.home, self.goal, day(1) + dt.timedelta(hours=self.hours), partitions=self.partitions, **how)

    def run(self, *profiles: dict[str, list[str]], **how: Any) -> list[dict[str, Any]]:
        """Run, and return what Braze was asked meanwhile."""
        self.braze.told()
        self.report = self.next(*profiles, **how).run().report
        return self.braze.told()

    def ledger(self) -> dict[str, dict[str, Any]]:
        return {row["identifier"]: row for row in rows_of(self.home, "g", "ledger")}

    def on_the_list(self) -> set[str]:
        return {who for who, row in self.ledger().items() if row["in_segment"]}


def profile(
    *, crm: str | list[str] | None = None, mail: str | list[str] | None = None, **properties: str | list[str]
) -> dict[str, list[str]]:
    given = {"crm_id": crm, "mail": mail, **properties}
    return {name: [value] if isinstance(value, str) else value for name, value in given.items() if value is not None}


def same_user(**how: Any) -> BrazeUsers:
    """A Braze where all identifiers of Ann are one user's."""
    return BrazeUsers(BrazeUser(external_ids={"7"}, aliases={("loyalty", "L7")}, email=ANN, phone=PHONE, **how))


# People who get an identifier, and lose it again


@pytest.mark.promise(6)
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("leavers", LEAVERS, ids=["clear", "set", "keep"])
def test_who_was_known_by_email_and_gets_an_external_id_keeps_every_value(
    leavers: Any, partitions: int, tmp_path: Path
) -> None:
    nights = Nights(
        tmp_path, profile(mail=ANN, level="gold"), braze=same_user(), leavers=leavers, partitions=partitions
    )
    first = nights.run()

    moved = nights.run(profile(crm="7", mail=ANN, level="gold"))
    quiet = nights.run()

    assert first == [{"email": ANN, "tier": "gold"}]
    assert moved == [{"external_id": "7", "tier": "gold"}]
    assert quiet == []
    assert nights.braze.of("external_id", "7") == {"tier": "gold"}
    assert nights.on_the_list() == {CRM_7}
    assert nights.report["leavers"] == 0


@pytest.mark.promise(1)
@pytest.mark.parametrize("leavers", LEAVERS, ids=["clear", "set", "keep"])
def test_a_value_that_goes_back_with_the_identifier_is_sent_every_time(leavers: Any, tmp_path: Path) -> None:
    nights = Nights(tmp_path, braze=same_user(), leavers=leavers)
    by_mail, by_both = profile(mail=ANN, level="gold"), profile(crm="7", mail=ANN, level="silver")

    sent = [nights.run(by_mail), nights.run(by_both), nights.run(by_mail), nights.run(by_both), nights.run()]

    gold, silver = {"email": ANN, "tier": "gold"}, {"external_id": "7", "tier": "silver"}
    assert sent == [[gold], [silver], [gold], [silver], []]
    assert nights.on_the_list() == {CRM_7}


@pytest.mark.promise(6)
def test_who_loses_the_external_id_is_not_cleared_as_the_user_whom_the_email_finds(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), braze=same_user())
    nights.run()

    lost = nights.run(profile(mail=ANN, level="gold"))
    left = nights.run(profile(mail=BOB))

    assert lost == [{"email": ANN, "tier": "gold"}]
    assert left == [{"email": ANN, "tier": None}]


@pytest.mark.promise(6)
def test_who_is_known_by_email_in_between_is_the_same_person_by_the_external_id_alone(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), braze=same_user())
    nights.run()
    nights.run(profile(mail=ANN, level="gold"))

    nights.run(profile(crm="7", level="gold"))

    assert nights.braze.of("external_id", "7") == {"tier": "gold"}
    assert nights.on_the_list() == {CRM_7}


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("links", "known", "then"),
    [
        pytest.param((BY_ALIAS, BY_EMAIL), {"mail": ANN}, {"loyalty": "L7"}, id="alias"),
        pytest.param(
            (BY_CRM, BY_PHONE), {"mobile": "+31 6 1111-1111"}, {"crm_id": "7"}, id="phone in another spelling"
        ),
        pytest.param(
            (BY_CRM, BY_EMAIL), {"mail": "Ann@Example.org"}, {"crm_id": "7"}, id="address in another spelling"
        ),
        pytest.param((BY_CRM, BY_ALIAS, BY_EMAIL), {"mail": ANN}, {"loyalty": "L7"}, id="second of three links"),
        pytest.param((BY_CRM, BY_ALIAS, BY_EMAIL), {"loyalty": "L7"}, {"crm_id": "7"}, id="first of three links"),
    ],
)
def test_a_person_moves_from_any_link_to_any_other(
    links: Sequence[Mapping[str, Any]], known: dict[str, str], then: dict[str, str], tmp_path: Path
) -> None:
    before, both, after = profile(**known, level="gold"), profile(**known, **then), profile(**then, level="red")
    nights = Nights(tmp_path, before, braze=same_user(), links=links)
    nights.run()

    nights.run({**both, "level": ["gold"]})
    nights.run(after)
    nights.run({**both, "level": ["gold"]})
    nights.run(before)

    assert nights.braze.of("external_id", "7") == {"tier": "gold"}
    assert len(nights.on_the_list()) == 1
    assert nights.run() == []


@pytest.mark.promise(6)
def test_every_value_of_a_later_link_counts(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user())
    nights.run()

    sent = nights.run(profile(crm="7", mail=[BOB, f" {ANN} "], level="gold"))

    assert sent == [{"external_id": "7", "tier": "gold"}]
    assert nights.on_the_list() == {CRM_7}


@pytest.mark.promise(6)
def test_a_merged_profile_takes_the_place_of_both(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", level="gold"), profile(mail=ANN, level="silver"), braze=same_user())
    nights.run()

    sent = nights.run(profile(crm="7", mail=ANN, level="gold"))

    assert sent == [{"external_id": "7", "tier": "gold"}]
    assert nights.on_the_list() == {CRM_7}
    assert nights.run() == []


def test_what_both_identifiers_hold_already_is_not_paid_for_again(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", level="gold"), profile(mail=ANN, level="gold"), braze=same_user())
    nights.run()

    assert nights.run(profile(crm="7", mail=ANN, level="gold")) == []
    assert nights.on_the_list() == {CRM_7}


def test_a_field_that_the_source_has_no_value_of_any_more_goes_with_its_person(tmp_path: Path) -> None:
    fields = (TIER, ("town", "town"))
    nights = Nights(tmp_path, profile(mail=ANN, level="gold", town="Delft"), braze=same_user(), fields=fields)
    nights.run()

    moved = nights.run(profile(crm="7", mail=ANN, level="gold"))
    left = nights.run(profile(mail=BOB))

    assert moved == [{"external_id": "7", "tier": "gold"}]
    assert left == [{"external_id": "7", "tier": None, "town": None}]


def test_who_left_under_another_identifier_is_the_same_person_on_coming_back(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user(), leavers="keep")
    nights.run()
    nights.run(profile(mail=BOB))
    nights.run(profile(crm="7", mail=ANN, level="silver"))

    nights.run(profile(mail=ANN, level="gold"))

    assert nights.braze.of("external_id", "7") == {"tier": "gold"}


def test_a_person_who_was_refused_too_often_is_tried_under_another_identifier(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user())
    nights.braze.refuses = {ANN}
    nights.run(max_attempts=1)
    assert nights.run(max_attempts=1) == []

    sent = nights.run(profile(crm="7", mail=ANN, level="gold"), max_attempts=1)

    assert sent == [{"external_id": "7", "tier": "gold"}]
    assert nights.ledger()[ANN_ROW]["refused_as"] is None


# People who leave, and people who are skipped


@pytest.mark.promise(6)
def test_who_really_left_is_cleared_also_beside_people_who_moved(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), profile(crm="8", mail=BOB, level="red"))
    nights.run()

    sent = nights.run(profile(crm="7", mail=ANN, level="gold"))

    assert sent == [{"external_id": "7", "tier": "gold"}, {"external_id": "8", "tier": None}]
    assert nights.report["leavers"] == 1


@pytest.mark.promise(6)
def test_of_two_people_who_share_an_address_the_one_who_left_is_cleared_and_the_other_left_alone(
    tmp_path: Path,
) -> None:
    stays = profile(crm="8", mail=ANN, level="red")
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), stays)
    nights.run()

    assert nights.run(stays) == [{"external_id": "7", "tier": None}]
    assert nights.run() == []


@pytest.mark.promise(6)
def test_an_address_that_somebody_is_sent_by_is_theirs_whoever_else_has_it(tmp_path: Path) -> None:
    both = profile(mail=ANN, level="gold"), profile(crm="7", mail=ANN, level="gold")
    nights = Nights(tmp_path, *both)
    nights.run()

    assert nights.run(*both) == []
    assert nights.on_the_list() == {CRM_7, ANN_ROW}


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    "skipped",
    [
        pytest.param(profile(crm=["7", "8"], mail=ANN, level="gold"), id="several_identifiers"),
        pytest.param(profile(crm="7" * 1_000, mail=ANN, level="gold"), id="bad_identifier"),
        pytest.param(profile(mail=[ANN, BOB], level="gold"), id="several of the link itself"),
    ],
)
def test_who_is_skipped_has_not_left_under_any_identifier(skipped: dict[str, list[str]], tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user())
    nights.run()

    assert nights.run(skipped, profile(crm="9")) == []
    assert (nights.report["leavers"], ANN_ROW in nights.on_the_list()) == (0, True)
    assert nights.run(profile(crm="7", mail=ANN, level="gold")) == [{"external_id": "7", "tier": "gold"}]


@pytest.mark.promise(6)
def test_who_lost_the_external_id_and_is_skipped_has_not_left(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), braze=same_user())
    nights.run()

    assert nights.run(profile(mail=[ANN, BOB], level="gold")) == []
    assert nights.on_the_list() == {CRM_7}
    assert nights.run(profile(mail=ANN, level="gold")) == [{"email": ANN, "tier": "gold"}]
    assert nights.on_the_list() == {ANN_ROW}


@pytest.mark.promise(6)
def test_what_a_skipped_record_says_of_a_person_is_remembered(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", level="gold"), braze=same_user(), links=(BY_CRM, BY_PHONE, BY_EMAIL))
    nights.run()
    nights.run(profile(crm=["7", "8"], mail=ANN, level="gold"))

    nights.run(profile(mail=ANN, level="gold"))

    assert nights.braze.of("external_id", "7") == {"tier": "gold"}
    assert nights.on_the_list() == {ANN_ROW}


@pytest.mark.promise(6)
def test_a_double_of_a_person_is_that_person(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user())
    nights.run()
    newer = profile(crm="7", level="gold")
    nights.blueconic.touch(newer)

    sent = nights.run(profile(crm="7", mail=ANN, level="old"), newer)

    assert sent == [{"external_id": "7", "tier": "gold"}]
    assert nights.on_the_list() == {CRM_7}


# Another value of the same kind


@pytest.mark.promise(6)
def test_another_external_id_is_another_user_and_the_old_one_has_left(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"))
    nights.run()

    sent = nights.run(profile(crm="8", mail=ANN, level="gold"))

    assert sent == [{"external_id": "7", "tier": None}, {"external_id": "8", "tier": "gold"}]
    assert (nights.braze.of("external_id", "7"), nights.braze.of("external_id", "8")) == (
        {"tier": None}, {"tier": "gold"},
    )  # fmt: skip


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("links", "before", "after"),
    [
        pytest.param((BY_CRM, BY_EMAIL), {"crm": "7"}, {"crm": "8"}, id="renamed external id"),
        pytest.param((BY_ALIAS, BY_EMAIL), {"loyalty": "L7"}, {"loyalty": "L8"}, id="second alias"),
    ],
)
def test_a_user_who_is_found_by_the_old_id_too_is_not_left_empty_for_good(
    links: Sequence[Mapping[str, Any]], before: dict[str, Any], after: dict[str, Any], tmp_path: Path
) -> None:
    user = BrazeUser(external_ids={"7", "8"}, aliases={("loyalty", "L7"), ("loyalty", "L8")}, email=ANN)
    nights = Nights(tmp_path, profile(**before, mail=ANN, level="gold"), braze=BrazeUsers(user), links=links)
    nights.run()

    nights.run(profile(**after, mail=ANN, level="gold"))
    nights.run()

    assert user.attributes == {"tier": "gold"}
    assert nights.run() == []


def test_an_address_that_changed_is_another_user_now_and_the_same_when_it_changes_back(tmp_path: Path) -> None:
    user = BrazeUser(email=ANN, phone=PHONE)
    nights = Nights(tmp_path, braze=BrazeUsers(user), links=(BY_EMAIL, BY_PHONE), leavers="keep")
    nights.run(profile(mail=ANN, mobile=PHONE, level="gold"))
    user.email = BOB
    nights.run(profile(mail=BOB, mobile=PHONE, level="silver"))
    user.email = ANN

    nights.run(profile(mail=ANN, mobile=PHONE, level="gold"))

    assert user.attributes == {"tier": "gold"}
    assert nights.run() == []


# A move that goes wrong


def moving(tmp_path: Path, **how: Any) -> Nights:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user(), **how)
    nights.run()
    nights.profiles[:] = [profile(crm="7", mail=ANN, level="silver")]
    return nights


@pytest.mark.promise(1)
def test_a_refused_move_comes_back_and_a_value_that_goes_back_meanwhile_too(tmp_path: Path) -> None:
    nights = moving(tmp_path)
    nights.braze.refuses = {"7"}
    assert nights.run() == []
    nights.braze.refuses = ()

    assert nights.run() == [{"external_id": "7", "tier": "silver"}]
    assert nights.run(profile(mail=ANN, level="gold")) == [{"email": ANN, "tier": "gold"}]


@pytest.mark.promise(1)
def test_a_move_without_an_answer_is_sent_again_whichever_way_the_person_goes(tmp_path: Path) -> None:
    nights = moving(tmp_path)
    nights.braze.answers = False
    nights.run()
    nights.braze.answers = True

    nights.run(profile(mail=ANN, level="gold"))

    assert nights.braze.of("email", ANN) == {"tier": "gold"}
    assert nights.run() == []


@pytest.mark.promise(6)
@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_who_leaves_after_a_move_that_went_wrong_is_cleared_under_the_new_identifier(
    fault: str, tmp_path: Path
) -> None:
    nights = moving(tmp_path)
    nights.braze.refuses, nights.braze.answers = ({"7"}, True) if fault == "refused" else ((), False)
    nights.run()
    nights.braze.refuses, nights.braze.answers = (), True

    assert nights.run(profile(mail=BOB)) == [{"external_id": "7", "tier": None}]
    assert nights.braze.of("email", ANN) == {"tier": None}


class Dying(Life):
    """Ends at the first write to a place."""

    def __init__(self, where: str, *, after: bool) -> None:
        super().__init__(after=after)
        self._where = where

    def write(self, what: str, make: Callable[[], Any]) -> Any:
        if self._where in what and not self.over:
            self._until = len(self.writes) + 1
        return super().write(what, make)


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("where", "after"),
    [("/delta-", True), ("/open/", True), ("/receipts/", False), ("/receipts/", True), ("delete", False)],
)
def test_a_move_that_is_killed_ends_as_if_it_had_not_been(where: str, after: bool, tmp_path: Path) -> None:
    nights = moving(tmp_path)
    with pytest.raises(Killed):
        nights.next().run(Dying(where, after=after))
    nights.braze.told()

    nights.run(profile(mail=ANN, level="gold"))

    assert nights.braze.of("external_id", "7") == {"tier": "gold"}
    assert nights.on_the_list() == {ANN_ROW}
    assert nights.run() == []


@pytest.mark.promise(1)
def test_a_move_that_is_only_planned_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    nights = moving(tmp_path)
    before = nights.ledger()

    nights.next().run(last="guard")

    assert nights.ledger() == before
    assert nights.run() == [{"external_id": "7", "tier": "silver"}]


# Reads that do not tell of everybody


def test_a_read_of_changes_moves_whom_it_met_and_nobody_leaves(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), profile(crm="8", level="red"), braze=same_user())
    nights.run()

    moved = nights.run(profile(crm="7", mail=ANN, level="silver"), complete=False)
    back = nights.run(profile(mail=ANN, level="gold"), complete=False)

    assert (moved, back) == ([{"external_id": "7", "tier": "silver"}], [{"email": ANN, "tier": "gold"}])
    assert nights.on_the_list() == {ANN_ROW, CRM_8}


@pytest.mark.promise(4)
def test_an_older_file_moves_nobody_back(tmp_path: Path) -> None:
    nights = Nights(tmp_path, braze=same_user(), leavers="keep")
    how: dict[str, Any] = {"complete": False, "confirms": False}
    nights.run(profile(crm="7", mail=ANN, level="gold"), **how)
    nights.hours = -100

    late = nights.run(profile(mail=ANN, level="old"), **how)

    assert late == []
    assert nights.report["stale"] == 1
    assert nights.on_the_list() == {CRM_7}


@pytest.mark.promise(4)
def test_a_person_who_moved_is_as_new_under_the_new_identifier(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), braze=same_user(), leavers="keep")
    how: dict[str, Any] = {"complete": False, "confirms": False}
    nights.hours = 200
    nights.run(**how)
    nights.hours = 100

    assert nights.run(profile(crm="7", mail=ANN, level="old"), **how) == []
    assert nights.on_the_list() == {ANN_ROW}


@pytest.mark.parametrize(("looked_on", "as_new_as"), [(None, day(2)), (day(1), day(2)), (day(3), day(3))], ids=str)
@pytest.mark.promise(4)
def test_who_moved_is_as_new_as_the_old_row_or_the_last_look_whatever_becomes_of_the_sending(
    looked_on: dt.datetime | None, as_new_as: dt.datetime, tmp_path: Path
) -> None:
    rows = [{"identifier": ANN_ROW, "field_tier": '"gold"', "as_of": day(2), "known_by": json.dumps([ANN_ROW])}]
    ledger = stored_ledger(tmp_path, rows)
    records = [{"sent_as": CRM_7, "identifiers": [ANN_ROW, CRM_7]}]
    plan = DeltaPlan(("tier",), frozenset(), frozenset(), partitions=1, as_of=day(4), confirms=False)
    held = [{"identifier": CRM_7, "field_tier": '"blue"'}]
    looks = [write_seen(tmp_path / "seen.parquet", held, as_of=looked_on)] if looked_on else []

    _, delta = run_delta(
        tmp_path, [{"identifier": CRM_7, "field_tier": '"red"'}], ledger, plan, records=records, seen=looks
    )  # fmt: skip

    assert (delta[CRM_7]["to_send"], delta[CRM_7]["takes_over"]) == (True, True)
    assert delta[CRM_7]["seen_as_of"] == as_new_as


# Ledgers of before, and goals whose links change


def forget_who(goal: Path) -> None:
    """Make a goal's ledger one that was written before it knew who people are."""
    table = DeltaTable(str(goal / "ledger"))
    rows = table.to_pyarrow_table().drop_columns(["known_by"])
    numbers = {name: table.transaction_version(name) for name in ("as_of", "partitions", "last", "links")}
    kept = CommitProperties(app_transactions=[Transaction(name, n) for name, n in numbers.items() if n is not None])
    write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite", commit_properties=kept)


@pytest.mark.promise(2)
def test_a_ledger_of_before_learns_who_people_are_without_sending_anything(tmp_path: Path) -> None:
    nights = Nights(
        tmp_path, profile(crm="7", mail=ANN, level="gold"), profile(mail=BOB, level="red"), braze=same_user()
    )
    nights.run()
    forget_who(tmp_path / "staging" / "g")

    assert nights.run() == []
    assert json.loads(nights.ledger()[CRM_7]["known_by"]) == [ANN_ROW, CRM_7]
    assert nights.run(profile(mail=ANN, level="gold"), profile(mail=BOB, level="red")) == [
        {"email": ANN, "tier": "gold"}
    ]


@pytest.mark.promise(1)
def test_a_user_whom_an_earlier_version_emptied_is_filled_again(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(mail=ANN, level="gold"), profile(crm="7", level="gold"), braze=same_user())
    nights.run()
    forget_who(tmp_path / "staging" / "g")
    cleared = {"field_tier": "'null'", "in_segment": "false"}
    DeltaTable(str(tmp_path / "staging" / "g" / "ledger")).update(
        predicate="identifier LIKE '%email%'", updates=cleared
    )
    nights.braze.people[0].attributes["tier"] = None

    assert nights.run(profile(crm="7", mail=ANN, level="gold")) == [{"external_id": "7", "tier": "gold"}]
    assert nights.run() == []


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    "links", [(BY_CRM, BY_EMAIL), (BY_CRM,)], ids=["another link comes first", "another link alone"]
)
def test_links_that_change_empty_nobody(links: Sequence[Mapping[str, Any]], tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), braze=same_user(), links=(BY_EMAIL,))
    nights.run()
    nights.goal = replace(nights.goal, identifiers=links)

    assert nights.run() == [{"external_id": "7", "tier": "gold"}]
    assert nights.on_the_list() == {CRM_7}
    assert nights.run() == []
    assert nights.run(profile(mail=BOB, crm="9")) == [{"external_id": "7", "tier": None}]


@pytest.mark.promise(6)
def test_a_link_that_is_taken_away_leaves_people_the_same(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, mobile=PHONE, level="gold"), braze=same_user())
    nights.goal = replace(nights.goal, identifiers=(BY_CRM, BY_EMAIL, BY_PHONE))
    nights.run()
    nights.goal = replace(nights.goal, identifiers=(BY_EMAIL, BY_PHONE))

    assert nights.run(profile(crm="7", mail=ANN, mobile=PHONE, level="silver")) == [{"email": ANN, "tier": "silver"}]
    nights.goal = replace(nights.goal, identifiers=(BY_CRM, BY_EMAIL))
    assert nights.run(profile(crm="7", mail=ANN, level="gold")) == [{"external_id": "7", "tier": "gold"}]


def test_people_of_one_link_are_kept_as_before(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=ANN, level="gold"), links=(BY_CRM,))
    nights.run()

    assert "known_by" not in nights.ledger()[CRM_7]
    assert not list((tmp_path / "staging").rglob("identities"))


def test_a_row_does_not_remember_identifiers_without_end(tmp_path: Path) -> None:
    nights = Nights(tmp_path, profile(crm="7", mail=[f"a{n}@b.nl" for n in range(15)], level="gold"))
    nights.run()
    nights.run(profile(crm="7", mail=[f"b{n}@b.nl" for n in range(15)], level="gold"))

    known = json.loads(nights.ledger()[CRM_7]["known_by"])

    assert len(known) == 20
    assert {CRM_7, *(f'{{"email":"b{n}@b.nl"}}' for n in range(15))} <= set(known)
    assert nights.run() == []


def test_the_old_row_is_in_doubt_and_says_that_its_person_moved(tmp_path: Path) -> None:
    nights = moving(tmp_path)
    nights.run()

    old = nights.ledger()[ANN_ROW]

    assert (old["in_segment"], old["field_tier"], old["known_by"]) == (False, IN_DOUBT, "[]")


@pytest.mark.promise(5)
@pytest.mark.parametrize(("looked_at", "is_sent"), [(day(4), False), (day(2), True)], ids=["since", "before"])
def test_what_braze_was_seen_to_hold_since_the_old_identifier_was_written_is_not_sent_under_the_new_one(
    looked_at: dt.datetime, is_sent: bool, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": ANN_ROW, "field_tier": '"gold"', "as_of": day(3)}], newest=day(3))
    plan = DeltaPlan(("tier",), frozenset({"tier"}), frozenset(), partitions=1, as_of=day(5), complete=True)
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": CRM_7, "field_tier": '"gold"'}], as_of=looked_at)

    counts, rows = run_delta(
        tmp_path,
        [{"identifier": CRM_7, "field_tier": '"gold"'}],
        ledger,
        plan,
        seen=[look],
        records=[{"sent_as": CRM_7, "identifiers": [ANN_ROW, CRM_7]}],
    )

    assert (counts.to_send, counts.seen, rows[CRM_7]["to_send"]) == (int(is_sent), int(not is_sent), is_sent)
    assert rows[CRM_7]["noted_tier"] == (IN_DOUBT if is_sent else '"gold"')


# Imports: by what BlueConic finds a person


BY_ID, BY_ADDRESS = {"braze": "external_id", "blueconic": "crm_id"}, {"braze": "email", "blueconic": "mail"}
LEVEL, SPENT = (
    ("custom_attributes.tier", "level"),
    ("custom_attributes.spent", "spent", {"merge": "sum", "of": "increase"}),
)
NICK = ("custom_attributes.nick", "nick", {"merge": "set_if_empty"})


class WithAddress(Braze):
    """Exports users with their e-mail address, which is not among the attributes here."""

    def lines(self) -> bytes:
        users = [json.loads(line) for line in super().lines().splitlines()]
        for user in users:
            user["email"] = user["custom_attributes"].pop("mail", None)
        return "".join(json.dumps(user) + "\n" for user in users).encode()


def bringing(braze: Braze, blueconic: BlueConic, *fields: Any, **how: Any) -> ImportGoalOf:
    return ImportGoalOf("i", braze, blueconic, fields, **{"identifiers": (BY_ADDRESS,), **how})


def two_profiles() -> BlueConic:
    return BlueConic({"mail": [ANN]}, {"mail": [BOB]}, types={"spent": "DECIMAL"})


@pytest.mark.promise(1)
def test_the_profile_that_is_found_by_a_new_address_gets_every_field_but_the_sums(tmp_path: Path) -> None:
    braze = WithAddress(u1={"mail": ANN, "tier": "gold", "nick": "An", "spent": 5})
    blueconic = two_profiles()
    goal = bringing(braze, blueconic, LEVEL, NICK, SPENT)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"] |= {"mail": BOB, "spent": 7}

    Run(tmp_path, goal, day(2)).run()
    quiet = Run(tmp_path, goal, day(3)).run()

    assert blueconic.profiles == [
        {"mail": [ANN], "level": ["gold"], "nick": ["An"], "spent": ["5"]},
        {"mail": [BOB], "level": ["gold"], "nick": ["An"], "spent": ["2"]},
    ]
    assert quiet.report["to_send"] == 0


@pytest.mark.promise(1)
@pytest.mark.parametrize("fault", ["refused", "unanswered", "planned"])
def test_a_new_address_that_blueconic_did_not_take_is_not_forgotten(fault: str, tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": ANN, "tier": "gold"}), two_profiles()
    goal = bringing(braze, blueconic, LEVEL)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["mail"] = BOB
    blueconic.without_consent = {BOB} if fault == "refused" else set()
    blueconic.answers = fault != "unanswered"
    Run(tmp_path, goal, day(2)).run(last="guard" if fault == "planned" else "report")
    blueconic.profiles[1].pop("level", None)
    blueconic.without_consent, blueconic.answers = set(), True

    Run(tmp_path, goal, day(12)).run()

    assert blueconic.values("mail", BOB, "level") == ["gold"]
    assert Run(tmp_path, goal, day(13)).run().report["to_send"] == 0


@pytest.mark.promise(1)
def test_who_was_not_found_is_looked_for_by_a_new_address_at_once(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": "nobody@example.org", "tier": "gold"}), two_profiles()
    goal = bringing(braze, blueconic, LEVEL)
    reports = [Run(tmp_path, goal, day(number)).run().report for number in (1, 2)]
    braze.users["u1"]["mail"] = BOB

    found = Run(tmp_path, goal, day(3)).run().report

    assert [report["held"] for report in reports] == [0, 1]
    assert (found["held"], blueconic.values("mail", BOB, "level")) == (0, ["gold"])


def test_who_is_not_found_by_the_new_address_either_rests_again(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": "nobody@example.org", "tier": "gold"}), two_profiles()
    goal = bringing(braze, blueconic, LEVEL)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["mail"] = "somebody@example.org"

    reports = [Run(tmp_path, goal, day(number)).run().report for number in (2, 3)]

    assert [(report["not_found"], report["held"]) for report in reports] == [(1, 0), (0, 1)]


def test_somebody_who_has_nothing_but_sums_is_looked_for_anew_too(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": "nobody@example.org", "spent": 5}), two_profiles()
    goal = bringing(braze, blueconic, SPENT)
    Run(tmp_path, goal, day(1)).run()
    braze.users["u1"]["mail"] = BOB

    Run(tmp_path, goal, day(2)).run()

    assert blueconic.values("mail", BOB, "spent") == ["5"]


@pytest.mark.promise(2)
def test_a_counter_that_a_goal_does_not_bring_any_more_is_not_added_again_for_a_new_address(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": ANN, "tier": "gold", "spent": 5}), two_profiles()
    with_sum, without = bringing(braze, blueconic, LEVEL, SPENT), bringing(braze, blueconic, LEVEL)
    Run(tmp_path, with_sum, day(1)).run()
    braze.users["u1"]["mail"] = BOB
    Run(tmp_path, without, day(2)).run()
    braze.users["u1"]["spent"] = 6

    Run(tmp_path, with_sum, day(3)).run()

    assert blueconic.values("mail", BOB, "spent") == ["1"]


@pytest.mark.promise(2)
def test_an_import_s_ledger_of_before_learns_how_people_are_found_without_sending_anything(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": ANN, "tier": "gold"}), two_profiles()
    goal = bringing(braze, blueconic, LEVEL)
    Run(tmp_path, goal, day(1)).run()
    forget_who(tmp_path / "staging" / "i")

    learnt = Run(tmp_path, goal, day(2)).run()
    braze.users["u1"]["mail"] = BOB
    Run(tmp_path, goal, day(3)).run()

    assert learnt.report["to_send"] == 0
    assert blueconic.values("mail", BOB, "level") == ["gold"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"identifiers": (BY_ID,)}, {"identifiers": (BY_ID, BY_ADDRESS)}, id="a link is added"),
        pytest.param({"identifiers": (BY_ID, BY_ADDRESS)}, {"identifiers": (BY_ADDRESS,)}, id="a link is taken away"),
    ],
)
def test_other_links_bring_everybody_once_more(before: Any, after: Any, tmp_path: Path) -> None:
    braze = WithAddress(u1={"mail": BOB, "tier": "gold"})
    blueconic = BlueConic({"crm_id": ["u1"]}, {"mail": [BOB]})
    Run(tmp_path, bringing(braze, blueconic, LEVEL, **before), day(1)).run()
    changed = bringing(braze, blueconic, LEVEL, **after)

    reports = [Run(tmp_path, changed, day(number)).run().report for number in (2, 3)]

    assert [report["accepted"] for report in reports] == [1, 0]


@pytest.mark.promise(4)
def test_an_older_read_with_another_address_puts_nothing_in_doubt(tmp_path: Path) -> None:
    braze, blueconic = WithAddress(u1={"mail": ANN, "tier": "gold"}), two_profiles()
    goal = bringing(braze, blueconic, LEVEL)
    Run(tmp_path, goal, day(5)).run()
    braze.users["u1"]["mail"] = BOB
    Run(tmp_path, goal, day(2)).run()
    braze.users["u1"]["mail"] = ANN

    assert Run(tmp_path, goal, day(6)).run().report["to_send"] == 0

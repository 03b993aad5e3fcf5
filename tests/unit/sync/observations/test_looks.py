"""What one goal read is known to the others, and believed only where it can be."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.goals.import_rows import ImportIdentifier
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.engine.columns import property_column, source_column
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.sync.observations.looks import look_again, look_at_target
from airflow_provider_braze_blueconic.sync.observations.observation import (
    Observation,
    fields_written_by_others,
    publish_observation,
)
from airflow_provider_braze_blueconic.sync.observations.written import SETTLES_IN, check_settled, mark_written
from airflow_provider_braze_blueconic.sync.plans.exported import exported_pairs
from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget
from airflow_provider_braze_blueconic.sync.plans.imported import imported_pairs
from airflow_provider_braze_blueconic.sync.plans.observed_profiles import observed_profiles
from airflow_provider_braze_blueconic.sync.plans.observed_users import observed_users
from airflow_provider_braze_blueconic.sync.plans.to_braze import mapping_plan
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.vendors.braze_paths import attribute_path
from tests.support.core import day, engine, person, read_rows, stored_ledger, write_snapshot_file
from tests.support.staging import LocalStaging

STAGING = LocalStaging()
EXTERNAL = ImportIdentifier(braze="external_id", blueconic="crm_id")
EMAIL = ImportIdentifier(braze="email", blueconic="email")
TIER = ImportTarget("tier", "custom_attributes.tier", "set", None, "SELECT")
POINTS = ImportTarget("points", "custom_attributes.points", "set", None, "RANGE")
READ = day(10)
"""When the export goal read BlueConic."""
OWN_READ = day(11)
"""When the import goal read Braze."""
SETTLED = dt.timedelta(minutes=10)  # BlueConic's index
BRAZE_SETTLED = dt.timedelta(minutes=5)
MOMENT = dt.timedelta(seconds=1)
TOO_LONG = "x" * 256  # for Braze


def folder_of(home: Path, goal_id: str) -> GoalFolder:
    return GoalFolder(str(home / "staging"), goal_id)


def profile(*crm_ids: str, tier: str | None = "gold", email: str = "a@b.nl") -> dict[str, list[str]]:
    """What BlueConic holds of somebody."""
    return {
        property_column("crm_id"): list(crm_ids),
        property_column("email"): [email],
        property_column("tier"): [] if tier is None else [tier],
        property_column("points"): ["5"],
    }


def exported(
    home: Path,
    *,
    goal_id: str = "vip_to_braze",
    tier: str = "gold",
    profiles: Sequence[Mapping[str, Any]] | None = None,
    as_of: dt.datetime = READ,
    is_through: bool = True,
    by_email_too: bool = False,
    acknowledged: Mapping[str, Mapping[str, str]] | None = None,
    **how: Any,
) -> Observation:
    """An export goal read BlueConic and mapped what it read, and says so.

    :param profiles: by default one, of person 7, with this tier.
    :param is_through: and it had nothing to write because of it.
    :param acknowledged: external id → field → JSON text that Braze has acknowledged; by default all that was wanted.
    """
    folder = folder_of(home, goal_id)
    run = f"{folder.root}/work/{as_of:%d}"
    part = Path(run) / "snapshot-1" / "part-00000.parquet"
    people = [{**one, "as_of": as_of} for one in profiles or [profile("7", tier=tier)]]
    write_snapshot_file(part, people)
    fields = [ExportField.model_validate({"from": f"property.{name}", "to": name}) for name in ("tier", "points")]
    links = [("crm_id", "external_id"), *([("email", "email")] if by_email_too else [])]
    plan = mapping_plan(
        [ExportIdentifier.model_validate({"blueconic": mine, "braze": theirs}) for mine, theirs in links],
        fields,
        property_types={},
        clear_missing=False,
        objectives=(),
        partitions=2,
    )
    mapped = Path(run) / "mapped-1"
    map_snapshot(engine(home), [part], plan, mapped)
    if acknowledged is None:
        books = [_only_fields(row) for row in read_rows(mapped.glob("partition=*/*.parquet"))]
    else:
        books = [
            {"identifier": person(who), **{f"field_{name}": text for name, text in texts.items()}}
            for who, texts in acknowledged.items()
        ]
    stored_ledger(Path(folder.root), books)
    observation = Observation(
        **{
            "goal_id": goal_id,
            "system": "blueconic",
            "connection": "blueconic_default",
            "as_of": as_of,
            "uri": str(part.parent),
            "columns": ("crm_id", "email", "tier", "points"),
            "pairs": (("tier", "tier"),),
            "target": "braze_default",
            "writes": ("tier", "first_name"),
            "mapped": str(mapped),
            **how,
        }
    )
    publish_observation(STAGING, folder, observation)
    if is_through:
        mark_written(STAGING, folder, read=as_of, wrote=None)
    return observation


def _only_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name == "identifier" or name.startswith("field_")}


def looked(
    home: Path,
    *,
    identifiers: Sequence[ImportIdentifier] = (EXTERNAL,),
    targets: Sequence[ImportTarget] = (TIER, POINTS),
    read_at: dt.datetime = OWN_READ,
    connection: str = "blueconic_default",
) -> list[Seen]:
    """What the import goal sees before it writes to BlueConic."""

    def plans(observation: Observation) -> list[MappingPlan]:
        return observed_profiles(identifiers, targets, {}, observation)

    return look_at_target(
        engine(home),
        STAGING,
        folder_of(home, "users_to_blueconic"),
        home / "local",
        system="blueconic",
        connection=connection,
        read_at=read_at,
        plans=plans,
        pairs=imported_pairs(targets),
    )


def seen(looks: Sequence[Seen]) -> list[tuple[str, str, str]]:
    rows = [row for look in looks for row in read_rows([look.file])]
    return [(row["identifier"], row["field_tier"], row["field_points"]) for row in rows]


def found_again(looks: Sequence[Seen]) -> list[str]:
    """By which values of a link somebody was seen."""
    return [json.loads(identifier)["value"] for identifier, *_ in seen(looks)]


def certain(looks: Sequence[Seen]) -> list[tuple[str, str]]:
    """Whose value of which field counts also where it differs: (value of the link, field)."""
    return [
        (json.loads(row["identifier"])["value"], target)
        for look in looks
        for row in read_rows([look.file])
        for target in sorted(look.certain)
        if row[f"certain_{target}"]
    ]


@pytest.mark.promise(7)
def test_what_another_goal_read_in_the_target_is_seen_in_the_goal_s_own_words(tmp_path: Path) -> None:
    exported(tmp_path)

    (look,) = looked(tmp_path)

    assert seen([look]) == [('{"id":"crm_id","value":"7"}', '["gold"]', '["5"]')]
    assert read_rows([look.file])[0]["as_of"] == READ
    assert look.settles_in == SETTLED
    assert not look.whole, "whom another goal does not read is not missing in the target"


def test_nobody_has_read_anything_yet(tmp_path: Path) -> None:
    assert looked(tmp_path) == []


def test_each_of_several_links_is_a_look_of_its_own(tmp_path: Path) -> None:
    exported(tmp_path)

    looks = looked(tmp_path, identifiers=(EXTERNAL, EMAIL))

    assert seen(looks) == [
        ('{"id":"crm_id","value":"7"}', '["gold"]', '["5"]'),
        ('{"id":"email","value":"a@b.nl"}', '["gold"]', '["5"]'),
    ]


def test_only_the_newest_read_of_a_goal_is_looked_at(tmp_path: Path) -> None:
    exported(tmp_path, tier="silver", as_of=day(8))
    exported(tmp_path, tier="gold", as_of=day(10))

    assert seen(looked(tmp_path)) == [('{"id":"crm_id","value":"7"}', '["gold"]', '["5"]')]


def test_several_goals_that_read_the_target_are_all_looked_at(tmp_path: Path) -> None:
    exported(tmp_path, goal_id="one")
    exported(tmp_path, goal_id="two", tier="silver")

    assert [tier for _, tier, _ in seen(looked(tmp_path))] == ['["gold"]', '["silver"]']


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"connection": "blueconic_acceptance"}, id="another connection"),
        pytest.param({"system": "braze"}, id="the other system"),
        pytest.param({"goal_id": "users_to_blueconic"}, id="the goal's own"),
        pytest.param({"columns": ("crm_id",)}, id="no field of the goal"),
        pytest.param({"columns": ("tier", "points")}, id="no link of the goal"),
    ],
)
def test_what_says_nothing_of_the_target_is_not_looked_at(how: dict[str, Any], tmp_path: Path) -> None:
    exported(tmp_path, **how)

    assert looked(tmp_path) == []


def test_a_goal_of_another_staging_prefix_is_not_known(tmp_path: Path) -> None:
    exported(tmp_path / "elsewhere")

    assert looked(tmp_path) == []


def test_a_snapshot_that_has_expired_is_not_looked_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    observation = exported(tmp_path)
    STAGING.delete([f"{observation.uri}/part-00000.parquet"])

    assert looked(tmp_path) == []
    assert "ignoring what vip_to_braze read" in caplog.text


# What a goal has written


@pytest.mark.parametrize(
    ("marks", "mark"),
    [
        pytest.param([(2, None)], (None, 2), id="nothing to write"),
        pytest.param([(2, 3)], (3, 2), id="written"),
        pytest.param([(2, 3), (4, None)], (3, 4), id="nothing to write since"),
        pytest.param([(4, 5), (2, 6)], (6, 4), id="an older read made good"),
    ],
)
def test_a_goal_remembers_its_last_write_and_its_newest_read_that_it_is_through_with(
    marks: list[tuple[int, int | None]], mark: tuple[int | None, int], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "vip_to_braze")

    for read, wrote in marks:
        mark_written(STAGING, folder, read=day(read), wrote=day(wrote) if wrote else None)

    at, read = mark
    assert json.loads(STAGING.read_bytes(folder.written)) == {
        "at": day(at).isoformat() if at else None,
        "read": day(read).isoformat(),
    }


# Own writes that the look may not show


@pytest.mark.parametrize(
    ("wrote", "is_looked_at"),
    [
        pytest.param(READ - SETTLED - MOMENT, True, id="long before"),
        pytest.param(READ - SETTLED, False, id="as long before as a write takes to show"),
        pytest.param(READ - MOMENT, False, id="shortly before"),
        pytest.param(READ + MOMENT, False, id="after"),
    ],
)
@pytest.mark.promise(4)
def test_a_look_that_the_goal_s_own_write_may_be_missing_from_is_not_believed(
    wrote: dt.datetime, is_looked_at: bool, tmp_path: Path
) -> None:
    exported(tmp_path)
    mark_written(STAGING, folder_of(tmp_path, "users_to_blueconic"), read=day(1), wrote=wrote)

    assert bool(looked(tmp_path)) is is_looked_at


def test_how_long_a_write_takes_to_show_is_each_system_s_own() -> None:
    assert SETTLES_IN == {"braze": BRAZE_SETTLED, "blueconic": SETTLED}


# What counts although it differs


def test_what_was_brought_over_is_known_also_of_a_goal_with_several_links(tmp_path: Path) -> None:
    exported(tmp_path, by_email_too=True)

    assert certain(looked(tmp_path)) == [("7", "tier")]


@pytest.mark.promise(7)
def test_only_fields_that_both_goals_carry_over_are_certain(tmp_path: Path) -> None:
    exported(tmp_path, pairs=(("tier", "tier"), ("points", "other_points")))

    (look,) = looked(tmp_path)

    assert look.certain == {"tier"}
    assert certain([look]) == [("7", "tier")]


@pytest.mark.parametrize(
    ("wrote", "counts"),
    [
        pytest.param(None, True, id="nothing"),
        pytest.param(OWN_READ - BRAZE_SETTLED - MOMENT, True, id="long before the own read"),
        pytest.param(OWN_READ - BRAZE_SETTLED, False, id="as long before as a write takes to show"),
        pytest.param(OWN_READ + MOMENT, False, id="after the own read"),
    ],
)
@pytest.mark.promise(7)
def test_a_difference_counts_only_if_the_own_read_shows_all_that_the_other_goal_wrote(
    wrote: dt.datetime | None, counts: bool, tmp_path: Path
) -> None:
    exported(tmp_path)
    mark_written(STAGING, folder_of(tmp_path, "vip_to_braze"), read=READ, wrote=wrote)

    (look,) = looked(tmp_path, read_at=OWN_READ)

    assert certain([look]) == ([("7", "tier")] if counts else [])


@pytest.mark.parametrize(
    ("through_with", "counts"),
    [
        pytest.param(None, False, id="nothing yet"),
        pytest.param(READ - MOMENT, False, id="an older read"),
        pytest.param(READ, True, id="that read"),
        pytest.param(READ + MOMENT, True, id="a newer read"),
    ],
)
@pytest.mark.promise(7)
def test_a_difference_does_not_count_before_the_other_goal_is_through_with_that_read(
    through_with: dt.datetime | None, counts: bool, tmp_path: Path
) -> None:
    exported(tmp_path, is_through=False)
    if through_with is not None:
        mark_written(STAGING, folder_of(tmp_path, "vip_to_braze"), read=through_with, wrote=None)

    (look,) = looked(tmp_path)

    assert certain([look]) == ([("7", "tier")] if counts else [])


@pytest.mark.promise(7)
def test_a_difference_does_not_count_while_the_other_goal_is_writing(tmp_path: Path) -> None:
    exported(tmp_path)
    STAGING.write_bytes(f"{folder_of(tmp_path, 'vip_to_braze').open_uploads}run~1.json", b"{}")

    (look,) = looked(tmp_path)

    assert certain([look]) == []


def test_a_goal_whose_name_begins_alike_is_not_taken_for_the_one_that_writes(tmp_path: Path) -> None:
    exported(tmp_path)
    STAGING.write_bytes(f"{folder_of(tmp_path, 'vip_to_braze_2').open_uploads}run~1.json", b"{}")

    (look,) = looked(tmp_path)

    assert certain([look]) == [("7", "tier")]


SILVER = {"tier": '"silver"', "points": '"5"'}
GOLD = {"tier": '"gold"', "points": '"5"'}


@pytest.mark.parametrize(
    ("tier", "acknowledged"),
    [
        pytest.param("silver", GOLD, id="Braze refused it"),
        pytest.param(TOO_LONG, GOLD, id="it was left out, since Braze would not store it"),
        pytest.param(None, GOLD, id="it is gone, which the other goal does not carry over"),
        pytest.param("silver", {}, id="the person was rejected when first sent"),
        pytest.param("silver", None, id="the person was never sent"),
        pytest.param(TOO_LONG, None, id="the person was never sent, and the value would be left out"),
    ],
)
@pytest.mark.promise(7)
def test_a_difference_does_not_count_of_whom_the_other_goal_did_not_bring_over_what_it_saw(
    tier: str | None, acknowledged: Mapping[str, str] | None, tmp_path: Path
) -> None:
    books = {"7": GOLD} if acknowledged is None else {"7": GOLD, "8": acknowledged}
    exported(tmp_path, profiles=[profile("7"), profile("8", tier=tier)], acknowledged=books)

    (look,) = looked(tmp_path)

    assert found_again([look]) == ["7", "8"]
    assert certain([look]) == [("7", "tier")]


@pytest.mark.parametrize(
    "crm_ids", [pytest.param(("8", "9"), id="with two external ids"), pytest.param((), id="without one")]
)
@pytest.mark.promise(7)
def test_a_difference_does_not_count_of_whom_the_other_goal_skipped(crm_ids: tuple[str, ...], tmp_path: Path) -> None:
    exported(
        tmp_path,
        profiles=[profile("7"), profile(*crm_ids, email="c@d.nl")],
        acknowledged={"7": GOLD, "8": GOLD, "9": GOLD},
    )

    (look,) = looked(tmp_path, identifiers=(EMAIL,))

    assert found_again([look]) == ["a@b.nl", "c@d.nl"]
    assert certain([look]) == [("a@b.nl", "tier")]


@pytest.mark.promise(7)
def test_of_one_person_one_field_can_count_and_another_not(tmp_path: Path) -> None:
    exported(
        tmp_path,
        profiles=[profile("7"), profile("8")],
        pairs=(("tier", "tier"), ("points", "points")),
        acknowledged={"7": {**GOLD, "points": '"4"'}, "8": {**GOLD, "tier": '"silver"'}},
    )

    assert certain(looked(tmp_path)) == [("7", "tier"), ("8", "points")]


@pytest.mark.promise(7)
def test_a_field_that_the_other_goal_has_never_sent_does_not_count(tmp_path: Path) -> None:
    exported(tmp_path, pairs=(("tier", "tier"), ("points", "points")), acknowledged={"7": {"tier": '"gold"'}})

    assert certain(looked(tmp_path)) == [("7", "tier")]


@pytest.mark.promise(7)
def test_no_difference_counts_before_the_other_goal_has_a_ledger(tmp_path: Path) -> None:
    exported(tmp_path)
    shutil.rmtree(folder_of(tmp_path, "vip_to_braze").ledger)

    looks = looked(tmp_path)

    assert (found_again(looks), certain(looks)) == (["7"], [])


@pytest.mark.promise(7)
@pytest.mark.parametrize("files", ["*.parquet", "_delta_log/*.json"], ids=["rows", "log"])
def test_no_difference_counts_where_the_other_goal_s_ledger_is_broken_and_nothing_stops(
    tmp_path: Path, files: str, caplog: pytest.LogCaptureFixture
) -> None:
    exported(tmp_path)
    for path in Path(folder_of(tmp_path, "vip_to_braze").ledger).rglob(files):
        path.write_bytes(b"")

    looks = looked(tmp_path)

    assert (found_again(looks), certain(looks)) == (["7"], [])
    assert "what vip_to_braze has synced is unknown" in caplog.text


@pytest.mark.promise(7)
def test_no_difference_counts_once_it_is_not_known_any_more_what_the_other_goal_wanted(tmp_path: Path) -> None:
    observation = exported(tmp_path)
    STAGING.delete(str(path) for path in Path(observation.mapped).rglob("*.parquet"))

    looks = looked(tmp_path)

    assert (found_again(looks), certain(looks)) == (["7"], [])


# Of whom it is not known which profile is written


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([profile("8"), profile("8", tier="silver")], id="two profiles of one person"),
        pytest.param([profile("8"), profile(" 8 "), profile("8")], id="three, written with and without spaces"),
        pytest.param([profile("8", "9")], id="a profile of two persons"),
        pytest.param([profile("8"), profile("8", "9"), profile("9")], id="a profile of two persons beside their own"),
        pytest.param([profile(), profile(" ")], id="profiles of nobody"),
    ],
)
@pytest.mark.promise(7)
def test_who_has_several_profiles_or_shares_one_is_not_looked_at_and_everybody_else_is(
    others: Sequence[Mapping[str, Any]], tmp_path: Path
) -> None:
    exported(tmp_path, profiles=[profile("7"), *others])

    looks = looked(tmp_path)

    assert found_again(looks) == ["7"]
    assert certain(looks) == [("7", "tier")]


@pytest.mark.promise(7)
def test_who_shares_one_link_is_not_looked_at_by_the_other_either(tmp_path: Path) -> None:
    exported(tmp_path, profiles=[profile("7"), profile("8"), profile("9", email="c@d.nl")])

    assert found_again(looked(tmp_path, identifiers=(EXTERNAL, EMAIL))) == ["9", "c@d.nl"]


# What comes from this side


def test_the_fields_that_other_goals_write_into_a_system_are_named_with_their_goal(tmp_path: Path) -> None:
    exported(tmp_path, goal_id="one", writes=("tier", "first_name"))
    exported(tmp_path, goal_id="other_workspace", target="braze_acceptance", writes=("points",))
    exported(tmp_path, goal_id="import", system="braze", connection="braze_default", target="bc", writes=("mail",))
    mark_written(STAGING, folder_of(tmp_path, "one"), read=day(10), wrote=day(10))

    found = fields_written_by_others(
        STAGING, folder_of(tmp_path, "users_to_blueconic"), system="braze", connection="braze_default"
    )

    assert found == {"tier": "one", "first_name": "one"}


@pytest.mark.promise(8)
def test_what_is_published_names_fields_and_nobody(tmp_path: Path) -> None:
    exported(tmp_path, tier="planted-value")
    mark_written(STAGING, folder_of(tmp_path, "vip_to_braze"), read=READ, wrote=None)

    observed = tmp_path / "staging/~observed"
    text = "".join(path.read_text() for path in observed.iterdir())
    assert "planted-value" not in text
    assert "a@b.nl" not in text
    assert json.loads((observed / "vip_to_braze.json").read_text())["as_of"] == "2026-11-10T00:00:00+00:00"
    assert json.loads((observed / "vip_to_braze.written.json").read_text()) == {
        "at": None,
        "read": "2026-11-10T00:00:00+00:00",
    }


# A goal's own look at its target


def users(home: Path, *external_ids: str, as_of: dt.datetime = READ) -> Observation:
    """What an export goal read of Braze for itself."""
    part = home / "look" / "part-00000.parquet"
    people = [{"external_id": name, "tier": "gold", "points": "5", "as_of": as_of} for name in external_ids]
    names = {"external_id": source_column("external_id"), **{n: source_column(attribute_path(n)) for n in _ATTRIBUTES}}
    write_snapshot_file(part, [{names.get(k, k): [v] if k in names else v for k, v in one.items()} for one in people])
    return Observation(
        goal_id="vip_to_braze",
        system="braze",
        connection="braze_default",
        as_of=as_of,
        uri=str(part.parent),
        columns=("external_id", *(attribute_path(name) for name in _ATTRIBUTES)),
        pairs=(),
        target="",
        writes=(),
        mapped="",
    )


_ATTRIBUTES = ("tier", "points")


def looks_again(home: Path, observation: Observation) -> list[Seen]:
    fields = [ExportField.model_validate({"from": f"property.{name}", "to": name}) for name in _ATTRIBUTES]
    links = [ExportIdentifier(blueconic="crm_id", braze="external_id")]
    return look_again(
        engine(home),
        STAGING,
        folder_of(home, "vip_to_braze"),
        home / "local",
        observation=observation,
        plans=lambda read: observed_users(links, fields, {}, read),
        pairs=exported_pairs(fields),
    )


@pytest.mark.promise(5)
def test_what_a_goal_reads_of_its_own_target_is_certain(tmp_path: Path) -> None:
    (look,) = looks_again(tmp_path, users(tmp_path, "7"))

    (row,) = read_rows([look.file])
    assert (row["identifier"], row["field_tier"], row["as_of"]) == (person("7"), '"gold"', READ)
    assert (look.certain, look.whole, look.settles_in) == ({"tier", "points"}, True, BRAZE_SETTLED)


@pytest.mark.promise(7)
def test_a_field_that_an_import_brings_from_there_is_not_put_right(tmp_path: Path) -> None:
    imported = users(tmp_path, "7")
    publish_observation(
        STAGING,
        folder_of(tmp_path, "users_to_blueconic"),
        replace(imported, goal_id="users_to_blueconic", pairs=(("tier", "tier"),)),
    )

    (look,) = looks_again(tmp_path, imported)

    assert look.certain == {"points"}


def test_a_read_that_met_nobody_is_no_look(tmp_path: Path) -> None:
    assert looks_again(tmp_path, replace(users(tmp_path), uri=str(tmp_path / "nothing"))) == []


@pytest.mark.parametrize("since", [MOMENT, -MOMENT, -BRAZE_SETTLED])
@pytest.mark.promise(4)
def test_a_look_from_before_the_goal_s_own_last_write_stops_the_run(since: dt.timedelta, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "vip_to_braze")
    mark_written(STAGING, folder, read=day(1), wrote=READ + since)

    with pytest.raises(SyncError, match="may be out of date"):
        looks_again(tmp_path, users(tmp_path, "7"))
    with pytest.raises(TransientError, match="may not show it yet"):
        check_settled(STAGING, folder, "braze", settles_in=SETTLES_IN, at=READ)
    mark_written(STAGING, folder, read=day(1), wrote=READ - BRAZE_SETTLED - MOMENT)
    check_settled(STAGING, folder, "braze", settles_in=SETTLES_IN, at=READ)


@pytest.mark.promise(7)
def test_what_is_replayed_of_a_past_date_does_not_take_the_place_of_a_newer_read(tmp_path: Path) -> None:
    newest = exported(tmp_path, as_of=READ)
    exported(tmp_path, as_of=READ - dt.timedelta(days=3))

    published = json.loads(STAGING.read_bytes(folder_of(tmp_path, newest.goal_id).observed))

    assert published["as_of"] == READ.isoformat()
    assert published["uri"] == newest.uri

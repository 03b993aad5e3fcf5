"""What one goal read is known to the others, and believed only where it can be."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.goals.models import ImportIdentifier
from airflow_provider_braze_blueconic.sync.columns import property_column
from airflow_provider_braze_blueconic.sync.delta import Seen
from airflow_provider_braze_blueconic.sync.import_plan import ImportTarget, observed_profiles
from airflow_provider_braze_blueconic.sync.observations import (
    SETTLES_IN,
    Observation,
    ObservedPlan,
    fields_written_by_others,
    look_at_target,
    mark_written,
    publish_observation,
)
from airflow_provider_braze_blueconic.sync.staging import GoalFolder
from tests.support.core import day, engine, read_rows, write_snapshot_file
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


def folder_of(home: Path, goal_id: str) -> GoalFolder:
    return GoalFolder(str(home / "staging"), goal_id)


def exported(
    home: Path,
    *,
    goal_id: str = "vip_to_braze",
    tier: str = "gold",
    as_of: dt.datetime = READ,
    is_through: bool = True,
    **how: Any,
) -> Observation:
    """An export goal read one profile of BlueConic, and says so.

    :param is_through: and it had nothing to write because of it.
    """
    folder = folder_of(home, goal_id)
    uri = f"{folder.root}/work/run/snapshot-1"
    people = [
        {
            property_column("crm_id"): ["7"],
            property_column("email"): ["a@b.nl"],
            property_column("tier"): [tier],
            property_column("points"): ["5"],
            "as_of": as_of,
        }
    ]
    write_snapshot_file(Path(uri) / "part-00000.parquet", people)
    observation = Observation(
        **{
            "goal_id": goal_id,
            "system": "blueconic",
            "connection": "blueconic_default",
            "as_of": as_of,
            "uri": uri,
            "columns": ("crm_id", "email", "tier", "points"),
            "pairs": (("tier", "tier"),),
            "target": "braze_default",
            "writes": ("tier", "first_name"),
            **how,
        }
    )
    publish_observation(STAGING, folder, observation)
    if is_through:
        mark_written(STAGING, folder, read=as_of, wrote=None)
    return observation


def looked(
    home: Path,
    *,
    identifiers: Sequence[ImportIdentifier] = (EXTERNAL,),
    targets: Sequence[ImportTarget] = (TIER, POINTS),
    read_at: dt.datetime = OWN_READ,
    connection: str = "blueconic_default",
) -> list[Seen]:
    """What the import goal sees before it writes to BlueConic."""

    def plans(observation: Observation) -> list[ObservedPlan]:
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
    )


def seen(looks: Sequence[Seen]) -> list[tuple[str, str, str]]:
    rows = [row for look in looks for row in read_rows([look.file])]
    return [(row["identifier"], row["field_tier"], row["field_points"]) for row in rows]


@pytest.mark.promise(7)
def test_what_another_goal_read_in_the_target_is_seen_in_the_goal_s_own_words(tmp_path: Path) -> None:
    exported(tmp_path)

    (look,) = looked(tmp_path)

    assert seen([look]) == [('{"id":"crm_id","value":"7"}', '["gold"]', '["5"]')]
    assert read_rows([look.file])[0]["as_of"] == READ
    assert look.settles_in == SETTLED


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
    assert "what vip_to_braze read has expired" in caplog.text


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


@pytest.mark.promise(7)
def test_only_fields_that_both_goals_carry_over_are_certain(tmp_path: Path) -> None:
    exported(tmp_path, pairs=(("tier", "tier"), ("points", "other_points")))

    (look,) = looked(tmp_path)

    assert look.certain == {"tier"}


@pytest.mark.parametrize(
    ("wrote", "certain"),
    [
        pytest.param(None, True, id="nothing"),
        pytest.param(OWN_READ - BRAZE_SETTLED - MOMENT, True, id="long before the own read"),
        pytest.param(OWN_READ - BRAZE_SETTLED, False, id="as long before as a write takes to show"),
        pytest.param(OWN_READ + MOMENT, False, id="after the own read"),
    ],
)
@pytest.mark.promise(7)
def test_a_difference_counts_only_if_the_own_read_shows_all_that_the_other_goal_wrote(
    wrote: dt.datetime | None, certain: bool, tmp_path: Path
) -> None:
    exported(tmp_path)
    mark_written(STAGING, folder_of(tmp_path, "vip_to_braze"), read=READ, wrote=wrote)

    (look,) = looked(tmp_path, read_at=OWN_READ)

    assert look.certain == ({"tier"} if certain else set())


@pytest.mark.parametrize(
    ("through_with", "certain"),
    [
        pytest.param(None, False, id="nothing yet"),
        pytest.param(READ - MOMENT, False, id="an older read"),
        pytest.param(READ, True, id="that read"),
        pytest.param(READ + MOMENT, True, id="a newer read"),
    ],
)
@pytest.mark.promise(7)
def test_a_difference_does_not_count_before_the_other_goal_is_through_with_that_read(
    through_with: dt.datetime | None, certain: bool, tmp_path: Path
) -> None:
    exported(tmp_path, is_through=False)
    if through_with is not None:
        mark_written(STAGING, folder_of(tmp_path, "vip_to_braze"), read=through_with, wrote=None)

    (look,) = looked(tmp_path)

    assert look.certain == ({"tier"} if certain else set())


@pytest.mark.promise(7)
def test_a_difference_does_not_count_while_the_other_goal_is_writing(tmp_path: Path) -> None:
    exported(tmp_path)
    STAGING.write_bytes(f"{folder_of(tmp_path, 'vip_to_braze').open_uploads}run~1.json", b"{}")

    (look,) = looked(tmp_path)

    assert look.certain == set()


def test_a_goal_whose_name_begins_alike_is_not_taken_for_the_one_that_writes(tmp_path: Path) -> None:
    exported(tmp_path)
    STAGING.write_bytes(f"{folder_of(tmp_path, 'vip_to_braze_2').open_uploads}run~1.json", b"{}")

    (look,) = looked(tmp_path)

    assert look.certain == {"tier"}


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

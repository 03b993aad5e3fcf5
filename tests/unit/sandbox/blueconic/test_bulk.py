"""What a bulk write does with its entries: states, strategies, matching, consent, rights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk import write_profiles
from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import RequestRefused
from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile
from airflow_provider_braze_blueconic.sandbox.blueconic.refinement import Refinement
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import NEWSLETTER_SEGMENT, VIP_SEGMENT
from airflow_provider_braze_blueconic.sandbox.blueconic.settings import BlueConicSettings
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import make_people

_START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class _Tenant:
    """A tenant with Ann alone in it, and a clock that moves on with each request."""

    def __init__(self) -> None:
        self._now = _START
        self.faults = Faults()
        self.state = BlueConicState([], vip=0, seed=1, faults=self.faults, clock=lambda: self._now)
        self.ann = self.state.add(
            {"crm_id": ["crm-ann"], "email": ["ann@example.com"], "points": ["5"], "interests": ["chess"]},
            segments=["seg-all", VIP_SEGMENT],
            id="ann",
        )

    def write(self, *entries: dict[str, Any], objectives: str = "", **settings: Any) -> list[dict[str, Any]]:
        self._now += timedelta(minutes=1)
        answer = write_profiles(
            self.state,
            list(entries),
            objectives=set(objectives.split()),
            settings=BlueConicSettings(**settings),
        )
        return [dict(result) for result in answer.results]

    def states(self, *entries: dict[str, Any], objectives: str = "", **settings: Any) -> list[str]:
        return [result["state"] for result in self.write(*entries, objectives=objectives, **settings)]

    def profile(self, profile_id: str = "ann") -> Profile:
        return self.state.profiles[profile_id]


@pytest.fixture
def tenant() -> _Tenant:
    return _Tenant()


def _rule(name: str, *values: str, strategy: str = "SET", **more: Any) -> dict[str, Any]:
    return {"id": name, "values": list(values), "strategy": strategy, **more}


def _by(name: str, value: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"matching": [[{"id": name, "value": value}]], "properties": list(rules), **more}


def _ann(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _by("crm_id", "crm-ann", *rules, **more)


def _new(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _by("crm_id", "crm-new", *rules, strategy="UPSERT", **more)


def test_written_profile_is_modified_and_its_date_moves(tenant: _Tenant) -> None:
    before = tenant.profile().modified

    results = tenant.write(_ann(_rule("city", "Utrecht"), identifier="row-1"))

    assert results == [{"state": "MODIFIED", "identifier": "row-1", "profileId": "ann"}]
    assert tenant.profile().values["city"] == ["Utrecht"]
    assert tenant.profile().modified == before + 60_000


def test_profile_that_holds_it_all_is_unchanged_and_its_date_stays(tenant: _Tenant) -> None:
    before = tenant.profile().modified

    states = tenant.states(_ann(_rule("points", "5"), _rule("interests", "chess", strategy="ADD")))

    assert states == ["UNCHANGED"]
    assert tenant.profile().modified == before


def test_update_is_the_default_and_creates_nobody(tenant: _Tenant) -> None:
    results = tenant.write(_by("crm_id", "crm-new", _rule("city", "Ede"), identifier="row-1"))

    assert results == [{"state": "NOTFOUND", "identifier": "row-1"}]
    assert list(tenant.state.profiles) == ["ann"]


def test_upsert_creates_who_is_not_there(tenant: _Tenant) -> None:
    (result,) = tenant.write(
        _new(
            _rule("crm_id", "crm-new"), _rule("city", "Ede"), privacyLegislation="UK_GDPR", permissionLevel="ANONYMOUS"
        )
    )

    created = tenant.profile(result["profileId"])
    assert result["state"] == "CREATED"
    assert created.values == {"crm_id": ["crm-new"], "city": ["Ede"], "domaingroup": ["DEFAULT"]}
    assert (created.legislation, created.level, created.segments) == ("UK_GDPR", "ANONYMOUS", {"seg-all"})


def test_zone_and_level_of_an_entry_are_for_new_profiles_only(tenant: _Tenant) -> None:
    states = tenant.states(_ann(strategy="UPSERT", privacyLegislation="CCPA", permissionLevel="ANONYMOUS"))

    assert states == ["UNCHANGED"]
    assert (tenant.profile().legislation, tenant.profile().level) == ("GDPR", "PERSONAL")


def test_created_profile_does_not_hold_what_it_was_matched_on(tenant: _Tenant) -> None:
    tenant.write(_new(_rule("city", "Ede")))

    assert tenant.states(_new(_rule("city", "Ede"))) == ["CREATED"]
    assert len(tenant.state.profiles) == 3


def test_tenant_that_stores_the_matching_values_finds_its_profile_again(tenant: _Tenant) -> None:
    tenant.write(_new(_rule("city", "Ede")), stores_matching=True)

    assert tenant.states(_new(_rule("city", "Ede"))) == ["UNCHANGED"]


def test_profile_created_by_an_entry_is_found_by_the_next_entry(tenant: _Tenant) -> None:
    entry = _new(_rule("crm_id", "crm-new"))

    assert tenant.states(entry, entry) == ["CREATED", "UNCHANGED"]


def test_deletion_takes_the_profile_out_of_everything(tenant: _Tenant) -> None:
    entry = {"profileId": "ann", "strategy": "DELETE"}

    assert tenant.states(entry, entry, _ann()) == ["DELETED", "NOTFOUND", "NOTFOUND"]
    assert tenant.state.segments[VIP_SEGMENT].members == set()


def test_profile_id_overrides_matching(tenant: _Tenant) -> None:
    results = tenant.write(_by("crm_id", "crm-nobody", _rule("city", "Ede"), profileId="ann"))

    assert results == [{"state": "MODIFIED", "profileId": "ann"}]


def test_merged_away_id_writes_to_its_heir() -> None:
    state = BlueConicState(make_people(30, seed=1), vip=30, seed=1, faults=Faults())
    heir = next(profile for profile in state.profiles.values() if profile.replaces)

    answer = write_profiles(
        state,
        [{"profileId": heir.replaces[0], "properties": [_rule("braze_city", "Ede")]}],
        objectives=(),
        settings=BlueConicSettings(),
    )

    assert answer.results == [{"state": "MODIFIED", "profileId": heir.id}]


@pytest.mark.parametrize(
    ("matching", "state"),
    [
        pytest.param([[("crm_id", "no")], [("email", "ann@example.com")]], "MODIFIED", id="one of two is enough"),
        pytest.param([[("crm_id", "no"), ("email", "ann@example.com")]], "NOTFOUND", id="both are wanted"),
        pytest.param([[("crm_id", "crm-ann"), ("email", "ann@example.com")]], "MODIFIED", id="both are there"),
        pytest.param([[("email", "ANN@example.com")]], "NOTFOUND", id="letter by letter"),
        pytest.param([[("email", "")]], "NOTFOUND", id="nothing matches nothing"),
    ],
)
def test_outer_list_means_or_and_inner_list_means_and(
    tenant: _Tenant, matching: list[list[tuple[str, str]]], state: str
) -> None:
    lists = [[{"id": name, "value": value} for name, value in criteria] for criteria in matching]

    assert tenant.states({"matching": lists, "properties": [_rule("city", "Ede")]}) == [state]


def test_changed_identifier_is_matched_at_once_and_the_old_one_no_more(tenant: _Tenant) -> None:
    states = tenant.states(_ann(_rule("crm_id", "crm-2")), _ann(), _by("crm_id", "crm-2"))

    assert states == ["MODIFIED", "NOTFOUND", "UNCHANGED"]


def test_other_domain_group_matches_nobody(tenant: _Tenant) -> None:
    entry = _ann(_rule("crm_id", "crm-ann"), strategy="UPSERT", domainGroup="shop")

    (first,), (second,) = tenant.write(entry), tenant.write(entry)

    assert (first["state"], second["state"]) == ("CREATED", "UNCHANGED")
    assert tenant.profile(first["profileId"]).values["domaingroup"] == ["shop"]


def test_of_several_matches_the_first_is_written(tenant: _Tenant) -> None:
    tenant.state.add({"crm_id": ["crm-ann"]}, id="twin")

    assert [result["profileId"] for result in tenant.write(_ann(_rule("city", "Ede")))] == ["ann"]


def test_tenant_may_write_all_matches_and_answer_each(tenant: _Tenant) -> None:
    tenant.state.add({"crm_id": ["crm-ann"]}, id="twin")

    results = tenant.write(_ann(_rule("city", "Ede"), identifier="row-1"), several_matches="all")

    assert [(each["identifier"], each["profileId"]) for each in results] == [("row-1", "ann"), ("row-1", "twin")]


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        pytest.param(_rule("interests", "film"), ["film"], id="SET"),
        pytest.param(_rule("interests"), None, id="SET nothing"),
        pytest.param(_rule("interests", "film", "chess", strategy="ADD"), ["chess", "film"], id="ADD"),
        pytest.param(_rule("interests", "film", strategy="SET_IF_EMPTY"), ["chess"], id="SET_IF_EMPTY"),
        pytest.param(_rule("interests", "chess", strategy="REMOVE"), None, id="REMOVE"),
        pytest.param(_rule("points", "3", strategy="INCREMENT"), ["8"], id="INCREMENT"),
        pytest.param(_rule("points", "3", strategy="SUM"), ["8"], id="SUM"),
        pytest.param(_rule("city", "Ede", restriction="NEW_PROFILES_ONLY"), None, id="for new profiles"),
        pytest.param(_rule("city", "Ede", restriction="EXISTING_PROFILES_ONLY"), ["Ede"], id="for existing ones"),
    ],
)
def test_strategy_decides_what_is_stored(tenant: _Tenant, rule: dict[str, Any], values: list[str] | None) -> None:
    tenant.write(_ann(rule))

    assert tenant.profile().values.get(rule["id"]) == values


def test_rule_for_existing_profiles_is_left_out_of_a_new_one(tenant: _Tenant) -> None:
    (result,) = tenant.write(
        _new(
            _rule("city", "Ede", restriction="EXISTING_PROFILES_ONLY"),
            _rule("crm_id", "crm-new", restriction="NEW_PROFILES_ONLY"),
        )
    )

    assert tenant.profile(result["profileId"]).values == {"crm_id": ["crm-new"], "domaingroup": ["DEFAULT"]}


def test_sum_sent_twice_counts_twice(tenant: _Tenant) -> None:
    entry = _ann(_rule("points", "3", strategy="INCREMENT"))

    tenant.write(entry)
    tenant.write(entry)

    assert tenant.profile().values["points"] == ["11"]


@pytest.mark.parametrize(("known", "other"), [("INCREMENT", "SUM"), ("SUM", "INCREMENT")])
def test_word_for_a_sum_that_the_tenant_does_not_know_refuses_the_request(
    tenant: _Tenant, known: Any, other: str
) -> None:
    with pytest.raises(RequestRefused):
        tenant.write(_ann(_rule("city", "Ede")), _ann(_rule("points", "3", strategy=other)), sum_strategy=known)

    assert "city" not in tenant.profile().values
    assert tenant.states(_ann(_rule("points", "3", strategy=known)), sum_strategy=known) == ["MODIFIED"]


def test_word_for_a_sum_that_the_tenant_does_not_know_may_be_ignored_instead(tenant: _Tenant) -> None:
    settings: dict[str, Any] = {"sum_strategy": "SUM", "unknown_sum": "ignored"}

    states = tenant.states(
        _ann(_rule("points", "3", strategy="INCREMENT")),
        _ann(_rule("points", "3", strategy="INCREMENT"), _rule("city", "Ede")),
        _ann(_rule("points", "3", strategy="SUM")),
        **settings,
    )

    assert states == ["UNCHANGED", "MODIFIED", "MODIFIED"]
    assert tenant.profile().values["points"] == ["8"]


def test_of_several_matches_one_may_refuse_a_sum_that_the_other_takes(tenant: _Tenant) -> None:
    tenant.state.add({"crm_id": ["crm-ann"], "points": ["none yet"]}, id="twin")

    first, second = tenant.write(
        _ann(_rule("points", "3", strategy="INCREMENT"), _rule("city", "Ede")), several_matches="all"
    )

    assert (first["state"], first.get("validationErrors")) == ("MODIFIED", None)
    assert (second["state"], list(second["validationErrors"])) == ("MODIFIED", ["points"])


def test_invalid_property_is_left_out_and_reported_while_the_others_are_applied(tenant: _Tenant) -> None:
    (result,) = tenant.write(_ann(_rule("points", "many"), _rule("city", "Ede"), _rule("email", "no address")))

    assert result["state"] == "MODIFIED"
    assert set(result["validationErrors"]) == {"points", "email"}
    assert tenant.profile().values["points"] == ["5"]
    assert tenant.profile().values["city"] == ["Ede"]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(_rule("nothing", "x"), id="unknown property"),
        pytest.param(_rule("lastmodifieddate", "0"), id="read-only property"),
        pytest.param(_rule("city", "1", strategy="INCREMENT"), id="sum of a text"),
        pytest.param(_rule("points", "one", strategy="INCREMENT"), id="sum with a word"),
        pytest.param(_rule("consented_objectives", "nothing"), id="unknown objective"),
        pytest.param(_rule("privacy_legislation", "MARS"), id="unknown zone"),
    ],
)
def test_entry_whose_only_rule_is_invalid_changes_nothing(tenant: _Tenant, rule: dict[str, Any]) -> None:
    (result,) = tenant.write(_ann(rule))

    assert result["state"] == "UNCHANGED"
    assert list(result["validationErrors"]) == [rule["id"]]


def test_only_members_of_the_restricting_segment_are_written(tenant: _Tenant) -> None:
    states = tenant.states(
        _ann(_rule("city", "Ede"), restriction={"isMemberOfSegment": VIP_SEGMENT}),
        _ann(_rule("city", "Amsterdam"), restriction={"isMemberOfSegment": NEWSLETTER_SEGMENT}),
        _new(restriction={"isMemberOfSegment": VIP_SEGMENT}),
    )

    assert states == ["MODIFIED", "RESTRICTION_MISMATCH", "RESTRICTION_MISMATCH"]
    assert tenant.profile().values["city"] == ["Ede"]


@pytest.mark.parametrize(
    ("legislation", "consented", "refused", "state"),
    [
        pytest.param("GDPR", ["newsletter"], [], "MODIFIED", id="consented"),
        pytest.param("GDPR", [], [], "CONSENT_MISMATCH", id="asked for and unknown"),
        pytest.param("GDPR", ["personalisation"], [], "CONSENT_MISMATCH", id="consented to something else"),
        pytest.param("CCPA", [], [], "MODIFIED", id="not needed in the zone"),
        pytest.param("NONE", [], [], "MODIFIED", id="no zone"),
        pytest.param("CCPA", [], ["newsletter"], "CONSENT_MISMATCH", id="not needed and yet refused"),
    ],
)
def test_consent_is_asked_of_the_profile(
    tenant: _Tenant, legislation: str, consented: list[str], refused: list[str], state: str
) -> None:
    tenant.state.change("ann", {}, legislation=legislation, consented=consented, refused=refused)

    assert tenant.states(_ann(_rule("city", "Ede")), objectives="newsletter") == [state]
    assert ("city" in tenant.profile().values) is (state == "MODIFIED")


def test_one_of_the_objectives_is_enough(tenant: _Tenant) -> None:
    tenant.state.change("ann", {}, consented=["personalisation"])

    assert tenant.states(_ann(_rule("city", "Ede")), objectives="newsletter personalisation") == ["MODIFIED"]


def test_nobody_consented_to_an_unknown_objective(tenant: _Tenant) -> None:
    tenant.state.change("ann", {}, legislation="NONE")

    assert tenant.states(_ann(_rule("city", "Ede")), objectives="newsleter") == ["CONSENT_MISMATCH"]


def test_without_objectives_nobody_is_asked(tenant: _Tenant) -> None:
    assert tenant.states(_ann(_rule("city", "Ede"))) == ["MODIFIED"]


@pytest.mark.parametrize(
    ("rules", "zone", "state"),
    [
        pytest.param([_rule("consented_objectives", "newsletter")], "GDPR", "CREATED", id="brings consent"),
        pytest.param([], "GDPR", "CONSENT_MISMATCH", id="brings none"),
        pytest.param([_rule("consented_objectives", "personalisation")], "GDPR", "CONSENT_MISMATCH", id="to another"),
        pytest.param([], "CCPA", "CREATED", id="needs none"),
        pytest.param([_rule("privacy_legislation", "GDPR")], "CCPA", "CONSENT_MISMATCH", id="zone of the property"),
    ],
)
def test_new_profile_needs_consent_in_its_own_entry(
    tenant: _Tenant, rules: list[dict[str, Any]], zone: str, state: str
) -> None:
    assert tenant.states(_new(*rules, privacyLegislation=zone), objectives="newsletter") == [state]


def test_consent_and_refusal_take_each_others_place(tenant: _Tenant) -> None:
    tenant.write(_ann(_rule("consented_objectives", "newsletter", "personalisation")))
    tenant.write(_ann(_rule("refused_objectives", "newsletter")))

    assert tenant.profile().consented == ["personalisation"]
    assert tenant.profile().refused == ["newsletter"]


def test_consent_without_a_zone_is_ignored(tenant: _Tenant) -> None:
    (result,) = tenant.write(_new(_rule("consented_objectives", "newsletter")))

    created = tenant.profile(result["profileId"])
    assert (created.legislation, created.consented, "validationErrors" in result) == ("NONE", [], False)


def test_zone_given_beside_the_consent_counts_for_it(tenant: _Tenant) -> None:
    (result,) = tenant.write(_new(_rule("consented_objectives", "newsletter"), _rule("privacy_legislation", "GDPR")))

    created = tenant.profile(result["profileId"])
    assert (created.legislation, created.consented) == ("GDPR", ["newsletter"])


def test_segments_follow_what_is_written(tenant: _Tenant) -> None:
    tenant.write(_ann(_rule("consented_objectives", "newsletter")))
    assert tenant.profile().segments == {"seg-all", VIP_SEGMENT, NEWSLETTER_SEGMENT}

    tenant.write(_ann(_rule("refused_objectives", "newsletter")))
    assert tenant.profile().segments == {"seg-all", VIP_SEGMENT}


def test_new_profile_with_an_address_is_known(tenant: _Tenant) -> None:
    (result,) = tenant.write(_new(_rule("email", "new@example.com")))

    assert tenant.profile(result["profileId"]).segments == {"seg-all", "seg-known"}
    assert result["profileId"] in tenant.state.segments["seg-known"].members


def test_without_pii_rights_an_entry_that_writes_personal_data_is_unauthorized(tenant: _Tenant) -> None:
    results = tenant.write(
        _ann(_rule("city", "Ede"), _rule("firstname", "Ann")),
        _ann(_rule("city", "Utrecht")),
        _new(_rule("crm_id", "crm-new")),
        pii_rights=False,
    )

    assert [result["state"] for result in results] == ["UNAUTHORIZED", "MODIFIED", "UNAUTHORIZED"]
    assert tenant.profile().values["city"] == ["Utrecht"]
    assert "firstname" not in tenant.profile().values


@pytest.mark.parametrize("name", ["row-1", "crm-ann"])
def test_entry_can_be_skipped(tenant: _Tenant, name: str) -> None:
    entry = _ann(_rule("city", "Ede"), identifier="row-1")

    assert tenant.states(entry, skipped=(name,)) == ["SKIPPED"]
    assert "city" not in tenant.profile().values


def test_entry_can_be_applied_and_left_out_of_the_answer(tenant: _Tenant) -> None:
    results = tenant.write(
        _ann(_rule("city", "Ede"), identifier="row-1"), _ann(identifier="row-2"), unanswered=("row-1",)
    )

    assert [result["identifier"] for result in results] == ["row-2"]
    assert tenant.profile().values["city"] == ["Ede"]


def test_results_stand_in_the_order_of_the_entries(tenant: _Tenant) -> None:
    results = tenant.write(*(_ann(identifier=f"row-{number}") for number in range(20)))

    assert [result["identifier"] for result in results] == [f"row-{number}" for number in range(20)]


@pytest.mark.parametrize("size", [2, 3, 20])
def test_shuffled_results_are_all_there_in_another_order(tenant: _Tenant, size: int) -> None:
    rows = [f"row-{number}" for number in range(size)]

    results = tenant.write(*(_ann(identifier=row) for row in rows), shuffle_results=True)

    assert [result["identifier"] for result in results] != rows
    assert {result["identifier"] for result in results} == set(rows)


def test_counters_tell_what_was_sent_and_what_became_of_it(tenant: _Tenant) -> None:
    tenant.write(
        _ann(_rule("city", "Ede")),
        _ann(_rule("city", "Utrecht"), triggerOnPropertyChange=False),
        _ann(_rule("points", "many")),
        _new(_rule("crm_id", "crm-new")),
    )
    tenant.write(_by("crm_id", "crm-nobody"))

    assert tenant.state.bulk.as_dict() == {
        "requests": 2,
        "entries": 5,
        "states": {"MODIFIED": 2, "UNCHANGED": 1, "CREATED": 1, "NOTFOUND": 1},
        "triggers": 2,
        "invalid_properties": 1,
    }


def test_created_profile_is_found_by_a_refinement_only_after_the_lag(tenant: _Tenant) -> None:
    tenant.faults.blueconic = BlueConicSettings(index_lag_s=600)
    tenant.write(_new(_rule("crm_id", "crm-new")))
    refinement = Refinement('{"property": "lastmodifieddate", "operator": "IN_RANGE", "fromDate": "2026-11-23T12:01Z"}')

    at_once = tenant.state.page("seg-all", refinement=refinement, after="", count=10)[1]
    tenant.write(_by("crm_id", "nobody"))
    tenant._now += timedelta(minutes=10)
    later = tenant.state.page("seg-all", refinement=refinement, after="", count=10)[1]

    assert (at_once, later) == (0, 1)

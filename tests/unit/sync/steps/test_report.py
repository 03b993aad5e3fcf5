"""The report says what a run did, with counters that add up."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary
from airflow_provider_braze_blueconic.sync.steps.counters import Report, make_report
from airflow_provider_braze_blueconic.sync.steps.report_text import describe_warnings, render
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

SNAPSHOT = SnapshotRef(
    uri="s3://b/snapshot", profiles=1_300, segment_id="x", segment_name="VIP customers", segment_size=1_300,
    read="full", complete=True, as_of="2026-11-01T00:00:00+00:00", bytes=1, property_types={},
)  # fmt: skip
MAPPED = MappedRef(
    uri="s3://b/mapped", people=1_250, skipped={"no_identifier": 20, "no_consent": 30},
    warnings={"Time: zone: bad_date": 7, "x: too_long": 7, "y: not_an_integer": 9},
    warning_sources={"Time: zone": "Braze docs, B", "x": "Braze docs, A", "y": "Braze docs, C"},
    as_of="2026-11-01T00:00:00+00:00", complete=True, partitions=8, property_types={},
)  # fmt: skip
DELTA = DeltaRef(
    uri="s3://b/delta-1", delta_id="1", run_key="r", as_of="2026-11-01T00:00:00+00:00", ledger_partitions=8,
    partitions=[0], send_partitions=[0], people_by_partition={"0": 100}, inserts=60, changes=30, leavers=10,
    to_send=100, unchanged=1_150, stale=10, fields=150, clears=5, data_points=140, members=1_200, policy="",
    new_fields=[], seen=0, held=0, quarantined=0, drifted=0, unstuck=0, absent=0, drift={}, links=None, relinked=False,
)  # fmt: skip


def upload(began: str, ended: str, **counts: int) -> UploadRef:
    plain = {"partition": 0, "requests": 2, "accepted": 0, "rejected": 0, "unknown": 0, "rate_limited": 1}
    return UploadRef(
        **{**plain, **counts},  # type: ignore[typeddict-item]
        seconds=0.0,
        started_at=f"2026-11-01T{began}+00:00",
        finished_at=f"2026-11-01T{ended}+00:00",
    )


RECEIPTS = ReceiptSummary(100, {"accepted": 90, "rejected": 8, "unknown": 2}, {"no good": 8, "timeout": 2})
NO_RECEIPTS = ReceiptSummary(0, {}, {})


def told(**outcomes: int) -> ReceiptSummary:
    return ReceiptSummary(sum(outcomes.values()), outcomes, {"no good": 8, "timeout": 2})


def report(**how: Any) -> Report:
    plain: dict[str, Any] = {
        "goal_id": "vip", "run_key": "r", "snapshot": SNAPSHOT, "mapped": MAPPED, "delta": DELTA, "passed": True,
        "dry_run": False, "uploads": [upload("02:00:00", "02:00:10")], "committed": True,
        "receipts": RECEIPTS,
    }  # fmt: skip
    return make_report(**{**plain, **how})


def test_a_report_holds_the_counters_of_every_step() -> None:
    assert report() == {
        "goal_id": "vip", "run_key": "r", "status": "success", "skipped_because": "", "dry_run": False,
        "segment": "VIP customers", "read": "full", "as_of": "2026-11-01T00:00:00+00:00", "replayed": False,
        "complete": True, "whole": True, "profiles": 1_300,
        "broken_lines": 0, "people": 1_250, "skipped": {"no_identifier": 20, "no_consent": 30},
        "warnings": {"Time: zone: bad_date": 7, "x: too_long": 7, "y: not_an_integer": 9},
        "warning_sources": {"Time: zone": "Braze docs, B", "x": "Braze docs, A", "y": "Braze docs, C"},
        "left_out": {}, "new_fields": [], "new_properties": [],
        "inserts": 60, "changes": 30, "leavers": 10, "unchanged": 1_150, "seen": 0, "held": 0, "stale": 10,
        "quarantined": 0, "drifted": 0, "unstuck": 0, "absent": 0, "drift": {},
        "to_send": 100, "fields": 150, "clears": 5, "data_points": 140,
        "requests": 2, "rate_limited": 1, "proven": True, "accepted": 90, "not_accepted": 10, "unsent": 0,
        "not_found": 0, "no_consent": 0, "rejected": {"no good": 8, "timeout": 2}, "refused_fields": {}, "unknown": 2,
        "sent_before": 0, "repeated_pages": 0,
        "seconds": 10.0, "people_per_second": 9.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "status", "unsent", "not_accepted"),
    [
        pytest.param({}, "success", 0, 10, id="everybody has an outcome"),
        pytest.param({"receipts": told(accepted=100)}, "success", 0, 0, id="all accepted"),
        pytest.param({"receipts": told(accepted=90)}, "incomplete", 10, 10, id="some were not sent"),
        pytest.param(
            {"receipts": told(accepted=60, not_found=20, no_consent=20)}, "success", 0, 40, id="not all were taken"
        ),
        pytest.param({"committed": False}, "incomplete", 0, 10, id="not committed"),
        pytest.param({"passed": False, "receipts": NO_RECEIPTS, "committed": False}, "stopped", 100, 100, id="guard said no"),
        pytest.param({"dry_run": True, "receipts": NO_RECEIPTS, "committed": False}, "success", 0, 0, id="dry run"),
        pytest.param(
            {"dry_run": True, "passed": False, "receipts": NO_RECEIPTS, "committed": False}, "stopped", 0, 0,
            id="dry run that the guard stopped",
        ),
    ],
)  # fmt: skip
@pytest.mark.promise(3)
def test_a_run_is_only_a_success_when_everybody_has_an_outcome(
    how: dict[str, Any], status: str, unsent: int, not_accepted: int
) -> None:
    found = report(**how)

    assert (found["status"], found["unsent"], found["not_accepted"]) == (status, unsent, not_accepted)


def test_a_run_that_failed_at_its_first_step_has_a_report_too() -> None:
    found = report(
        snapshot=None, mapped=None, delta=None, uploads=[], receipts=NO_RECEIPTS, passed=False, committed=False
    )  # fmt: skip

    assert (found["status"], found["segment"], found["complete"], found["to_send"]) == ("stopped", "", False, 0)
    assert (found["seconds"], found["people_per_second"]) == (0.0, 0.0)


NOT_DONE: dict[str, Any] = {
    "snapshot": None, "mapped": None, "delta": None, "uploads": [], "receipts": NO_RECEIPTS, "passed": False,
    "committed": False,
}  # fmt: skip


def test_a_run_that_had_nothing_to_do_says_why_first() -> None:
    found = report(**NOT_DONE, skipped_because="nothing is kept of that day.")

    assert found["status"] == "skipped"
    assert render(found)[:3] == [
        ("status", "skipped"),
        ("because", "nothing is kept of that day."),
        ("dry run", "no"),
    ]


def test_a_replayed_date_says_how_old_its_data_are() -> None:
    replayed = report(snapshot={**SNAPSHOT, "replayed": True})

    assert replayed["replayed"] is True
    assert ("kept snapshot of", "2026-11-01T00:00:00+00:00") in render(replayed)
    assert "kept snapshot of" not in dict(render(report()))


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        pytest.param([("02:00:00", "02:00:10")], 10.0, id="one"),
        pytest.param([("02:00:00", "02:00:10"), ("02:00:00", "02:00:10")], 10.0, id="side by side"),
        pytest.param([("02:00:05", "02:00:12"), ("02:00:00", "02:00:10")], 12.0, id="overlapping"),
        pytest.param([("02:00:00", "02:00:10"), ("02:00:02", "02:00:03")], 10.0, id="one inside the other"),
        pytest.param([("02:00:00", "02:00:10"), ("03:00:00", "03:00:05")], 15.0, id="with a pause"),
    ],
)
def test_the_time_of_a_run_is_that_in_which_something_was_sent(spans: list[tuple[str, str]], seconds: float) -> None:
    found = report(uploads=[upload(*span) for span in spans])

    assert (found["seconds"], found["requests"]) == (seconds, 2 * len(spans))
    assert found["people_per_second"] == round(90 / seconds, 1)


def test_a_report_reads_as_a_table_for_people() -> None:
    rows = render(report())

    assert rows == [
        ("status", "success"),
        ("dry run", "no"),
        ("segment", "VIP customers"),
        ("read", "full"),
        ("profiles read", "1,300"),
        ("people mapped", "1,250"),
        ("skipped", "50"),
        ("  no_consent", "30"),
        ("  no_identifier", "20"),
        ("values left out", "23"),
        ("  y: not_an_integer", "9"),
        ("  Time: zone: bad_date", "7"),
        ("  x: too_long", "7"),
        ("new", "60"),
        ("changed", "30"),
        ("left the segment", "10"),
        ("unchanged", "1,150"),
        ("stale, not sent", "10"),
        ("people to send", "100"),
        ("fields to send", "150"),
        ("  that clear a value", "5"),
        ("data points", "140"),
        ("requests", "2"),
        ("accepted", "90"),
        ("not accepted", "10"),
        ("  no good", "8"),
        ("  timeout", "2"),
        ("  with unknown outcome", "2"),
        ("without an answer", "0"),
        ("seconds", "10.0"),
        ("people/s", "9"),
    ]


def test_a_report_says_when_nothing_was_sent_and_when_the_read_may_lack_people() -> None:
    rows = dict(render(report(dry_run=True, snapshot={**SNAPSHOT, "complete": False})))

    assert (rows["dry run"], rows["read"]) == ("yes, nothing was sent", "full, not known to be all")


def test_each_kind_of_value_left_out_comes_with_its_rule() -> None:
    assert describe_warnings(report()) == [
        "Time: zone: bad_date: 7 people. Braze docs, B",
        "x: too_long: 7 people. Braze docs, A",
        "y: not_an_integer: 9 people. Braze docs, C",
    ]


# An import


IMPORTED: dict[str, Any] = {
    "snapshot": {**SNAPSHOT, "broken_lines": 3, "rejects_uri": "s3://b/rejects.jsonl", "files": 2},
    "mapped": {
        **MAPPED,
        "new_properties": {"braze_vip": {"name": "Braze vip", "filter_type": "SELECT"}, "braze_a": {}},
        "left_out": {"custom_attributes.x": 'BlueConic has no property "x".'},
    },
    "delta": {**DELTA, "seen": 40, "held": 7, "new_fields": ["braze_vip"], "data_points": 0},
    "receipts": ReceiptSummary(
        100,
        {"accepted": 70, "not_found": 12, "no_consent": 9, "rejected": 5, "unknown": 4},
        {"no good": 5, "timeout": 4},
        {"points": 3, "email": 8},
    ),
}


@pytest.mark.promise(3)
def test_a_report_of_an_import_tells_who_was_not_found_and_what_was_refused() -> None:
    found = report(**IMPORTED)

    assert (found["accepted"], found["not_found"], found["no_consent"], found["unknown"]) == (70, 12, 9, 4)
    assert (found["not_accepted"], found["unsent"], found["status"]) == (30, 0, "success")
    assert found["rejected"] == {"no good": 5, "timeout": 4}
    assert found["refused_fields"] == {"points": 3, "email": 8}


def test_a_report_of_an_import_tells_what_is_new_and_what_was_left_out() -> None:
    found = report(**IMPORTED)

    assert (found["broken_lines"], found["seen"], found["held"]) == (3, 40, 7)
    assert (found["new_fields"], found["new_properties"]) == (["braze_vip"], ["braze_a", "braze_vip"])
    assert found["left_out"] == {"custom_attributes.x": 'BlueConic has no property "x".'}


def test_what_happens_in_few_goals_has_a_row_only_where_it_happened() -> None:
    rows = render(report(**IMPORTED))

    told_of = {label for label, _ in render(report())}
    assert [row for row in rows if row[0] not in told_of] == [
        ("broken lines", "3"),
        ("fields left out", "1"),
        ("new field", "braze_vip"),
        ("new property", "braze_a"),
        ("new property", "braze_vip"),
        ("already there, not sent", "40"),
        ("held, nothing changed", "7"),
        ("without single fields", "11"),
        ("  email", "8"),
        ("  points", "3"),
        ("not found", "12"),
        ("without consent", "9"),
    ]
    assert ("not accepted", "9") in rows


@pytest.mark.parametrize(
    ("step", "found", "row"),
    [
        pytest.param("mapped", {"left_out": {"a": "Why.", "b": "Why."}}, ("fields left out", "2"), id="left out"),
        pytest.param("delta", {"new_fields": ["Shoe size"]}, ("new field", "Shoe size"), id="field"),
        pytest.param("mapped", {"new_properties": {"size": {}}}, ("new property", "size"), id="property"),
    ],
)  # fmt: skip
def test_each_kind_of_news_about_fields_is_told_without_the_others(
    step: str, found: dict[str, Any], row: tuple[str, str]
) -> None:
    plain = render(report())

    rows = render(report(**{step: {**{"mapped": MAPPED, "delta": DELTA}[step], **found}}))

    assert [each for each in rows if each not in plain] == [row]
    assert [each for each in rows if each != row] == plain


def test_every_new_field_and_property_is_named_however_many_there_are() -> None:
    names = [f"field {number:02}" for number in range(60)]

    rows = render(
        report(
            mapped={**MAPPED, "new_properties": {name: {} for name in reversed(names)}},
            delta={**DELTA, "new_fields": names},
        )
    )

    assert [name for label, name in rows if label == "new field"] == names
    assert [name for label, name in rows if label == "new property"] == names


def test_news_about_fields_stands_between_what_was_read_and_who_changed() -> None:
    labels = [label for label, _ in render(report(**IMPORTED))]

    assert labels[labels.index("  x: too_long") : labels.index("new") + 1] == [
        "  x: too_long", "fields left out", "new field", "new property", "new property", "new",
    ]  # fmt: skip


def test_a_field_that_no_property_takes_is_told_with_the_values_left_out() -> None:
    assert describe_warnings(report(**IMPORTED))[-1] == 'custom_attributes.x: BlueConic has no property "x".'


def test_pages_that_were_asked_for_again_are_shown() -> None:
    found = report(snapshot={**SNAPSHOT, "repeated_pages": 2})

    assert dict(render(found))["pages asked for again"] == "2"
    assert "pages asked for again" not in dict(render(report()))


def test_a_report_counts_whose_texts_were_repaired() -> None:
    found = report(snapshot={**SNAPSHOT, "repaired": 4})

    assert found["repaired"] == 4
    assert ("repaired: half a character", "4") in render(found)

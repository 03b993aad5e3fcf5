"""What part receipts tell of each person."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary, summarise
from airflow_provider_braze_blueconic.sync.state.told_receipts import OPEN_INTENT, best_receipts, settled_identifiers
from tests.support.core import engine, person
from tests.support.receipts import part, receipt


@pytest.mark.promise(2)
@pytest.mark.parametrize(("repeatable", "settled"), [(True, ["a", "b"]), (False, ["a", "b", "c"])])
def test_a_retry_leaves_out_who_has_an_outcome(tmp_path: Path, repeatable: bool, settled: list[str]) -> None:
    path = part(tmp_path, "first", receipt("a"), receipt("b", "rejected"), receipt("c", "unknown"))

    with duckdb.connect() as connection:
        rows = connection.execute(settled_identifiers([path], repeatable=repeatable)).fetchall()

    assert sorted(identifier for (identifier,) in rows) == [person(who) for who in settled]


@pytest.mark.promise(2)
def test_a_retry_holds_what_cannot_be_repeated_and_may_have_been_sent(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        *[receipt("killed", "intended")],
        *[receipt("done-nothing", "intended"), receipt("done-nothing", "withdrawn", minute=1)],
        *[receipt("done", "intended"), receipt("done", "accepted", minute=1)],
        *[receipt("lost", "intended"), receipt("lost", "unknown", "lost", minute=1)],
        *[receipt("again", outcome, minute=n) for n, outcome in enumerate(["intended", "withdrawn", "intended"])],
        receipt("gone", "not_found", "nobody"),
        receipt("refused", "no_consent", "no"),
    )

    with duckdb.connect() as connection:
        settled = {
            repeatable: sorted(
                json.loads(identifier)["external_id"]
                for (identifier,) in connection.execute(settled_identifiers([path], repeatable=repeatable)).fetchall()
            )
            for repeatable in (True, False)
        }

    assert settled[True] == ["done", "gone", "refused"]
    assert settled[False] == ["again", "done", "gone", "killed", "lost", "refused"]


@pytest.mark.promise(2)
def test_a_clock_that_was_set_back_does_not_withdraw_an_intent(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        receipt("a", "intended", minute=10),
        receipt("a", "withdrawn", minute=11),
        receipt("a", "intended", minute=5),
    )

    assert summarise(engine(tmp_path), [path]).outcomes == {"unknown": 1}


def test_an_intent_that_nothing_followed_is_an_unknown_outcome_with_a_reason(tmp_path: Path) -> None:
    path = part(tmp_path, "first", receipt("a", "intended"), receipt("b", "intended"), receipt("b", "withdrawn"))

    summary = summarise(engine(tmp_path), [path])

    assert summary == ReceiptSummary(1, {"unknown": 1}, {OPEN_INTENT: 1})


def test_the_best_receipt_tells_reason_and_refused_fields(tmp_path: Path) -> None:
    first = part(tmp_path, "first", receipt("a", "unknown", "lost"), receipt("b", "no_consent", "no consent"))
    second = part(tmp_path, "second", receipt("a")._replace(refused_fields=("city",), reason="city: bad"))

    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM ({best_receipts([first, second])}) ORDER BY identifier").fetchall()

    assert rows == [
        (person("a"), 2, "accepted", "city: bad", 201, ["city"]),
        (person("b"), 1, "no_consent", "no consent", 201, None),
    ]


def test_parts_of_an_older_version_are_still_read(tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(part(tmp_path, "first", receipt("a"))).drop_columns(["refused_fields"]), old)
    new = part(tmp_path, "second", receipt("b"))

    assert summarise(engine(tmp_path), [old]).outcomes == {"accepted": 1}
    assert summarise(engine(tmp_path), [old, new]).outcomes == {"accepted": 2}

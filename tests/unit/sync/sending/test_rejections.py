"""How many people may be refused: the upload and the report of one run say the same."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.sending.rejections import too_many_rejected
from airflow_provider_braze_blueconic.sync.sending.seam import Reply
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ImportGoalOf, Run

PEOPLE = 46


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


class Vague(BlueConic):
    """Says nothing of some people, and does not know others."""

    unanswered: frozenset[str] = frozenset()

    async def send(self, body: bytes) -> Reply:
        reply = await super().send(body)
        who = [entry["matching"][0][0]["value"] for entry in json.loads(body)]
        unanswered = tuple(position for position, one in enumerate(who) if one in self.unanswered)
        return replace(reply, unanswered=unanswered)


def run(home: Path, *, unknown: int = 0, not_found: int = 0, percent: float, last: str = "report") -> Run:
    names = [f"u{number}" for number in range(PEOPLE)]
    blueconic = Vague(*({"crm_id": [name]} for name in names[not_found:]), types={"n": "RANGE"})
    blueconic.unanswered = frozenset(names[len(names) - unknown :])
    goal = ImportGoalOf(
        "g",
        Braze(**{name: {"n": 1} for name in names}),
        blueconic,
        [("custom_attributes.n", "n", {"merge": "sum", "of": "value"})],
    )
    one = Run(home, goal, day(1), limits={"rejected_percent": percent})
    return one.run(last=last)


SEEN = (
    "1 of 46 people were not accepted (2.17 %, 1 of them with an unknown outcome), more than "
    "limits.rejected_percent = 2. What the target accepted is kept; the next run retries the others. The receipts "
    "table says why."
)


def test_one_unknown_outcome_of_46_is_the_same_share_while_sending_and_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded) as sending:
        run(tmp_path / "sending", unknown=1, percent=2)
    within = run(tmp_path / "end", unknown=1, percent=3, last="commit")
    within._limits = {"rejected_percent": 2}
    with pytest.raises(LimitExceeded) as reporting:
        within.run()

    assert str(sending.value) == f"g partition 0: {SEEN}"
    assert str(reporting.value) == f"g: {SEEN}"


@pytest.mark.parametrize("percent", [0, 1])
def test_people_who_are_not_found_are_sent_and_not_rejected(tmp_path: Path, percent: float) -> None:
    done = run(tmp_path, not_found=45, percent=percent)

    assert (done.report["not_found"], done.report["accepted"]) == (45, 1)


def test_people_who_are_not_found_count_among_those_who_were_sent(tmp_path: Path) -> None:
    done = run(tmp_path, not_found=45, unknown=1, percent=3)

    assert (done.report["not_found"], done.report["unknown"], done.report["status"]) == (45, 1, "success")


@pytest.mark.parametrize(
    ("counts", "percent", "stops"),
    [
        ({"rejected": 0, "unknown": 0, "sent": 0}, 0, False),
        ({"rejected": 0, "unknown": 0, "sent": 9}, 0, False),
        ({"rejected": 1, "unknown": 0, "sent": 10_000}, 0, True),
        ({"rejected": 1, "unknown": 0, "sent": 100}, 1, False),
        ({"rejected": 1, "unknown": 1, "sent": 100}, 1, True),
        ({"rejected": 0, "unknown": 2, "sent": 100}, 1, True),
        ({"rejected": 9, "unknown": 0, "sent": 9}, 100, False),
        ({"rejected": 9, "unknown": 0, "sent": 9}, None, False),
    ],
)
def test_the_limit_itself_is_allowed(counts: dict[str, Any], percent: float | None, stops: bool) -> None:
    assert isinstance(too_many_rejected("g", **counts, percent=percent), LimitExceeded) is stops

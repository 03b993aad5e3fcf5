"""People with odd texts go through a whole night, and cost nobody else anything."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Verdict
from tests.support.nights import Night, profile, table


class Target:
    """Takes everybody but one, of whom it says something odd."""

    def __init__(self) -> None:
        self.got: dict[str, str] = {}

    async def send(self, body: bytes) -> Reply:
        for person in json.loads(body.decode("utf-8", "strict"))["attributes"]:
            self.got[person["external_id"]] = person.get("first_name", "")
        return Reply(Verdict.READ_ENTRIES, 201)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Ann \ud83d", "Ann \ufffd"),
        ("\ud83d\ude00", "😀"),
        ("nul\0nul", "nul\0nul"),
        ("\uffff\ufdd0", "\uffff\ufdd0"),
    ],
)
def test_a_person_with_an_odd_text_is_sent_with_the_others_and_only_once(tmp_path: Path, name: str, sent: str) -> None:
    people = [profile("c1", first_name="Bea"), profile("c2", first_name=name), profile("c\ud83d", first_name="Cas")]
    target = Target()
    moment = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)

    night = Night(tmp_path, "r1", people, moment, target)
    night.run()
    again = Night(tmp_path, "r2", people, moment + dt.timedelta(days=1), Target())
    again.run()

    assert target.got == {"c1": "Bea", "c2": sent, "c\ufffd": "Cas"}
    assert (night.report["status"], night.report["accepted"], again.report["to_send"]) == ("success", 3, 0)
    assert len(table(tmp_path, "ledger")) == 3

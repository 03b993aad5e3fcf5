"""What is left behind by a crash between two writes, and what the next attempt makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError
from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import (
    ExportMarker,
    ask_once,
    read_marker,
    write_marker,
)
from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import Candidate
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from tests.support.staging import LocalStaging

FRESH = ExportMarker("seg-1", "VIP", "fingerprint")


@dataclass
class Braze:
    """Remembers what was saved before each question, and answers as told."""

    answer: str | Exception | None = "uuid-100"
    saved: list[ExportMarker] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def ask(self) -> str | None:
        self.asked.append(len(self.saved))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def run(self, marker: ExportMarker, now: float = 100.0, found: Sequence[Candidate] = ()) -> ExportMarker:
        return ask_once(marker, save=self.saved.append, candidates=lambda: found, ask=self.ask, now=now)


def test_question_is_written_down_before_it_is_put_and_the_answer_after() -> None:
    braze = Braze()

    marker = braze.run(FRESH)

    assert braze.asked == [1]
    assert [saved.questions for saved in braze.saved] == [(100.0,), ()]
    assert braze.saved[-1] == marker
    assert (marker.object_prefix, marker.asked_at) == ("uuid-100", 100.0)


def test_export_whose_answer_was_lost_is_found_again_and_not_asked_for_twice() -> None:
    braze = Braze()
    killed = ExportMarker("seg-1", "VIP", "fingerprint", questions=(100.0,))

    marker = braze.run(killed, now=500.0, found=[Candidate("uuid-101", 100.0)])

    assert braze.asked == []
    assert (marker.object_prefix, marker.asked_at, marker.questions) == ("uuid-101", 100.0, ())


@pytest.mark.promise(2)
def test_an_older_copy_of_the_task_does_not_ask_and_leaves_its_question_for_the_newer_one() -> None:
    braze = Braze()

    def check() -> None:
        assert braze.saved[-1].questions == (100.0,)
        raise Superseded("a newer one")

    with pytest.raises(Superseded):
        ask_once(FRESH, save=braze.saved.append, candidates=lambda: (), ask=braze.ask, now=100.0, check=check)

    assert braze.asked == []
    assert braze.saved[-1].questions == (100.0,)


def test_without_a_question_of_ours_no_folder_is_taken_for_ours() -> None:
    marker = Braze("uuid-500").run(FRESH, now=500.0, found=[Candidate("foreign-499", 499.0)])

    assert marker.object_prefix == "uuid-500"


def test_of_two_folders_that_could_be_ours_none_is_taken() -> None:
    killed = ExportMarker("seg-1", "VIP", "fingerprint", questions=(100.0,))
    found = [Candidate("uuid-101", 100.0), Candidate("uuid-102", 100.0)]

    marker = Braze("uuid-500").run(killed, now=500.0, found=found)

    assert marker.object_prefix == "uuid-500"


def test_refusal_leaves_no_question_that_another_folder_could_answer() -> None:
    braze = Braze(None)

    marker = braze.run(FRESH)

    assert marker.object_prefix is None
    assert braze.saved[-1].questions == ()


def test_refused_key_leaves_no_question_either() -> None:
    braze = Braze(AccessError("no"))

    with pytest.raises(AccessError):
        braze.run(FRESH)

    assert braze.saved[-1].questions == ()


def test_lost_answer_keeps_its_question_and_those_before() -> None:
    braze = Braze(TransientError("reset"))
    killed = ExportMarker("seg-1", "VIP", "fingerprint", questions=(100.0,))

    with pytest.raises(TransientError):
        braze.run(killed, now=500.0)

    assert braze.saved[-1].questions == (100.0, 500.0)


def test_marker_comes_back_as_it_was_written(tmp_path: Path) -> None:
    marker = ExportMarker("s", "n", "r", 12, (1.5, 2.0), "p", 3.0)
    uri = GoalFolder(str(tmp_path), "goal").export_marker("run-1")

    write_marker(LocalStaging(), uri, marker)

    assert uri == f"{tmp_path}/goal/work/run-1/export.json"
    assert read_marker(LocalStaging(), uri) == marker


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"segment_id": "s"}'])
def test_marker_that_can_not_be_read_is_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "export.json").write_bytes(content)

    assert read_marker(LocalStaging(), str(tmp_path / "export.json")) is None

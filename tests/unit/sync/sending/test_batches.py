"""Records are cut into full requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.sending.batches import Batch, Outgoing, cut
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits
from tests.support.targets import AFTER, BEFORE, people

ENVELOPE = len(BEFORE) + len(AFTER)


def sizes(batches: list[Batch]) -> list[int]:
    return [len(batch.records) for batch in batches]


def body(batch: Batch) -> bytes:
    """The request as the send loop builds it."""
    return BEFORE + b",".join(record.body for record in batch.records) + AFTER


def test_a_request_holds_75_people_and_the_last_one_the_rest() -> None:
    batches = list(cut(people(160), BatchLimits(75, 4_000_000), envelope_bytes=ENVELOPE))

    assert sizes(batches) == [75, 75, 10]


def test_nobody_to_send_is_no_request() -> None:
    assert list(cut([], BatchLimits(75, 4_000_000), envelope_bytes=ENVELOPE)) == []


def test_a_request_ends_before_it_has_too_many_bytes() -> None:
    records = [Outgoing(str(number), b"x" * 40) for number in range(10)]

    batches = list(cut(records, BatchLimits(75, ENVELOPE + 3 * 41), envelope_bytes=ENVELOPE))

    assert sizes(batches) == [3, 3, 3, 1]


def test_a_record_larger_than_a_request_travels_alone() -> None:
    small, large = Outgoing("small", b"x" * 10), Outgoing("large", b"x" * 5_000)

    batches = list(cut([small, large, small, small], BatchLimits(75, 1_000), envelope_bytes=ENVELOPE))

    assert [[record.identifier for record in batch.records] for batch in batches] == [
        ["small"],
        ["large"],
        ["small", "small"],
    ]


@given(
    lengths=st.lists(st.integers(0, 60), max_size=200),
    objects=st.integers(1, 10),
    body_bytes=st.integers(ENVELOPE + 1, 300),
)
def test_nothing_is_lost_or_moved_and_no_limit_is_broken(lengths: list[int], objects: int, body_bytes: int) -> None:
    records = [Outgoing(str(number), b"x" * length) for number, length in enumerate(lengths)]

    batches = list(cut(records, BatchLimits(objects, body_bytes), envelope_bytes=ENVELOPE))

    assert [record for batch in batches for record in batch.records] == records
    assert all(1 <= len(batch.records) <= objects for batch in batches)
    assert all(len(batch.records) == 1 or len(body(batch)) <= body_bytes for batch in batches)


@given(count=st.integers(2, 200))
def test_two_halves_are_the_whole_and_neither_is_empty(count: int) -> None:
    batch = Batch(tuple(people(count)), tries=3)

    first, second = batch.halves()

    assert first.records + second.records == batch.records
    assert first.records
    assert second.records
    assert (first.tries, second.tries) == (0, 0)


def test_a_batch_knows_whether_all_of_it_can_be_repeated() -> None:
    plain, sums = people(3), people(1, first=3, repeatable=False)

    first, second = Batch((*plain, *sums)).halves()

    assert Batch((*plain, *sums)).repeatable is False
    assert (first.repeatable, second.repeatable) == (True, False)


def test_a_person_is_not_shown() -> None:
    record = Outgoing('{"external_id":"secret"}', b'{"external_id":"secret"}')

    assert "secret" not in repr(record)
    assert "secret" not in repr(Batch((record,)))

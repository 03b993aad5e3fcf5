"""Records are cut into full requests."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.sending.batches import Batch, cut
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing, Rows
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits
from tests.support.targets import AFTER, BEFORE, in_rows, people

ENVELOPE = len(BEFORE) + len(AFTER)


def sizes(batches: list[Batch]) -> list[int]:
    return [len(batch.records) for batch in batches]


def body(batch: Batch) -> bytes:
    """The request as the send loop builds it."""
    return b"".join((BEFORE, batch.records.content(), AFTER))


def test_a_request_holds_75_people_and_the_last_one_the_rest() -> None:
    batches = list(cut(in_rows(people(160)), BatchLimits(75, 4_000_000), envelope_bytes=ENVELOPE))

    assert sizes(batches) == [75, 75, 10]


def test_nobody_to_send_is_no_request() -> None:
    assert list(cut([], BatchLimits(75, 4_000_000), envelope_bytes=ENVELOPE)) == []


def test_a_request_ends_before_it_has_too_many_bytes() -> None:
    records = [Outgoing(str(number), b"x" * 40) for number in range(10)]

    batches = list(cut(in_rows(records), BatchLimits(75, ENVELOPE + 3 * 41), envelope_bytes=ENVELOPE))

    assert sizes(batches) == [3, 3, 3, 1]


def test_a_record_larger_than_a_request_travels_alone() -> None:
    small, large = Outgoing("small", b"x" * 10), Outgoing("large", b"x" * 5_000)

    batches = list(cut(in_rows([small, large, small, small]), BatchLimits(75, 1_000), envelope_bytes=ENVELOPE))

    assert [[record.identifier for record in batch.records] for batch in batches] == [
        ["small"],
        ["large"],
        ["small", "small"],
    ]


RECORDS = st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=200)


def one_by_one(records: list[Outgoing], limits: BatchLimits) -> list[list[Outgoing]]:
    """The same cuts, made record by record."""
    batches: list[list[Outgoing]] = []
    size = 0
    for record in records:
        length = len(record.body) + 1
        if not batches or len(batches[-1]) == limits.objects or size + length > limits.body_bytes:
            batches.append([])
            size = ENVELOPE
        batches[-1].append(record)
        size += length
    return batches


@given(lengths=RECORDS, objects=st.integers(1, 10), body_bytes=st.integers(ENVELOPE + 1, 300), chunk=st.integers(1, 40))
def test_columns_are_cut_as_records_are_one_by_one(
    lengths: list[tuple[int, bool]], objects: int, body_bytes: int, chunk: int
) -> None:
    records = [Outgoing(str(number), b"x" * length, repeatable) for number, (length, repeatable) in enumerate(lengths)]
    limits = BatchLimits(objects, body_bytes)

    batches = list(cut(in_rows(records, at_a_time=chunk), limits, envelope_bytes=ENVELOPE))

    expected = one_by_one(records, limits)
    assert [list(batch.records) for batch in batches] == expected
    assert [body(batch) for batch in batches] == [
        BEFORE + b",".join(record.body for record in records) + AFTER for records in expected
    ]
    assert [batch.repeatable for batch in batches] == [all(r.repeatable for r in records) for records in expected]
    assert [batch.records.identifiers.to_pylist() for batch in batches] == [
        [record.identifier for record in records] for records in expected
    ]


@given(lengths=RECORDS, objects=st.integers(1, 10), body_bytes=st.integers(ENVELOPE + 1, 300))
def test_nothing_is_lost_or_moved_and_no_limit_is_broken(
    lengths: list[tuple[int, bool]], objects: int, body_bytes: int
) -> None:
    records = [Outgoing(str(number), b"x" * length, repeatable) for number, (length, repeatable) in enumerate(lengths)]

    batches = list(cut(in_rows(records), BatchLimits(objects, body_bytes), envelope_bytes=ENVELOPE))

    assert list(itertools.chain.from_iterable(batch.records for batch in batches)) == records
    assert all(1 <= len(batch.records) <= objects for batch in batches)
    assert all(len(batch.records) == 1 or len(body(batch)) <= body_bytes for batch in batches)


@given(count=st.integers(2, 200))
def test_two_halves_are_the_whole_and_neither_is_empty(count: int) -> None:
    batch = Batch(Rows.of(people(count)), tries=3)

    first, second = batch.halves()

    assert [*first.records, *second.records] == list(batch.records)
    assert len(first.records) > 0
    assert len(second.records) > 0
    assert (first.tries, second.tries) == (0, 0)


def test_a_batch_knows_whether_all_of_it_can_be_repeated() -> None:
    plain, sums = people(3), people(1, first=3, repeatable=False)

    first, second = Batch(Rows.of((*plain, *sums))).halves()

    assert Batch(Rows.of((*plain, *sums))).repeatable is False
    assert (first.repeatable, second.repeatable) == (True, False)


def test_a_person_is_not_shown() -> None:
    record = Outgoing('{"external_id":"secret"}', b'{"external_id":"secret"}')

    assert "secret" not in repr(record)
    assert "secret" not in repr(Batch(Rows.of((record,))))
    assert "secret" not in repr(Rows.of((record,)))


def test_a_batch_without_some_records_holds_the_others() -> None:
    batch = Batch(Rows.of(people(4)))

    rest = batch.without({0, 2})

    assert rest is not None
    assert list(rest.records) == [people(4)[1], people(4)[3]]
    assert batch.without(range(4)) is None


def test_a_batch_that_waits_does_not_keep_the_memory_of_all_records_around_it() -> None:
    rows = Rows.of(people(10_000))
    batch = Batch(rows[5_000:5_075], tries=2)

    waiting = batch.alone()

    assert list(waiting.records) == people(75, first=5_000)
    assert waiting.tries == 2
    assert waiting.records.bodies.get_total_buffer_size() < rows.bodies.get_total_buffer_size() / 50


def test_a_position_outside_the_rows_is_no_record() -> None:
    with pytest.raises(IndexError):
        Rows.of(people(3))[3]

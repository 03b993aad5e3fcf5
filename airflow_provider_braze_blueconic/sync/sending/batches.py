"""Full requests: as many records as a request may hold, by number and by bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from operator import attrgetter

from airflow_provider_braze_blueconic.sync.sending.rows import Rows
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits

__all__ = ["Batch", "cut"]

_REPEATABLE = attrgetter("repeatable")


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one request.

    :param records: in the order in which the server will number them.
    :param tries: attempts so far that ended without a verdict on the records.
    :param repeatable: all of its records are.
    """

    records: Rows
    tries: int = 0
    repeatable: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "repeatable", self.records.all_repeatable)

    def __repr__(self) -> str:
        return f"Batch({len(self.records)} records, {self.tries} tries)"

    def alone(self) -> Batch:
        """Return the batch in memory of its own: it may wait for long, and shares its memory with thousands."""
        return replace(self, records=Rows.of(self.records))

    def halves(self) -> tuple[Batch, Batch]:
        """Split the batch in two, to find out which half holds the bad record."""
        middle = len(self.records) // 2
        return Batch(self.records[:middle]), Batch(self.records[middle:])

    def without(self, positions: Collection[int]) -> Batch | None:
        """Return the batch without some of its records, not tried yet; ``None`` if nothing is left."""
        others = [record for position, record in enumerate(self.records) if position not in positions]
        return Batch(Rows.of(others)) if others else None

    def repeatable_rest(self) -> Batch | None:
        """Return the batch without what can't be repeated, tried as often; ``None`` if nothing is left."""
        if self.repeatable:
            return self
        rest = list(filter(_REPEATABLE, self.records))
        return Batch(Rows.of(rest), self.tries) if rest else None


def cut(chunks: Iterable[Rows], limits: BatchLimits, *, envelope_bytes: int) -> Iterator[Batch]:
    """Cut records into batches that are as full as the limits allow.

    A record that is larger than a whole request travels alone, so that the server can say so.

    :param chunks: records, however they are divided.
    :param envelope_bytes: bytes of a body without records.
    """
    room = limits.body_bytes - envelope_bytes
    rest: Rows | None = None
    for chunk in chunks:
        start = 0
        while rest is not None and start < len(chunk):
            # What was left over goes first, with as many of these as a batch still takes.
            begun = Rows.joined(rest, chunk[start : start + limits.objects - len(rest)])
            stop = begun.fitting(0, objects=limits.objects, content_bytes=room)
            is_open = stop == len(begun) < limits.objects
            start += stop - len(rest)
            rest = begun if is_open else None
            if not is_open:
                yield Batch(begun[:stop])
        while start < len(chunk):
            stop = chunk.fitting(start, objects=limits.objects, content_bytes=room)
            if stop == len(chunk) < start + limits.objects:
                rest = chunk[start:]
            else:
                yield Batch(chunk[start:stop])
            start = stop
    if rest is not None:
        yield Batch(rest)

"""Records in columns: what is sent of thousands of people without a Python object for each of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Outgoing", "Rows"]


class Outgoing(NamedTuple):
    """One record on its way.

    :param identifier: the person, as JSON text.
    :param body: JSON text of the record in the request.
    :param repeatable: sending it twice leaves the target as sending it once does; false for what is added to a number.
    """

    identifier: str
    body: bytes
    repeatable: bool = True

    def __repr__(self) -> str:
        return f"Outgoing({len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Rows(Sequence[Outgoing]):
    """Records that follow each other in columns. A slice shares them; a record is made when somebody asks for it.

    :param identifiers: texts.
    :param bodies: texts, each followed by a comma: what a request holds is a piece of the column as it lies in memory.
    :param repeatable: booleans; ``None`` if all are.
    """

    identifiers: pa.StringArray
    bodies: pa.StringArray
    repeatable: pa.BooleanArray | None = None

    @classmethod
    def of(cls, records: Iterable[Outgoing]) -> Rows:
        """Put records into columns."""
        import pyarrow as pa

        listed = list(records)
        identifiers = pa.array([record.identifier for record in listed], pa.string())
        bodies = pa.array([record.body + b"," for record in listed], pa.binary()).view(pa.string())
        repeatable = pa.array([record.repeatable for record in listed], pa.bool_())
        return cls(identifiers, bodies, None if all(record.repeatable for record in listed) else repeatable)

    @classmethod
    def joined(cls, first: Rows, second: Rows) -> Rows:
        """Put rows one after the other."""
        import pyarrow as pa

        flags = [first.repeatable, second.repeatable]
        if any(flag is not None for flag in flags):
            pairs = zip(flags, (first, second), strict=True)
            flags = [pa.repeat(True, len(rows)) if flag is None else flag for flag, rows in pairs]
        return cls(
            pa.concat_arrays([first.identifiers, second.identifiers]),
            pa.concat_arrays([first.bodies, second.bodies]),
            None if flags[0] is None else pa.concat_arrays(flags),
        )

    def __repr__(self) -> str:
        return f"Rows({len(self)})"

    def __len__(self) -> int:
        return len(self.bodies)

    @overload
    def __getitem__(self, position: int) -> Outgoing: ...
    @overload
    def __getitem__(self, position: slice) -> Rows: ...
    def __getitem__(self, position: int | slice) -> Outgoing | Rows:
        if isinstance(position, slice):
            start, stop, _ = position.indices(len(self))
            return self.between(start, max(start, stop))
        body = self.bodies[position].as_buffer().to_pybytes()[:-1]
        repeatable = self.repeatable is None or self.repeatable[position].as_py()
        return Outgoing(self.identifiers[position].as_py(), body, repeatable)

    def __iter__(self) -> Iterator[Outgoing]:
        return map(self.__getitem__, range(len(self)))

    def between(self, start: int, stop: int) -> Rows:
        """Return the rows from one position to before another."""
        count = stop - start
        flags = None if self.repeatable is None else self.repeatable.slice(start, count)
        return Rows(self.identifiers.slice(start, count), self.bodies.slice(start, count), flags)

    @property
    def all_repeatable(self) -> bool:
        """All of the records may be sent twice."""
        return self.repeatable is None or self.repeatable.false_count == 0

    def content(self) -> memoryview:
        """Return the bodies with commas between them, without a copy."""
        ends = self._ends()
        return memoryview(self.bodies.buffers()[2])[ends[0] : ends[-1] - 1]

    def fitting(self, start: int, *, objects: int, content_bytes: int) -> int:
        """Say up to which position records fit into a request that begins at another; one always does.

        :param content_bytes: for the bodies with a comma after each.
        """
        ends = self._ends()
        stop = min(start + objects, len(self))
        if ends[stop] - ends[start] > content_bytes:
            stop = bisect_right(ends, ends[start] + content_bytes, start, stop) - 1
        return max(stop, start + 1)

    def _ends(self) -> memoryview:
        """Return where each body ends in the column's memory, after where the first begins."""
        offset = self.bodies.offset
        return memoryview(self.bodies.buffers()[1]).cast("i")[offset : offset + len(self.bodies) + 1]

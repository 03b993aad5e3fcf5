"""What this process and one that reads files of a segment export say to each other, over pipes."""

from __future__ import annotations

from typing import IO, Any, TypeVar

import msgspec

from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import BrokenLines, ReadBatch

__all__ = ["Answer", "Batch", "FileDone", "FileFailed", "FileTask", "Ready", "receive", "send"]

_LENGTH_BYTES = 8
_encode = msgspec.msgpack.Encoder().encode
_Message = TypeVar("_Message")


class FileTask(msgspec.Struct):
    """Read this file.

    :param name: what messages call it.
    """

    name: str
    path: str


class Ready(msgspec.Struct, tag=True):
    """The process has started."""


class Batch(msgspec.Struct, tag=True):
    """The next batch of the file, see :class:`~.segment_export_batches.ReadBatch`; its rows as an Arrow stream."""

    rows: bytes
    lines: int
    size: int
    repaired: int
    broken: BrokenLines
    kinds: dict[str, list[str]]

    @classmethod
    def of(cls, batch: ReadBatch) -> Batch:
        """Pack what was read."""
        import pyarrow as pa

        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, batch.rows.schema) as writer:
            writer.write_batch(batch.rows)
        rows = stream.getvalue().to_pybytes()
        return cls(rows, batch.lines, batch.size, batch.repaired, batch.broken, batch.kinds)

    def unpacked(self) -> ReadBatch:
        """Unpack it."""
        import pyarrow as pa

        rows = pa.ipc.open_stream(self.rows).read_next_batch()
        return ReadBatch(rows, self.lines, self.size, self.repaired, self.broken, self.kinds)


class FileDone(msgspec.Struct, tag=True):
    """The file was read to its end."""


class FileFailed(msgspec.Struct, tag=True):
    """The file can't be read.

    :param error: class of :mod:`~airflow_provider_braze_blueconic.exceptions`.
    """

    error: str
    text: str


Answer = Ready | Batch | FileDone | FileFailed


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message."""
    content = _encode(message)
    stream.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes], decoder: msgspec.msgpack.Decoder[_Message]) -> _Message | None:
    """Read the next message; ``None`` if the other side has ended."""
    length = int.from_bytes(head, "big") if len(head := stream.read(_LENGTH_BYTES)) == _LENGTH_BYTES else None
    if length is None or len(content := stream.read(length)) < length:
        return None
    return decoder.decode(content)

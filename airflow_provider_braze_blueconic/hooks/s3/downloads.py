"""Objects as local files: a small one with one request, a large one in parts side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.sync.store.paths import fresh_id

__all__ = ["PART_BYTES", "download"]

PART_BYTES = 8 * 1024**2
"""Above this boto fetches an object in parts side by side (``multipart_threshold`` of its ``TransferConfig``)."""

_CHUNK_BYTES = 1024**2


def download(client: Any, bucket: str, key: str, local: Path) -> int:
    """Download an object; the file appears only when it is complete.

    The first answer tells how large the object is. So a small one takes one request, while boto always asks for the
    size first. A large one, and one whose answer broke off, is left to boto, which repeats what it has to.

    :param client: boto's.
    :return: bytes.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    answer = client.get_object(Bucket=bucket, Key=key)
    with closing(answer["Body"]) as body:
        if answer.get("ContentLength", 0) <= PART_BYTES:
            try:
                with _appearing(local) as unfinished, unfinished.open("wb") as file:
                    for chunk in body.iter_chunks(_CHUNK_BYTES):
                        file.write(chunk)
                return local.stat().st_size
            except (HTTPClientError, IncompleteReadError):
                pass
    client.download_file(bucket, key, str(local))
    return local.stat().st_size


@contextmanager
def _appearing(local: Path) -> Iterator[Path]:
    """Give another name for a file, which gets its own at the end of the block."""
    unfinished = local.with_name(f"{local.name}.{fresh_id()}")
    try:
        yield unfinished
        unfinished.replace(local)
    finally:
        unfinished.unlink(missing_ok=True)

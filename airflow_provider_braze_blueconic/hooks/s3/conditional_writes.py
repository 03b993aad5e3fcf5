"""Whether a store supports ``If-None-Match``, on which table commits and the lock rely."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.store.paths import fresh_id, store_folder, store_mark

__all__ = ["check_conditional_writes"]


class _Store(Protocol):
    def read_bytes(self, uri: str) -> bytes: ...

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool: ...

    def delete(self, uris: Iterable[str]) -> None: ...


def check_conditional_writes(store: _Store, uri: str, *, endpoint: str, place: str, remember: bool) -> None:
    """Try the condition on a small object, unless a mark says that this store was tried in this folder.

    :param uri: a folder in which this connection may write.
    :param endpoint: of the store; it tells stores apart.
    :param place: address and connection, for the sentence.
    :param remember: leave that mark if all went well.
    :raises AccessError: the store does not heed it.
    """
    folder = store_folder(uri)
    mark = store_mark(uri)
    endpoint = hashlib.sha256(endpoint.encode()).hexdigest()
    # Somebody else's writing in the mark costs one more try.
    with suppress(FileNotFoundError, ValueError, AttributeError):
        if json.loads(store.read_bytes(mark)).get("endpoint") == endpoint:
            return
    if _is_replaced(store, f"{folder}probe-{fresh_id()}"):
        raise AccessError(
            f"{place}: choose a store that supports the condition If-None-Match, as Amazon S3 does. This one "
            "overwrote an existing object despite that condition, so with two concurrent writers, one would lose "
            "what the target acknowledged. Nothing was sent."
        )
    if remember:
        store.write_bytes(mark, json.dumps({"endpoint": endpoint}).encode())


def _is_replaced(store: _Store, probe: str) -> bool:
    try:
        # That the first says no means that its own repetition met it.
        store.write_bytes(probe, b"first", if_absent=True)
        return store.write_bytes(probe, b"second", if_absent=True)
    finally:
        with suppress(AccessError, TransientError, UnexpectedAnswer):
            store.delete([probe])

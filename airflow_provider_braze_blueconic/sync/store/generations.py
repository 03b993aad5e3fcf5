"""The generations of a goal's lock, as objects: the highest one is the lock."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.store.lock_document import LockDocument, parse_lock
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import StagedFile, Staging

__all__ = ["Found", "Generations"]

_ROUNDS = 20
"""Looks for the newest one. Each round some run got on, so only a crowd gets through all of them."""

_NAME = re.compile(r"/(\d{8,})\.json$")


@dataclass(frozen=True)
class Found:
    """The lock as it was found."""

    generation: int
    uri: str
    document: LockDocument


class Generations:
    """The objects of one goal's lock."""

    def __init__(self, staging: Staging, folder: GoalFolder) -> None:
        self._staging = staging
        self._folder = folder

    def newest(self, at_least: int) -> Found | None:
        """Find the highest generation; ``None`` if nobody has the lock.

        :param at_least: generation that was there before, whether or not it is listed.
        :raises UnexpectedAnswer: it can't be read.
        """
        for _ in range(_ROUNDS):
            listed = self._listed()
            newest = max([at_least, *listed])
            document = self.read(self._uri(newest)) if newest else None
            # A store's listing may lag behind its objects.
            while (later := self.read(self._uri(newest + 1))) is not None:
                newest, document = newest + 1, later
            if document is not None:
                return Found(newest, self._uri(newest), document)
            if newest not in listed:
                return None
            # Removed since it was listed: there is a newer one.
        raise TransientError(
            f"{self._folder.lock}: the lock of goal {self._folder.goal_id} disappears whenever it is read."
        )

    def create(self, generation: int, document: LockDocument) -> bool:
        """Create a generation, unless another run is quicker."""
        if not self.write(generation, document, if_absent=True):
            return False
        listed = self._listed()
        # Who looked long ago may create one that others have had, and removed, meanwhile.
        if max(listed, default=generation) > generation:
            self._staging.delete([self._uri(generation)])
            return False
        with suppress(SyncError):  # what is left is removed by the next owner
            self._staging.delete([staged.uri for number, staged in listed.items() if number < generation])
        return True

    def write(self, generation: int, document: LockDocument, *, if_absent: bool = False) -> bool:
        """Write a generation; ``False`` if it is to be new and is not."""
        content = json.dumps(asdict(document), indent=1).encode()
        return self._staging.write_bytes(self._uri(generation), content, if_absent=if_absent)

    def read(self, uri: str) -> LockDocument | None:
        """Read one object; ``None`` if it is gone."""
        try:
            content = self._staging.read_bytes(uri)
        except FileNotFoundError:
            return None
        return parse_lock(content, uri, self._folder.goal_id)

    def _listed(self) -> dict[int, StagedFile]:
        listed = self._staging.list_objects(self._folder.lock)
        return {int(name[1]): staged for staged in listed if (name := _NAME.search(staged.uri))}

    def _uri(self, generation: int) -> str:
        return self._folder.lock_generation(generation)

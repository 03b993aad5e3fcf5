"""Where a run finds the people of the last one, so that it need not map whom that has mapped.

::

    <staging>/<goal id>/people.json    {"mapping": how, "as_of": of which read, "uri": of the mapped snapshot}

It only saves work: where it is gone, or what it names has expired, everybody is mapped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.sync.mapping.recognised import PEOPLE, people_files
from airflow_provider_braze_blueconic.sync.store.paths import people_folder
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["KnownPeople"]


@dataclass(frozen=True)
class KnownPeople:
    """What the goal noted of the last mapped snapshot that was mapped in one way.

    :param mapping: fingerprint of the mapping.
    :param noted: ``None`` if there is no such snapshot.
    """

    workspace: Workspace
    mapping: str
    noted: Mapping[str, str] | None

    @classmethod
    def of(cls, workspace: Workspace, mapping: str) -> KnownPeople:
        """Read what is noted."""
        try:
            noted = json.loads(workspace.staging.read_bytes(workspace.folder.people))
        except FileNotFoundError:
            return cls(workspace, mapping, None)
        return cls(workspace, mapping, noted if noted["mapping"] == mapping else None)

    def fetch(self, folder: Path) -> list[Path]:
        """Fetch its people; none if there is no such snapshot.

        :param folder: gets the files.
        """
        if self.noted is None:
            return []
        fetch_folder(self.workspace.staging, people_folder(self.noted["uri"]), folder / PEOPLE)
        return people_files(folder)

    def note(self, uri: str, *, as_of: str) -> None:
        """Say where a mapped snapshot lies. One of an older read does not take the place of a newer one."""
        if self.noted is None or self.noted["as_of"] <= as_of:
            document = {"mapping": self.mapping, "as_of": as_of, "uri": uri}
            self.workspace.staging.write_bytes(self.workspace.folder.people, json.dumps(document).encode())

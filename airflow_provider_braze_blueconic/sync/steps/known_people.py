"""Where a run finds the people of the last one, so that it need not map whom that has mapped.

::

    <staging>/<goal id>/people.json    {"mapping": how, "as_of": of which read, "uri": of the mapped snapshot}

It only saves work: where it is gone, or what it names has expired, everybody is mapped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.sync.mapping.recognised import PEOPLE, people_files
from airflow_provider_braze_blueconic.sync.store.paths import people_folder
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["known_people", "note_people"]


def known_people(workspace: Workspace, mapping: str, folder: Path) -> list[Path]:
    """Fetch the people of the last mapped snapshot that was mapped in this way; none if there is no such.

    :param mapping: fingerprint of the mapping.
    :param folder: gets the files.
    """
    noted = _noted(workspace)
    if noted is None or noted["mapping"] != mapping:
        return []
    fetch_folder(workspace.staging, people_folder(noted["uri"]), folder / PEOPLE)
    return people_files(folder)


def note_people(workspace: Workspace, mapping: str, uri: str, *, as_of: str) -> None:
    """Say where a mapped snapshot lies. One of an older read does not take the place of a newer one.

    :param mapping: fingerprint of the mapping.
    """
    noted = _noted(workspace)
    if noted is None or noted["mapping"] != mapping or noted["as_of"] <= as_of:
        document = {"mapping": mapping, "as_of": as_of, "uri": uri}
        workspace.staging.write_bytes(workspace.folder.people, json.dumps(document).encode())


def _noted(workspace: Workspace) -> dict[str, Any] | None:
    try:
        noted: dict[str, Any] = json.loads(workspace.staging.read_bytes(workspace.folder.people))
    except FileNotFoundError:
        return None
    return noted

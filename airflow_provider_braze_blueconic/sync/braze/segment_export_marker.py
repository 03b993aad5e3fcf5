"""What a run knows about its segment export: a small object in S3 that outlives the task.

A question to Braze can't be taken back and must not be put twice, so it is written down before it is put::

    1. the marker is written with the time in ``questions``     a crash here: Braze was not asked
    2. POST /users/export/segment                               a crash here: Braze may work, we don't know where
    3. the marker is written with ``object_prefix``             a crash here: as after 2
    4. wait, read                                               a crash here: the next attempt waits for the same export

After a crash between 1 and 3 the folder is looked for in the bucket by the time in its name. A refusal of which it is
certain that nothing was started takes its time out of ``questions`` again, so that nobody else's folder is taken for
the answer.

Two copies of the task may be here at once, as after the kill of a worker whose task lives on
(:mod:`~airflow_provider_braze_blueconic.sync.store.fence`). The older one looks between 1 and 2 whether it is still the
newest: either it finds the newer one and does not ask, or the newer one finds its question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError
from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import Candidate
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["ExportMarker", "ask_once", "read_marker", "write_marker"]


@dataclass(frozen=True)
class ExportMarker:
    """The export of one run.

    :param segment_id: Braze's id of the segment.
    :param segment_name: its name.
    :param request: fingerprint of what was asked for.
    :param estimate: people in the segment as Braze estimated them before; ``None`` if it does not say.
    :param questions: Unix seconds of each question whose answer we never learnt.
    :param object_prefix: the folder in which the files appear.
    :param asked_at: Unix seconds; the data are as old as that.
    """

    segment_id: str
    segment_name: str
    request: str
    estimate: int | None = None
    questions: tuple[float, ...] = ()
    object_prefix: str | None = None
    asked_at: float | None = None


def ask_once(
    marker: ExportMarker,
    *,
    save: Callable[[ExportMarker], None],
    candidates: Callable[[], Sequence[Candidate]],
    ask: Callable[[], str | None],
    now: float,
    check: Callable[[], None] = lambda: None,
) -> ExportMarker:
    """Find the export that an attempt before this one asked for, or else ask for one.

    :param marker: as it was left, without an ``object_prefix``.
    :param save: writes the marker; it has returned before Braze is asked.
    :param candidates: folders in the bucket that can be the answer to the marker's ``questions``.
    :param ask: asks Braze, and returns the folder of the export; ``None`` where Braze refused because it works at an
        export of the segment already.
    :param now: Unix seconds.
    :param check: raises if another copy of the task has begun, so that this one must not ask.
    :return: the marker with its ``object_prefix``; without one, if it is not our turn.
    :raises SyncError: as ``ask`` does.
    """
    found = candidates() if marker.questions else ()
    # Of two folders one is somebody else's, and nothing tells which: neither is taken, Braze is asked again.
    if len(found) == 1:
        adopted = replace(marker, object_prefix=found[0].object_prefix, asked_at=found[0].asked_at, questions=())
        save(adopted)
        return adopted
    save(replace(marker, questions=(*marker.questions, now)))
    check()
    try:
        answer = ask()
    except (AccessError, GoalError):
        save(marker)
        raise
    if answer is None:
        # Killed before this line, the question stays, and the next attempt could take the other's folder for the
        # answer: its time has to fit within minutes, it has to be alone, and what is in it has to fit the request.
        save(marker)
        return marker
    asked = replace(marker, object_prefix=answer, asked_at=now, questions=())
    save(asked)
    return asked


def write_marker(staging: Staging, uri: str, marker: ExportMarker) -> None:
    """Write the marker over the one before."""
    staging.write_bytes(uri, json.dumps(asdict(marker)).encode())


def read_marker(staging: Staging, uri: str) -> ExportMarker | None:
    """Read the marker; ``None`` if there is none, or none that this version understands."""
    try:
        content = json.loads(staging.read_bytes(uri))
        known = {name.name for name in fields(ExportMarker)}
        marker = ExportMarker(**{name: value for name, value in content.items() if name in known})
        return ExportMarker(**{**asdict(marker), "questions": tuple(marker.questions)})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None

"""The renaming of a goal: the new id takes over its state, so that nothing is sent and paid for again.

A goal says ``renamed_from: <old id>``. The first step of its first run copies, inside S3, what the goal knew under its
old id; from then on the old id can't run any more.

::

    <staging>/<new id>/renamed.json   from where the state came, and whether all of it is there
    <staging>/<old id>/moved.json     where the state went; the goal of this id stops with an error that says so

What is copied: the tables, the marks of open uploads with the work files that these name, the marks of finished files,
the entries of kept snapshots, ``sum-strategy``, and what other goals are told of this one's reads. Snapshots and other
work files stay where they are, and what names them goes on naming them there.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["settle_name"]

log = logging.getLogger(__name__)

_STATE = ("ledger/", "receipts/", "runs/", "files/", "snapshots/", "sum-strategy")
"""What is copied as it is. The lock is not: it belongs to a name."""

_SHOWS_STATE = ("ledger/_delta_log/", "receipts/_delta_log/", "open/")
_SHOWS_RUNS = "runs/_delta_log/"
"""A run that sent nothing, such as a dry run, leaves only this."""

_COPIES_AT_ONCE = 8
"""Objects that are copied side by side: a table of a year has thousands of small ones, each some 50 ms of waiting."""


def settle_name(
    staging: Staging,
    folder: GoalFolder,
    renamed_from: str | None,
    *,
    hold: Callable[[GoalFolder], AbstractContextManager[None]],
) -> bool:
    """See to it, before a step does anything, that the goal's state lies under its id.

    :param folder: of the goal as it is called now.
    :param renamed_from: its old id, if it had one.
    :param hold: holds the lock of the old goal, so that none of its runs is at work while its state is taken over.
    :return: whether anything was taken over.
    :raises GoalError: if the state of this id went to another goal; if there is nothing to take over, or two states.
    :raises GoalBusy: if a run of the old goal is at work.
    """
    moved = _read(staging, folder.moved)
    if moved is not None and moved["to"] != renamed_from:
        raise _refusal("id", _has_moved(folder, moved))
    if renamed_from is None:
        return False
    old = GoalFolder(folder.staging, renamed_from)
    taken = _read(staging, folder.renamed) or {}
    began = taken.get("from") == renamed_from
    if began and taken["done"] and moved is None:
        return False
    if not began and moved is None and not _is_to_take_over(staging, folder, old):
        return False
    with hold(old):
        theirs = _read(staging, old.renamed) or {}
        if moved is not None and theirs.get("from") == folder.goal_id and not theirs["done"]:
            _take_back(staging, folder, old)
            return False
        _take_over(staging, folder, old)
    return True


def _is_to_take_over(staging: Staging, folder: GoalFolder, old: GoalFolder) -> bool:
    """Look, before anything is written, whether there is one state and not two or none.

    :raises GoalError: in all other cases but one: a goal that has a state, and whose old one is gone, needs nothing.
    """
    has_own = _has_any(staging, folder, _SHOWS_STATE)
    if not _has_any(staging, old, (*_SHOWS_STATE, _SHOWS_RUNS)):
        if has_own:
            log.warning("%s: %s/ is empty, so there is nothing to take over; the goal continues with its own "
                        "ledger. You can remove renamed_from", folder.goal_id, old.root)  # fmt: skip
            return False
        raise _refusal("renamed_from", _nothing_there(staging, folder, old))
    gone_to = _read(staging, old.moved)
    if gone_to is not None and gone_to["to"] != folder.goal_id:
        raise _refusal("renamed_from", _has_moved(old, gone_to))
    if has_own:
        raise _refusal(
            "renamed_from",
            f'both "{old.goal_id}" and "{folder.goal_id}" have a ledger or receipts, in {old.root}/ and '
            f"{folder.root}/, and one can't replace the other. Nothing was sent. If {folder.goal_id}'s own state "
            f"is right, remove renamed_from; if that of {old.goal_id} is right, move {folder.root}/ away first.",
        )
    return True


def _take_over(staging: Staging, folder: GoalFolder, old: GoalFolder) -> None:
    """Copy the state of the old goal; from the start, if an earlier run was killed on the way.

    The order is that of the marks. From the first one on, no run of the new goal works with what is there; from the
    second one on, none of the old goal changes what is copied; the third one comes when everything is there. A kill
    between any two leaves the old state whole, and the next run begins again with the first.
    """
    if not _has_any(staging, old, (*_SHOWS_STATE, _SHOWS_RUNS)):
        # Also when an earlier run began: what is here may be all that there is.
        here = f" To continue with what is in {folder.root}/, delete {folder.moved} and remove renamed_from."
        raise _refusal("renamed_from", _nothing_there(staging, folder, old) + here)
    now = dt.datetime.now(dt.UTC).isoformat()
    _write(staging, folder.renamed, {"from": old.goal_id, "done": False, "at": now})
    mark = json.dumps({"to": folder.goal_id, "at": now}).encode()
    if not staging.write_bytes(old.moved, mark, if_absent=True):
        moved = _read(staging, old.moved) or {}
        if moved.get("to") != folder.goal_id:
            raise _refusal("renamed_from", _has_moved(old, moved))
    # What is there was never used, or was taken over by the old goal before it got its present name back.
    _clear(staging, folder)
    copied = 0
    for part in _STATE:
        prefix = f"{old.root}/{part}"
        copied += _copy(staging, {uri: folder.root + uri.removeprefix(old.root) for uri in _uris(staging, prefix)})
    for uri in _uris(staging, old.open_uploads):
        copied += _copy_open_upload(staging, folder, old, uri)
    _move_observations(staging, folder, old)
    staging.delete([folder.moved])
    _write(staging, folder.renamed, {"from": old.goal_id, "done": True, "at": now})
    log.info("%s: took over the state of %s, %s objects; the goal continues from there",
             folder.goal_id, old.goal_id, f"{copied:,}")  # fmt: skip


def _take_back(staging: Staging, folder: GoalFolder, other: GoalFolder) -> None:
    """Undo a taking over that never came to its end: here is the whole state, and there a part of a copy.

    The mark there goes last: as long as it says that the copy is not whole, nothing is taken over from it.
    """
    _move_observations(staging, folder, other)
    _clear(staging, other)
    staging.delete([folder.moved])
    staging.delete([other.renamed])
    log.info("%s: %s hadn't taken over everything; the goal continues with its own state", folder.goal_id,
             other.goal_id)  # fmt: skip


def _clear(staging: Staging, folder: GoalFolder) -> None:
    staging.delete([uri for part in (*_STATE, "open/") for uri in _uris(staging, f"{folder.root}/{part}")])


def _copy_open_upload(staging: Staging, folder: GoalFolder, old: GoalFolder, uri: str) -> int:
    """Copy the files of an upload that was not committed, then its mark, which names them."""
    delta = json.loads(staging.read_bytes(uri))
    here = folder.root + delta["uri"].removeprefix(old.root)
    copied = _copy(
        staging, {there: here + there.removeprefix(delta["uri"]) for there in _uris(staging, f"{delta['uri']}/")}
    )
    _write(staging, f"{folder.open_uploads}{uri.removeprefix(old.open_uploads)}", {**delta, "uri": here})
    return copied + 1


def _move_observations(staging: Staging, folder: GoalFolder, old: GoalFolder) -> None:
    """Tell other goals of this goal's reads under its new name. Under the old one they would count twice."""
    prefix = f"{folder.observations}/{old.goal_id}."
    notes = _uris(staging, prefix)
    _copy(staging, {uri: f"{folder.observations}/{folder.goal_id}.{uri.removeprefix(prefix)}" for uri in notes})
    staging.delete(notes)


def _copy(staging: Staging, uris: Mapping[str, str]) -> int:
    """Copy objects, some at once.

    :param uris: source → target.
    """
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        for _ in pool.map(staging.copy_object, uris.keys(), uris.values()):
            pass
    return len(uris)


def _uris(staging: Staging, prefix: str) -> list[str]:
    return [staged.uri for staged in staging.list_objects(prefix)]


def _has_any(staging: Staging, folder: GoalFolder, parts: Sequence[str]) -> bool:
    return any(_uris(staging, f"{folder.root}/{part}") for part in parts)


def _read(staging: Staging, uri: str) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(staging.read_bytes(uri))
    except FileNotFoundError:
        return None
    return document


def _write(staging: Staging, uri: str, document: Mapping[str, Any]) -> None:
    staging.write_bytes(uri, json.dumps(document).encode())


def _refusal(where: str, message: str) -> GoalError:
    return GoalError([Problem(where, message)])


def _has_moved(folder: GoalFolder, moved: Mapping[str, Any]) -> str:
    at = dt.datetime.fromisoformat(moved["at"])
    return (
        f'the state of "{folder.goal_id}" went to "{moved["to"]}" on {at:%Y-%m-%d %H:%M} UTC, when that goal took '
        f"it over (`renamed_from`). Nothing was sent. If the goal is now called {moved['to']}, remove the goal "
        f"file with the id {folder.goal_id}; to give the goal its old name back, add `renamed_from: {moved['to']}` "
        f"to it; for a new goal, choose an unused id, or move {folder.root}/ away first."
    )


def _nothing_there(staging: Staging, folder: GoalFolder, old: GoalFolder) -> str:
    known = {
        uri.removeprefix(f"{folder.observations}/").partition(".")[0]
        for uri in _uris(staging, f"{folder.observations}/")
    }
    return (
        f'"{old.goal_id}" left nothing in {old.root}/ to take over. Nothing was sent. Correct the old id or its '
        f"`staging`; a new goal needs no renamed_from.{nearest(old.goal_id, known - {folder.goal_id})}"
    )

"""Where the product keeps what a measurement drives directly: the only module here that knows more than one layout.

Most measurements drive goal files, the DAGs made of them, and their tasks, which are the same in every build. What is
left is below those: a part of a task that is measured without the rest of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["entry_point", "frame", "is_there", "segment_reader", "workspace"]

_PACKAGE = "airflow_provider_braze_blueconic"

_BRAZE_OBJECTS = ("sync.braze.objects", "sync.braze_objects")
_BLUECONIC_OBJECTS = ("sync.blueconic.objects", "sync.blueconic_objects")
_MODULES: Mapping[str, Sequence[str]] = {
    "BlueConicHook": ("hooks.blueconic",),
    "BlueConicSegmentToS3Operator": ("operators.blueconic_segment_to_s3", "operators.blueconic"),
    "BrazeHook": ("hooks.braze",),
    "Engine": ("sync.engine.database", "sync.database"),
    "GoalFolder": ("sync.store.paths", "sync.staging"),
    "PROFILES_LIMITS": ("hooks.blueconic_api.profile_writes", "hooks.blueconic_profiles"),
    "Rate": ("sync.sending.pacing", "sync.pacing"),
    "Segment": ("hooks.blueconic",),
    "TRACK_LIMITS": ("hooks.braze_api.track", "hooks.braze"),
    "UploadSettings": ("sync.sending.settings", "sync.upload"),
    "Workspace": ("sync.store.workspace", "sync.pipeline"),
    "attributes_sql": _BRAZE_OBJECTS,
    "profiles_sql": _BLUECONIC_OBJECTS,
    "reading_processes": ("sync.braze.segment_export_machine",),
    "upload_partition": ("sync.steps.upload", "sync.pipeline"),
    "write_export_snapshot": ("sync.braze.segment_export", "sync.braze_export"),
    "write_snapshot": ("sync.blueconic.snapshot", "sync.snapshot"),
}
"""Name → modules that had it, the newest first."""


def entry_point(name: str, modules: Sequence[str] = ()) -> Any:
    """Find a name in the product that is measured.

    :param modules: for a name that several modules have; else where it is known to have been.
    :raises ImportError: if this build has it somewhere else.
    """
    for module in modules or _MODULES[name]:
        found = _imported(module)
        if hasattr(found, name):
            return getattr(found, name)
    raise ImportError(f"{_PACKAGE} keeps {name} somewhere else; add the module to {__name__}")


def is_there(name: str) -> bool:
    """Tell whether this build has a name at all."""
    return any(hasattr(_imported(module), name) for module in _MODULES[name])


def frame(system: str) -> dict[str, bytes]:
    """Return what stands before and after the objects in a body, for ``braze`` or ``blueconic``."""
    modules = {"braze": _BRAZE_OBJECTS, "blueconic": _BLUECONIC_OBJECTS}[system]
    return {"before": entry_point("BODY_BEFORE", modules), "after": entry_point("BODY_AFTER", modules)}


def workspace(home: Path, goal_id: str) -> Any:
    """Make the workspace of a run whose staging is a local folder, ``staging`` in ``home``."""
    from tests.support.staging import LocalStaging

    folder = entry_point("GoalFolder")(str(home / "staging"), goal_id)
    engine = entry_point("Engine")(home / "work", memory_limit="1GB")
    return entry_point("Workspace")(LocalStaging(), folder, "run", engine)


def segment_reader(
    work: Any, home: Path, properties: Sequence[str], *, profiles: int, page_size: int
) -> Callable[[], int]:
    """Return a function that reads a segment of BlueConic into a snapshot, and returns how many profiles it read.

    The checks of names that come before a read are left out.

    :param work: a workspace.
    """
    hook, as_of = entry_point("BlueConicHook")(), dt.datetime.now(dt.UTC)
    operator = entry_point("BlueConicSegmentToS3Operator")
    if hasattr(operator, "_write"):
        task = operator(
            task_id="extract", goal_id="bench", staging=str(home), segment="seg", properties=list(properties)
        )
        segment = entry_point("Segment")("seg", "Segment", profiles)
        return lambda: task._write(work, hook, segment, str(home / "snapshot"), since=None, as_of=as_of).profiles
    write_snapshot = entry_point("write_snapshot")

    def read() -> int:
        with work.local("snapshot") as local:
            counts = write_snapshot(
                hook.iter_segment_profiles("seg", properties=properties, page_size=page_size),
                properties=properties,
                interaction_names=None,
                as_of=as_of,
                folder=local,
                publish=lambda path: work.staging.upload_file(path, f"{home}/snapshot/{path.name}"),
                label="bench",
            )
        return int(counts.profiles)

    return read


def _imported(module: str) -> Any:
    """Import a module; ``None`` if this build has none of this name, but not if it fails to load."""
    name = f"{_PACKAGE}.{module}"
    try:
        found = find_spec(name)
    except ModuleNotFoundError:
        return None
    return import_module(name) if found else None

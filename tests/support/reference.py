"""Write ``docs/reference.md`` from the docstrings and signatures of the public modules.

::

    python -m tests.support.reference docs/reference.md
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_origin

__all__ = ["PUBLIC_MODULES", "reference_page"]

PACKAGE = "airflow_provider_braze_blueconic"

PUBLIC_MODULES = (
    "operators.blueconic_segment_to_s3",
    "operators.braze_segment_to_s3",
    "operators.s3_csv_to_s3",
    "operators.look_at_braze",
    "operators.map_fields",
    "operators.compute_delta",
    "operators.guard",
    "operators.s3_to_braze_users",
    "operators.s3_to_blueconic_profiles",
    "operators.s3_to_s3_csv",
    "operators.commit_ledger",
    "operators.clean_up",
    "operators.sync_report",
    "operators.upload",
    "operators.targets",
    "operators.base",
    "operators.airflow_errors",
    "operators.flags",
    "triggers.segment_export",
    "triggers.segment_export_files",
    "goals",
    "dag_factory.dag",
    "dag_factory.dag_file",
    "dag_factory.placeholder",
    "goals.models",
    "hooks.blueconic",
    "hooks.braze",
    "hooks.staging",
    "exceptions",
    "cli.commands",
)

HEAD = """\
# Python reference

Generated from the code by `python -m tests.support.reference docs/reference.md`; a test compares both.

This page lists the public API. Everything else, `sync/` above all, can change without notice.
An argument marked *(templated)* may be a Jinja template or another task's `output`.
`dags/braze_blueconic_operators.py` and `dags/braze_blueconic_import_operators.py` show how to use the operators by
hand, one file for each direction.
Airflow retries a task that fails with `TransientError` or `WriterConflict`, according to the task's `retries`. With
`GoalBusy` the task waits for its turn. All other errors fail the task at once, because a retry wouldn't help.
The fields of goals are in [goal-file.md](goal-file.md), the commands in [cli.md](cli.md).
"""

_LONGEST_VALUE = 80


def reference_page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *(line for name in PUBLIC_MODULES for line in _module(name))])


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    yield f"## `{PACKAGE}.{name}`\n"
    yield f"{_first_paragraph(module)}\n"
    for entry in module.__all__:
        yield from _entry(entry, getattr(module, entry), own=module.__name__)


def _entry(name: str, value: Any, *, own: str) -> Iterator[str]:
    if inspect.isclass(value):
        yield f"### {name}\n"
        yield f"{_first_paragraph(value)}\n"
        if own.endswith(".models"):
            return
        yield from _arguments(value)
        yield from _methods(value)
    elif inspect.isfunction(value):
        yield f"### {name}\n"
        yield f"`{name}{_signature(value)}`\n"
        yield f"{_first_paragraph(value)}\n"
        yield from _table(_params(value), {})
    elif callable(value):
        yield f"### {name}\n"
        # A type alias has the docstring of typing's own machinery.
        yield "A type alias.\n" if get_origin(value) else f"{_first_paragraph(value)}\n"
    else:
        shown = repr(value)
        yield f"### {name}\n"
        yield f"`{shown}`\n" if len(shown) <= _LONGEST_VALUE else f"A constant of type `{type(value).__name__}`.\n"


def _arguments(kind: type) -> Iterator[str]:
    """Describe what the class adds to the arguments that every operator has."""
    init = vars(kind).get("__init__")
    if init is None or (is_dataclass(kind) and not _params(kind)):
        return
    # A class may describe arguments that it hands on to its own base.
    inits = [vars(base)["__init__"] for base in reversed(kind.__mro__) if "__init__" in vars(base)]
    taken = [parameter for each in inits for parameter in inspect.signature(each).parameters.values()]
    defaults = {parameter.name: parameter.default for parameter in taken}
    yield from _table(_params(kind), defaults)
    returns = re.search(r":return: (.*?)(?=\n\s*:|\Z)", inspect.getdoc(kind) or "", re.DOTALL)
    if returns:
        yield f"Returns {_text(returns[1])}\n"
    if own_base := next((base for base in kind.__mro__[1:] if base.__name__ == "GoalOperator"), None):
        yield f"Besides these, the arguments of [{own_base.__name__}](#goaloperator) and of every Airflow operator.\n"


def _table(params: list[tuple[str, str]], defaults: dict[str, Any]) -> Iterator[str]:
    if not params:
        return
    yield "| argument | default | meaning |"
    yield "|---|---|---|"
    for name, meaning in params:
        yield f"| `{name}` | {_default(defaults.get(name, inspect.Parameter.empty))} | {meaning} |"
    yield ""


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    return f"`{value.__module__}.{value.__name__}`" if callable(value) else f"`{value!r}`"


def _methods(kind: type) -> Iterator[str]:
    if not kind.__name__.endswith("Hook"):
        return
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            yield f"- `{name}{_signature(member)}`: {_first_paragraph(member)}"
    yield ""


class _Bare(str):
    """Text whose ``repr`` has no quotes: annotations are texts, and shown as they were written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_Bare(parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=_Bare(signature.return_annotation)))


def _params(value: Any) -> list[tuple[str, str]]:
    found = re.findall(r":param (\w+): (.*?)(?=\n\s*:|\n\n|\Z)", inspect.getdoc(value) or "", re.DOTALL)
    return [(name, _text(meaning)) for name, meaning in found]


def _first_paragraph(value: Any) -> str:
    return _text((inspect.getdoc(value) or "").split("\n\n")[0])


def _text(text: str) -> str:
    """Turn reST into Markdown, on one line."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    text = re.sub(r"\s+", " ", text.replace("``", "`")).strip()
    return text.replace("|", "\\|").removesuffix("::")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference_page(), encoding="utf-8")

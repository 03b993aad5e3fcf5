"""Write the rooms of the package, and the arrows between them, into ``docs/architecture.md``.

A room is a folder: one below ``sync/``, or another one of the package::

    python -m tests.support.rooms docs/architecture.md
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Set
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

__all__ = ["PACKAGE", "reduced", "room_of", "rooms", "with_rooms"]

PACKAGE = "airflow_provider_braze_blueconic"
BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"

DOOR = (f"{PACKAGE}.goals", f"{PACKAGE}.dag_factory.dag_file")
"""``from … goals import load_goals``, which opens when it is asked for."""


def room_of(module: str) -> str:
    """Name the room of a module; modules beside the rooms have none."""
    parts = module.split(".")[1:]
    depth = 2 if parts[:1] == ["sync"] else 1
    if parts[:depth] == ["sandbox"] and parts[1:2] == ["demo"]:
        return "sandbox/demo"
    return "/".join(parts[:depth]) if _is_folder(".".join(parts[:depth])) else ""


def _is_folder(name: str) -> bool:
    return bool(name) and name != "sync" and (_root() / name.replace(".", "/")).is_dir()


def _root() -> Path:
    return Path(str(importlib.import_module(PACKAGE).__file__)).parent


@cache
def rooms() -> Mapping[str, Set[str]]:
    """Room → the rooms that its modules import, also inside functions and for types; the highest room first."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    arrows: dict[str, set[str]] = {}
    for module in graph.modules:
        here = room_of(module)
        if here:
            arrows.setdefault(here, set())
            for other in graph.find_modules_directly_imported_by(module):
                there = room_of(other)
                if there and there != here and (module, other) != DOOR:
                    arrows[here].add(there)
    order = TopologicalSorter({name: sorted(arrows[name]) for name in sorted(arrows)}).static_order()
    return {name: arrows[name] for name in reversed(list(order))}


def reduced(arrows: Mapping[str, Set[str]]) -> Mapping[str, Set[str]]:
    """Leave out each arrow that a longer way implies, so that a picture can be read."""

    def reach(start: str) -> set[str]:
        return {start}.union(*(reach(other) for other in arrows[start]))

    return {
        name: {other for other in others if not any(other in reach(via) for via in others - {other})}
        for name, others in arrows.items()
    }


def with_rooms(page: str) -> str:
    """Give the page with today's rooms between its two marks."""
    arrows = rooms()
    lines = ["", "```mermaid", "flowchart TD"]
    lines += [f"    {_id(name)}[{name}]" for name in arrows]
    lines += [f"    {_id(name)} --> {_id(other)}" for name in arrows for other in sorted(reduced(arrows)[name])]
    lines += ["```", "", "| room | what lives there | imports |", "|---|---|---|"]
    lines += [
        f"| `{name}/` | {_sentence(name)} | {', '.join(f'`{other}`' for other in arrows if other in arrows[name])} |"
        for name in arrows
    ]
    before, after = page.split(BEGIN, maxsplit=1)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{after}"


def _id(name: str) -> str:
    return name.replace("/", "_")


def _sentence(name: str) -> str:
    module = importlib.import_module(f"{PACKAGE}.{name.replace('/', '.')}")
    first = str(module.__doc__).split("\n\n")[0]
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(first.split())).replace("``", "`")


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_rooms(file.read_text()))

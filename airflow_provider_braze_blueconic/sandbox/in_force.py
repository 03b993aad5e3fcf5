"""What a test has turned: the faults that are in force, with their counters, beside both services' settings."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.settings import BlueConicSettings
from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind, Service

__all__ = ["Faults"]


class _Watched:
    """A fault with its counters."""

    __slots__ = ("fault", "hits", "seen")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0


class Faults:
    """The faults in force and the settings of both services.

    :param seed: decides which requests a fault with a ``share`` hits.
    """

    def __init__(self, *, seed: int = 1) -> None:
        self.braze = BrazeSettings()
        self.blueconic = BlueConicSettings()
        self._seed = seed
        self._watched: list[_Watched] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Put faults in force; their counts start at 0."""
        with self._lock:
            self._watched.extend(_Watched(fault) for fault in faults)

    def clear(self) -> None:
        """Take back all faults; the settings stay."""
        with self._lock:
            self._watched.clear()

    def restore(self) -> None:
        """Give both services the settings that they began with; the faults stay."""
        self.braze, self.blueconic = BrazeSettings(), BlueConicSettings()

    def hits(self, kind: FaultKind | None = None) -> int:
        """Return how many requests have been hit by the faults in force, or by those of one kind."""
        with self._lock:
            return sum(watched.hits for watched in self._watched if kind in {None, watched.fault.kind})

    def draw(self, service: Service, *, method: str, path: str) -> list[Fault]:
        """Count a request and return the faults that hit it: every latency, and the first of another kind."""
        if not self._watched:
            return []
        with self._lock:
            return self._draw(service, method, path)

    def _draw(self, service: Service, method: str, path: str) -> list[Fault]:
        drawn: list[Fault] = []
        taken = False
        for place, watched in enumerate(self._watched):
            fault = watched.fault
            if fault.service != service or fault.method not in {"*", method} or not fnmatchcase(path, fault.path):
                continue
            count = watched.seen
            watched.seen += 1
            if taken and fault.kind != "latency":
                continue
            if not self._is_hit(watched, count, place):
                continue
            watched.hits += 1
            drawn.append(fault)
            taken = taken or fault.kind != "latency"
        return drawn

    def _is_hit(self, watched: _Watched, count: int, place: int) -> bool:
        fault = watched.fault
        if fault.times is not None and watched.hits >= fault.times:
            return False
        if count < fault.skip or (count - fault.skip) % fault.every:
            return False
        return fault.share >= 1.0 or random.Random(f"{self._seed}:{place}:{count}").random() < fault.share

    def configure(self, document: Mapping[str, Any]) -> None:
        """Apply the JSON document of ``POST /sandbox/faults``.

        Keys: ``clear`` (true drops all faults first), ``faults`` (list of objects with the fields of :class:`Fault`),
        ``braze`` and ``blueconic`` (the settings to change).

        :raises ValueError: on an unknown key or value; nothing has changed then.
        """
        unknown = set(document) - {"clear", "faults", "braze", "blueconic"}
        if unknown:
            raise ValueError(f"unknown keys {', '.join(sorted(unknown))}; known are clear, faults, braze, blueconic")
        try:
            faults = [Fault(**fault) for fault in document.get("faults", [])]
            braze = replace(self.braze, **document.get("braze", {}))
            blueconic = replace(self.blueconic, **document.get("blueconic", {}))
        except TypeError as error:
            raise ValueError(str(error)) from error
        if document.get("clear"):
            self.clear()
        self.braze, self.blueconic = braze, blueconic
        self.add(*faults)

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults in force with their counters, as plain values."""
        with self._lock:
            return [
                {
                    **{each.name: getattr(watched.fault, each.name) for each in fields(Fault)},
                    "seen": watched.seen,
                    "hits": watched.hits,
                }
                for watched in self._watched
            ]

"""Segment exports of the sandbox's Braze: files that appear in its bucket some time after the request.

Nothing in the bucket says that an export is complete, older exports and the dashboard's CSV files stand in the same
tree, and the folder's date is not that of the request: all as Braze's docs have it ("POST /users/export/segment" and
"Export troubleshooting", read 2026-11).
"""

from __future__ import annotations

import io
import random
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_braze_blueconic.sandbox.braze.export_files import (
    ENDINGS,
    Content,
    encode_user,
    export_key,
    outdated,
    pack,
    plan_parts,
)
from airflow_provider_braze_blueconic.sandbox.braze.export_requests import ExportRequest
from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.braze.user import User
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.s3.buckets import EXPORT_BUCKET

__all__ = ["ExportRefused", "SegmentExports"]

_STOP_SECONDS = 10.0
_OLDER = 20  # users in the older exports that stand in the same tree


class ExportRefused(Exception):
    """Braze does not start an export now; the text says why. Braze's own words are UNVERIFIED."""


@dataclass(frozen=True)
class _Export:
    """A running export."""

    request: ExportRequest
    prefix: str
    asked: datetime
    settings: BrazeSettings = field(repr=False)
    draw: random.Random = field(repr=False)

    def key(self, *, day: datetime, name: str) -> str:
        """Return the key of a part; Braze names it at random."""
        return export_key(self.settings, self.request.segment, f"{day:%Y-%m-%d}/{self.prefix}/{name}")


class SegmentExports:
    """Starts exports, one thread each, and remembers them.

    :param state: whose users are exported; each is read when its part is written.
    :param faults: its ``braze`` settings at the moment of the request decide how an export goes.
    :param client: makes the S3 client that writes the parts.
    :param clock: stamps exports and their folders; aware UTC.
    """

    def __init__(
        self,
        state: BrazeState,
        *,
        faults: Faults,
        client: Callable[[], Any],
        seed: int = 1,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._faults = faults
        self._make_client = client
        self._client: Any = None
        self._seed = seed
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._started: Counter[str] = Counter()
        self._planted: set[str] = set()

    def start(self, request: ExportRequest) -> str:
        """Begin an export and return its ``object_prefix``; nothing is written yet.

        :raises ExportRefused: while the segment is being exported, or too many segments are.
        """
        settings, now = self._faults.braze, self._clock()
        segment_id = request.segment.id
        with self._lock:
            if self._stopping.is_set():
                raise ExportRefused("The sandbox is stopping")
            if segment_id in self._running:
                raise ExportRefused("This segment is being exported already; its export has to end first")
            if len(self._running) >= settings.exports_at_once:  # that this is a 429 too is UNVERIFIED
                raise ExportRefused(f"{len(self._running)} segment exports are running; no more can be started")
            self._started[segment_id] += 1
            export = _Export(
                request,
                prefix=f"{uuid.uuid4()}-{int(now.timestamp())}",
                asked=now,
                settings=settings,
                draw=random.Random(f"{self._seed}:export:{segment_id}:{self._started[segment_id]}"),
            )
            thread = threading.Thread(
                target=self._run, args=(export,), name=f"sandbox-export-{segment_id}", daemon=True
            )
            self._running[segment_id] = thread
            thread.start()  # inside the lock, so that whoever finds the thread can join it
        return export.prefix

    def counts(self) -> dict[str, int]:
        """Return how many exports of each segment were started, by the segment's id."""
        with self._lock:
            return dict(self._started)

    def wait(self, *, timeout_s: float = _STOP_SECONDS) -> bool:
        """Wait until no export runs; return whether that is so."""
        ends = time.monotonic() + timeout_s
        with self._lock:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(max(ends - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in threads)

    def stop(self) -> None:
        """Break all exports off and wait for their threads."""
        self._stopping.set()
        self.wait()

    def _run(self, export: _Export) -> None:
        segment_id = export.request.segment.id
        try:
            if not export.settings.own_storage:
                return
            if segment_id not in self._planted:
                self._planted.add(segment_id)
                self._plant_foreign(export)
            if export.settings.export_never:
                self._stopping.wait(export.settings.export_seconds)
            else:
                self._write_parts(export)
        except (BotoCoreError, ClientError):
            pass  # a bucket that can't be written to: Braze has said "success" by then, and tells by e-mail
        finally:
            with self._lock:
                del self._running[segment_id]

    def _write_parts(self, export: _Export) -> None:
        settings = export.settings
        parts = plan_parts(self._state.members(export.request.segment), settings, export.draw)
        began, last = time.monotonic(), len(parts) - 1
        for position, part in enumerate(parts):
            name = uuid.uuid4().hex
            on_time = began + settings.export_seconds * (position + 1) / len(parts)
            if position == last and settings.export_grows:
                if self._is_stopped_before(on_time):
                    return
                self._write(export, name, part[: len(part) // 2], is_late=position >= len(parts) // 2)
            if self._is_stopped_before(on_time + (settings.export_late_s if position == last else 0.0)):
                return
            self._write(export, name, part, is_late=position >= len(parts) // 2)
        if not parts:
            self._is_stopped_before(began + settings.export_seconds)

    def _is_stopped_before(self, moment: float) -> bool:
        return self._stopping.wait(max(moment - time.monotonic(), 0))

    def _write(self, export: _Export, name: str, part: Sequence[tuple[Content, User]], *, is_late: bool) -> None:
        settings = export.settings
        lines = [self._line(export.request, content, user) for content, user in part]
        day = export.asked + timedelta(days=is_late and settings.export_across_midnight)
        self._put(
            export.key(day=day, name=f"{name}.{ENDINGS[export.request.format]}"),
            pack(lines, export.request.format, entries=settings.export_zip_entries),
        )

    def _line(self, request: ExportRequest, content: Content, user: User) -> bytes:
        shown = self._state.show(user, fields=request.fields, attributes=request.attributes)
        if content == "outdated":
            shown = outdated(shown)
        line = encode_user(shown)
        if content == "cut":
            return line[: len(line) // 2] + b"\n"
        return line.replace(b"{", b"{\xff", 1) if content == "not UTF-8" else line

    def _put(self, key: str, body: bytes) -> None:
        with self._lock:  # boto3 makes clients in one thread at a time
            if self._client is None:
                self._client = self._make_client()
        self._client.put_object(Bucket=EXPORT_BUCKET, Key=key, Body=body)

    def _plant_foreign(self, export: _Export) -> None:
        """Write what stands in the tree already: two older exports, one in today's folder, and the dashboard's CSV."""
        request, segment, settings = export.request, export.request.segment, export.settings
        users = self._state.members(segment)[:_OLDER]
        shown = [outdated(self._state.show(user, fields=request.fields, attributes=())) for user in users]
        shown += [{"external_id": f"crm-gone-{number}", "first_name": "Gone"} for number in range(3)]
        lines = [encode_user(each) for each in shown]
        for age, folder, form in (
            (timedelta(hours=1), export.asked, "gzip"),
            (timedelta(days=2), export.asked - timedelta(days=2), "zip"),
        ):
            prefix = f"{uuid.uuid4()}-{int((export.asked - age).timestamp())}"
            name = f"{folder:%Y-%m-%d}/{prefix}/{uuid.uuid4().hex}.{ENDINGS[form]}"
            self._put(export_key(settings, segment, name), pack(lines, form, entries=1))
        table = "external_id,first_name\n" + "".join(f"{each.external_id or ''},Outdated\n" for each in users)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("users.csv", table)
        name = f"{export.asked:%Y-%m-%d}/users-{uuid.uuid4().hex[:12]}.zip"
        self._put(export_key(settings, segment, name), archive.getvalue())

"""Targets that take requests in the place of a vendor, and an upload to them in a time that the test owns."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing, Rate
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing, Rows
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Refusal, Reply, Sender, Verdict
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.sending.upload import Upload
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from tests.support.clock import ClockLoop, in_clock_time

__all__ = [
    "ACCEPTED",
    "Braze",
    "Outcome",
    "ReceiptFiles",
    "Scripted",
    "Target",
    "external_ids",
    "in_rows",
    "opened",
    "people",
    "refusal",
    "upload",
]

ACCEPTED = Reply(Verdict.READ_ENTRIES, 201)
LIMITS = BatchLimits(objects=75, body_bytes=4_000_000)
BEFORE, AFTER = b'{"attributes":[', b"]}"


def people(count: int, *, first: int = 0, repeatable: bool = True) -> list[Outgoing]:
    """People ``p0``, ``p1`` and so on, ready to be sent."""
    return [
        Outgoing(f'{{"external_id":"p{number}"}}', b'{"external_id":"p%d","vip":true}' % number, repeatable)
        for number in range(first, first + count)
    ]


def in_rows(records: Iterable[Outgoing], *, at_a_time: int = 47) -> Iterator[Rows]:
    """Put records into columns, so many at a time: by no means as many as a request holds."""
    left = iter(records)
    while chunk := list(islice(left, at_a_time)):
        yield Rows.of(chunk)


def external_ids(body: bytes) -> list[str]:
    """Who is in a request, in its order."""
    return [entry["external_id"] for entry in json.loads(body)["attributes"]]


def refusal(body: bytes, *bad: str, reason: str = "is bad") -> tuple[Refusal, ...]:
    """Name those among ``bad`` that are in a request, as a vendor does: by position."""
    return tuple(Refusal(position, reason) for position, who in enumerate(external_ids(body)) if who in bad)


class Target:
    """Answers every request by a function of its body and its number (from 0), after some latency.

    :param answer: body, number → reply; may raise.
    :param latency: seconds.
    """

    def __init__(self, answer: Callable[[bytes, int], Reply], *, latency: float = 0.05) -> None:
        self._answer = answer
        self._latency = latency
        self.bodies: list[bytes] = []
        self.starts: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def requests(self) -> int:
        return len(self.bodies)

    def sent(self) -> Counter[str]:
        """How often each person was sent."""
        return Counter(who for body in self.bodies for who in external_ids(body))

    async def send(self, body: bytes) -> Reply:
        number = len(self.bodies)
        self.bodies.append(body)
        self.starts.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency)
            return self._answer(body, number)
        finally:
            self.in_flight -= 1


class Scripted(Target):
    """Gives the replies of a list, and from then on accepts everything."""

    def __init__(self, *replies: Reply, latency: float = 0.05) -> None:
        super().__init__(lambda _, number: replies[number] if number < len(replies) else ACCEPTED, latency=latency)


class Braze:
    """Keeps what it accepted, attribute by attribute, and counts how often each was written. No waiting.

    :param bad: external ids whose objects it refuses.
    """

    def __init__(self, bad: Sequence[str] = ()) -> None:
        self._bad = bad
        self.users: dict[str, dict[str, Any]] = {}
        self.writes: Counter[str] = Counter()
        self.requests = 0

    async def send(self, body: bytes) -> Reply:
        self.requests += 1
        refused = refusal(body, *self._bad)
        positions = {entry.position for entry in refused}
        for position, entry in enumerate(json.loads(body)["attributes"]):
            if position not in positions:
                who = entry.pop("external_id")
                del entry["_update_existing_only"]
                self.users.setdefault(who, {}).update(entry)
                self.writes[who] += 1
        return Reply(Verdict.READ_ENTRIES, 201, refused)


@asynccontextmanager
async def opened(sender: Sender) -> AsyncIterator[Sender]:
    """A sender as a hook hands it out."""
    yield sender


class ReceiptFiles:
    """Stands for the object store: keeps what was published, and fails when told to.

    :param fail: publishing number (from 0) → raise.
    """

    def __init__(self, folder: Path, *, fail: Callable[[int], bool] = lambda _: False) -> None:
        self._fail = fail
        self.folder = folder / "durable"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tries = 0

    def publish(self, path: Path) -> None:
        number, self.tries = self.tries, self.tries + 1
        if self._fail(number):
            raise OSError("p0 of a bucket")
        (self.folder / path.name).write_bytes(path.read_bytes())

    def rows(self) -> list[dict[str, Any]]:
        return [row for path in sorted(self.folder.iterdir()) for row in pq.ParquetFile(path).read().to_pylist()]

    def outcomes(self) -> dict[str, int]:
        """Receipts by outcome, without what the upload wrote of its intents."""
        rows = Counter(row["outcome"] for row in self.rows())
        return {outcome: count for outcome, count in rows.items() if outcome not in ("intended", "withdrawn")}

    def steps(self, who: str) -> list[str]:
        """Everything that was written of a person, in its order."""
        return [row["outcome"] for row in self.rows() if json.loads(row["identifier"]).get("external_id") == who]


@dataclass
class Outcome:
    """What an upload left behind.

    :param seconds: how long it took, in the loop's time.
    """

    tally: Tally | None
    error: Exception | None
    receipts: ReceiptFiles
    seconds: float
    upload: Upload

    def who(self, outcome: str) -> list[str]:
        """External ids with a receipt of an outcome."""
        rows = (row for row in self.receipts.rows() if row["outcome"] == outcome)
        return sorted((json.loads(row["identifier"])["external_id"] for row in rows), key=lambda who: int(who[1:]))


def upload(
    folder: Path,
    records: Iterable[Outgoing],
    target: Sender,
    *,
    rate: Rate = Rate(3_000, 3.0),  # noqa: B008  frozen
    receipts: ReceiptFiles | None = None,
    during: Callable[[Upload], Awaitable[None]] | None = None,
    sent_by_run: int = 0,
    is_newest: Callable[[float], bool] | None = None,
    **settings: Any,
) -> Outcome:
    """Upload records to a target, in the loop's own time.

    :param during: runs beside the upload, for instance to stop it.
    :param sent_by_run: records of the whole run; by default those that have an outcome.
    :param is_newest: seconds since the start → what the store says of newer attempts; may raise.
    :param settings: of ``UploadSettings``.
    """
    files = receipts or ReceiptFiles(folder)
    part_receipts = PartReceipts(folder / "local", attempt="first", publish=files.publish)
    chosen = UploadSettings(**{"limits": LIMITS, "before": BEFORE, "after": AFTER, "flush_seconds": 1.0, **settings})

    async def main(loop: ClockLoop) -> Outcome:
        pacing = Pacing(rate, wall_clock=lambda: 1_800_000_000 + loop.time())
        began = loop.time()
        fence = None if is_newest is None else lambda: is_newest(loop.time() - began)
        one = Upload(
            target,
            pacing,
            part_receipts,
            chosen,
            label="goal partition 0",
            total=1,
            sent_by_run=sent_by_run,
            is_newest=fence,
        )
        beside = asyncio.ensure_future(during(one)) if during else None
        tally, error = None, None
        try:
            tally = await one.run(in_rows(records))
        except Exception as caught:  # noqa: BLE001  handed to the test
            error = caught
        seconds = loop.time() - began
        if beside:
            await beside
        return Outcome(tally, error, files, seconds, one)

    return in_clock_time(main)

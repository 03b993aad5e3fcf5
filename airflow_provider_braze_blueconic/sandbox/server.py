"""The sandbox as a whole: a Braze, a BlueConic and an S3 on 127.0.0.1, in threads of this process."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, TextIO

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from . import blueconic, braze
from .blueconic import Tokens
from .definitions import VIP_SEGMENT
from .exports import SegmentExports
from .faults import Faults
from .gate import Exchange, Gate
from .people import make_people
from .profiles import BlueConicState, DaySummary
from .s3 import BUCKETS, REGION, ObjectStore
from .users import BrazeDay, BrazeState

__all__ = ["Sandbox", "serve"]

_OUTSIDE = 0.1  # people beside the "VIP customers", as a share of them
_FEWEST_OUTSIDE = 20
_START_SECONDS = 30.0


class Sandbox:
    """A context manager round the three servers.

    ::

        with Sandbox(profiles=200, seed=1) as box:
            requests.post(f"{box.braze_url}/users/track", ...)
            box.next_day()

    :param profiles: people in the segment "VIP customers" at the start; some more are outside of it.
    :param seed: decides everything that is invented.
    :param braze_port: 0 takes a free one, as for the other two.
    :param host: address to listen on. Only in a container is anything but 127.0.0.1 of use.
    :param record: keep every request and answer in ``exchanges``.
    :param clock: stamps changes of profiles and new users; aware UTC.
    """

    def __init__(
        self,
        *,
        profiles: int = 200,
        seed: int = 1,
        braze_port: int = 0,
        blueconic_port: int = 0,
        s3_port: int = 0,
        host: str = "127.0.0.1",
        record: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        people = make_people(profiles + max(_FEWEST_OUTSIDE, round(profiles * _OUTSIDE)), seed=seed)
        self.faults = Faults(seed=seed)
        self.tokens = Tokens()
        self.exchanges: list[Exchange] = []
        self.braze = BrazeState(people[:profiles], seed=seed, faults=self.faults, clock=clock)
        self.blueconic = BlueConicState(people, vip=profiles, seed=seed, faults=self.faults, clock=clock)
        self.exports = SegmentExports(self.braze, faults=self.faults, client=self.s3_client, seed=seed, clock=clock)
        braze_app = braze.make_app(self.braze, faults=self.faults, exports=self.exports)
        blueconic_app = blueconic.make_app(self.blueconic, faults=self.faults, tokens=self.tokens)
        exchanges = self.exchanges if record else None
        self.braze_gate = Gate("braze", braze_app, faults=self.faults, exchanges=exchanges, seed=seed)
        self.blueconic_gate = Gate("blueconic", blueconic_app, faults=self.faults, exchanges=exchanges, seed=seed)
        for app in (braze_app, blueconic_app):
            _add_controls(app, self)
        self._braze_server = _Server(self.braze_gate, host=host, port=braze_port, name="sandbox-braze")
        self._blueconic_server = _Server(self.blueconic_gate, host=host, port=blueconic_port, name="sandbox-blueconic")
        self._s3_address = (host, s3_port)
        self._store: ObjectStore | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(braze={self.braze_url!r}, blueconic={self.blueconic_url!r})"

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Open the ports; the buckets exist when it returns.

        :raises OSError: when a port is taken; nothing is left running then.
        """
        try:
            self._braze_server.start()
            self._blueconic_server.start()
            self._store = ObjectStore(host=self._s3_address[0], port=self._s3_address[1], faults=self.faults)
            self._store.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close the ports and wait for the threads. The state stays readable."""
        servers = (self._braze_server, self._blueconic_server)
        for server in servers:
            server.ask_to_stop()
        for server in servers:
            server.stop()
        self.exports.stop()
        if self._store is not None:
            self._store.stop()
            self._store = None

    @property
    def braze_url(self) -> str:
        return self._braze_server.url

    @property
    def blueconic_url(self) -> str:
        return self._blueconic_server.url

    @property
    def s3_url(self) -> str:
        return "" if self._store is None else self._store.url

    @property
    def s3_in_flight(self) -> int:
        """Requests that S3 is carrying out."""
        return 0 if self._store is None else self._store.gate.in_flight

    def s3_client(self) -> Any:
        """Return a boto3 client for the sandbox's S3.

        :raises RuntimeError: when the sandbox is not running.
        """
        if self._store is None:
            raise RuntimeError("the sandbox is not running")
        return self._store.client()

    def connections(self) -> dict[str, str]:
        """Return the three Airflow connections as environment variables, each in Airflow's JSON form."""
        return {
            "AIRFLOW_CONN_BRAZE_DEFAULT": json.dumps(
                {"conn_type": "braze", "host": self.braze_url, "password": braze.API_KEY}
            ),
            "AIRFLOW_CONN_BLUECONIC_DEFAULT": json.dumps(
                {
                    "conn_type": "blueconic",
                    "host": self.blueconic_url,
                    "login": blueconic.CLIENT_ID,
                    "password": blueconic.CLIENT_SECRET,
                }
            ),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
                {
                    "conn_type": "aws",
                    "login": "sandbox",
                    "password": "sandbox",
                    "extra": {"endpoint_url": self.s3_url, "region_name": REGION},
                }
            ),
        }

    def next_day(
        self, *, changed: float = 0.01, entered: float = 0.002, left: float = 0.002, apart_from: Collection[str] = ()
    ) -> DaySummary:
        """See :meth:`BlueConicState.next_day`."""
        return self.blueconic.next_day(changed=changed, entered=entered, left=left, apart_from=apart_from)

    def next_day_in_braze(self, *, changed: float = 0.01, apart_from: Collection[str] = ()) -> BrazeDay:
        """See :meth:`BrazeState.next_day`."""
        return self.braze.next_day(changed=changed, apart_from=apart_from)

    def summary(self) -> dict[str, Any]:
        """Return what both services hold: the answer of ``GET /sandbox/state``."""
        return {
            "blueconic": self.blueconic.counts(),
            "braze": {"users": len(self.braze), "custom_attributes": len(self.braze.attributes.known())},
            "faults": self.faults.describe(),
        }

    def counters(self) -> dict[str, Any]:
        """Return what has passed: the answer of ``GET /sandbox/requests``."""
        return {
            **{
                gate.service: {
                    "requests": dict(gate.requests),
                    "statuses": {str(status): count for status, count in gate.statuses.items()},
                }
                for gate in (self.braze_gate, self.blueconic_gate)
            },
            "track": self.braze.traffic.as_dict(),
            "exports": self.exports.counts(),
            "bulk": self.blueconic.bulk.as_dict(),
        }


class _Server:
    """One uvicorn server in a thread. The port is bound at once, so that its number is known and held."""

    def __init__(self, app: Any, *, host: str, port: int, name: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=name, daemon=True
        )

    def start(self) -> None:
        self._socket.listen(2048)  # connections made from now on wait for the event loop
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def stop(self) -> None:
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(_START_SECONDS)
        self._socket.close()


def _add_controls(app: FastAPI, box: Sandbox) -> None:
    """Add the paths by which other processes look at the sandbox and steer it; both services answer them."""

    @app.get("/sandbox/state")
    async def state() -> Response:
        return JSONResponse(box.summary())

    @app.get("/sandbox/requests")
    async def requests() -> Response:
        return JSONResponse(box.counters())

    @app.get("/sandbox/users")
    async def users() -> Response:
        async def lines() -> AsyncIterator[bytes]:
            for user in box.braze.users():
                yield json.dumps(user, ensure_ascii=False).encode() + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    @app.post("/sandbox/next-day")
    async def next_day(request: Request) -> Response:
        return await _let_a_day_pass(request, box.next_day)

    @app.post("/sandbox/next-day-in-braze")
    async def next_day_in_braze(request: Request) -> Response:
        return await _let_a_day_pass(request, box.next_day_in_braze)

    @app.post("/sandbox/faults")
    async def set_faults(request: Request) -> Response:
        try:
            box.faults.configure(json.loads(await request.body()))
        except ValueError as error:
            return JSONResponse({"message": str(error)}, status_code=400)
        return JSONResponse({"faults": box.faults.describe()})


async def _let_a_day_pass(request: Request, pass_day: Callable[..., DaySummary | BrazeDay]) -> Response:
    body = await request.body()
    try:
        return JSONResponse(pass_day(**(json.loads(body) if body else {})).counts())
    except (TypeError, ValueError) as error:
        return JSONResponse({"message": str(error)}, status_code=400)


def serve(
    *,
    profiles: int = 20_000,
    seed: int = 1,
    host: str = "127.0.0.1",
    braze_port: int = 8010,
    blueconic_port: int = 8011,
    s3_port: int = 8012,
    out: TextIO = sys.stdout,
) -> None:
    """Run the sandbox until SIGINT or SIGTERM; call it from the main thread.

    :param out: where addresses, credentials and the way to use them are written.
    :raises OSError: when a port is taken.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(
            profiles=profiles,
            seed=seed,
            host=host,
            braze_port=braze_port,
            blueconic_port=blueconic_port,
            s3_port=s3_port,
        ) as box:
            out.write(_welcome(box, profiles))
            out.flush()
            stopping.wait()
        out.write("Stopped.\n")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _welcome(box: Sandbox, profiles: int) -> str:
    exports = "\n".join(f"export {name}='{text}'" for name, text in box.connections().items())
    return f"""\
The sandbox is running.

  Braze      {box.braze_url}   API key {braze.API_KEY} (without write permission: {braze.READ_ONLY_API_KEY})
  BlueConic  {box.blueconic_url}   client id {blueconic.CLIENT_ID}, client secret {blueconic.CLIENT_SECRET}
  S3         {box.s3_url}   region {REGION}, any credentials, buckets {" and ".join(BUCKETS)}

{profiles} people are in the BlueConic segment "VIP customers" ({VIP_SEGMENT}); Braze has {len(box.braze)} users.

Connections for Airflow:

{exports}

Look at it and steer it, at either address:

  curl {box.braze_url}/sandbox/state        what both services hold
  curl {box.braze_url}/sandbox/requests     what was sent, and what Braze would bill
  curl {box.braze_url}/sandbox/users        every Braze user, a line each
  curl -X POST {box.braze_url}/sandbox/next-day            a day passes in BlueConic
  curl -X POST {box.braze_url}/sandbox/next-day-in-braze   and one in Braze
  curl -X POST {box.braze_url}/sandbox/faults \\
       -d '{{"faults": [{{"service": "braze", "kind": "status", "path": "/users/track", "status": 429, "times": 3}}]}}'

Ctrl-C stops it.
"""

"""The sandbox as a whole: a Braze, a BlueConic and an S3 on 127.0.0.1, in threads of this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic import api as blueconic_api
from airflow_provider_braze_blueconic.sandbox.blueconic.days import DaySummary
from airflow_provider_braze_blueconic.sandbox.blueconic.keys import CLIENT_ID, CLIENT_SECRET
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.blueconic.tokens import Tokens
from airflow_provider_braze_blueconic.sandbox.braze import api as braze_api
from airflow_provider_braze_blueconic.sandbox.braze.days import BrazeDay
from airflow_provider_braze_blueconic.sandbox.braze.exports import SegmentExports
from airflow_provider_braze_blueconic.sandbox.braze.keys import API_KEY
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.controls import add_controls
from airflow_provider_braze_blueconic.sandbox.exchanges import Exchange
from airflow_provider_braze_blueconic.sandbox.gate import Gate
from airflow_provider_braze_blueconic.sandbox.http_server import Server
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import make_people
from airflow_provider_braze_blueconic.sandbox.s3.buckets import REGION
from airflow_provider_braze_blueconic.sandbox.s3.store import ObjectStore

__all__ = ["Sandbox"]

_OUTSIDE = 0.1  # people beside the "VIP customers", as a share of them
_FEWEST_OUTSIDE = 20


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
        braze_app = braze_api.make_app(self.braze, faults=self.faults, exports=self.exports)
        blueconic_app = blueconic_api.make_app(self.blueconic, faults=self.faults, tokens=self.tokens)
        exchanges = self.exchanges if record else None
        self.braze_gate = Gate("braze", braze_app, faults=self.faults, exchanges=exchanges, seed=seed)
        self.blueconic_gate = Gate("blueconic", blueconic_app, faults=self.faults, exchanges=exchanges, seed=seed)
        for app in (braze_app, blueconic_app):
            add_controls(app, self)
        self._braze_server = Server(self.braze_gate, host=host, port=braze_port, name="sandbox-braze")
        self._blueconic_server = Server(self.blueconic_gate, host=host, port=blueconic_port, name="sandbox-blueconic")
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
                {"conn_type": "braze", "host": self.braze_url, "password": API_KEY}
            ),
            "AIRFLOW_CONN_BLUECONIC_DEFAULT": json.dumps(
                {
                    "conn_type": "blueconic",
                    "host": self.blueconic_url,
                    "login": CLIENT_ID,
                    "password": CLIENT_SECRET,
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

"""The sandbox as a command: it runs until it is interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import TextIO

from airflow_provider_braze_blueconic.sandbox.blueconic.keys import CLIENT_ID, CLIENT_SECRET
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import VIP_SEGMENT
from airflow_provider_braze_blueconic.sandbox.braze.keys import API_KEY, READ_ONLY_API_KEY
from airflow_provider_braze_blueconic.sandbox.s3.buckets import BUCKETS, REGION
from airflow_provider_braze_blueconic.sandbox.server import Sandbox

__all__ = ["serve"]


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

  Braze      {box.braze_url}   API key {API_KEY} (without write permission: {READ_ONLY_API_KEY})
  BlueConic  {box.blueconic_url}   client id {CLIENT_ID}, client secret {CLIENT_SECRET}
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

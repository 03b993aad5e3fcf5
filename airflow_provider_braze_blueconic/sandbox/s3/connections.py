"""The connection to a client of the sandbox's S3, which a fault cuts or keeps waiting."""

from __future__ import annotations

import contextlib
import select
import socket
import struct

from airflow_provider_braze_blueconic.sandbox.s3.requests import Environ

__all__ = ["hang", "reset"]


def reset(environ: Environ) -> None:
    """Cut the connection so that the client sees a reset.

    :raises ConnectionResetError: always; the server takes it for a client that has gone.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not close(): the server's streams keep the connection open, and would end it in good order.
        socket.close(connection.detach())
    raise ConnectionResetError


def hang(environ: Environ, seconds: float) -> None:
    """Keep the client waiting, until it is gone at most."""
    select.select([environ["werkzeug.socket"]], [], [], seconds)

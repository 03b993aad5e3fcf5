"""One of the sandbox's HTTP servers."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn

__all__ = ["Server"]

_START_SECONDS = 30.0


class Server:
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

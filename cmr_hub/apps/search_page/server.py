"""Run a page in uvicorn, with a timeout and a maximum number of connections."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cmr_hub.apps.hosts import SPACE_HOST

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEAD_SECONDS: Final = 10.0
MAX_PER_ADDRESS: Final = 200
MAX_CONNECTIONS: Final = 800
"""Maximum number of connections; a process can usually open 1,024 files."""
_HEAD_BYTES: Final = 64 * 1024
_CLOSING_SECONDS: Final = 1
# In a Space, only the Hub's proxy connects from private networks.
_HUB_PROXIES: Final = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
_open: Counter[str] = Counter()


class Connection(H11Protocol):
    """A connection that is closed after a timeout, or if its address has too many connections."""

    _head_timeout: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and close it if there are too many."""
        super().connection_made(transport)
        # asyncio does not set this for sockets of create_server. Without it, a response in two
        # parts waits 40 ms until the client acknowledges the first part.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._address = self.client[0] if self.client else ""
        _open[self._address] += 1
        if _open[self._address] > MAX_PER_ADDRESS or _open.total() > MAX_CONNECTIONS:
            transport.abort()
            return
        self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self._stop_timeout()
        _open[self._address] -= 1
        if not _open[self._address]:
            del _open[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data; stop the timeout at the end of the request headers."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timeout()
        elif self._head_timeout is None:
            # The headers of a further request on a connection that is kept alive.
            self._start_timeout()

    def _start_timeout(self) -> None:
        self._head_timeout = self.loop.call_later(HEAD_SECONDS, self._expire)

    def _stop_timeout(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None

    def _expire(self) -> None:
        self._head_timeout = None
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()


class Server(uvicorn.Server):
    """Serve an app in a separate thread.

    Args:
        app: the app to serve.
        listening: the socket to accept connections from.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                http=Connection,
                ws="none",
                lifespan="on",
                server_header=False,
                timeout_graceful_shutdown=_CLOSING_SECONDS,
                h11_max_incomplete_event_size=_HEAD_BYTES,
                forwarded_allow_ips=_HUB_PROXIES if SPACE_HOST in os.environ else None,
            )
        )
        self._thread = threading.Thread(
            target=self.run, kwargs={"sockets": [listening]}, daemon=True
        )

    def start(self) -> None:
        """Start the server and return when it accepts requests.

        Raises:
            RuntimeError: the server cannot start.
        """
        self._thread.start()
        while not self.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server could not start")
            self._thread.join(0.001)

    def close(self) -> None:
        """Stop the server and abort endless responses."""
        self.should_exit = True
        self._thread.join(2 * _CLOSING_SECONDS)


def listen(host: str, port: int | None, first: int, count: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: an address or a name of this machine.
        port: the port; None for the first free port.
        first, count: range of ports to try.

    Raises:
        OSError: no port can be opened.
    """
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    last: OSError | None = None
    for one in range(first, first + count) if port is None else [port]:
        try:
            return socket.create_server((address, one), family=family)
        except OSError as error:
            last = error
    raise last or OSError("no port to listen on")

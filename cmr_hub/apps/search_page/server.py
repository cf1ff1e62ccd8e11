"""The server that a page runs in: uvicorn, with connections that cannot be held for nothing."""

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
OF_ADDRESS: Final = 200
OF_ALL: Final = 800
"""Connections at once; a process may usually have 1,024 files open."""
_HEAD_BYTES: Final = 64 * 1024
_CLOSING_SECONDS: Final = 1
# The Hub's proxy asks from a private network, and nobody else can.
_OF_THE_HUB: Final = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
_open: Counter[str] = Counter()


class Connection(H11Protocol):
    """One connection: it is closed where its address has too many, or says nothing."""

    _waiting: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts it."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        _open[self._address] += 1
        if _open[self._address] > OF_ADDRESS or _open.total() > OF_ALL:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts it no longer."""
        self._stop_waiting()
        _open[self._address] -= 1
        if not _open[self._address]:
            del _open[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what has come; the clock stops with the end of the request's head."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            # A head that has begun, on a connection that was used before.
            self._wait()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._end)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()


class Server(uvicorn.Server):
    """Serves an app in a thread of its own.

    Args:
        app: what answers.
        listening: the socket.
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
                forwarded_allow_ips=_OF_THE_HUB if SPACE_HOST in os.environ else None,
            )
        )
        self._thread = threading.Thread(
            target=self.run, kwargs={"sockets": [listening]}, daemon=True
        )

    def start(self) -> None:
        """Returns when it answers.

        Raises:
            RuntimeError: it cannot start.
        """
        self._thread.start()
        while not self.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server has not started")
            self._thread.join(0.001)

    def close(self) -> None:
        """Ends it; answers that go on without end are cut."""
        self.should_exit = True
        self._thread.join(2 * _CLOSING_SECONDS)


def listen(host: str, port: int | None, first: int, count: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address or a name of this machine.
        port: None for the first free one.
        first, count: where to look for it.

    Raises:
        OSError: there is none.
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

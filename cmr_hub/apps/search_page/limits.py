"""Limit the load that one visitor can cause, so that the page stays responsive for others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse

from cmr_hub.apps.search_page.payloads import is_event, is_json, length_of, replay
from cmr_hub.apps.search_page.routes import is_stream, is_work
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_JSON: Final = 1_000_000
MAX_UPLOADS: Final = 260 * 2**20
"""Maximum total size of the files in one request; a single file may have 64 MB."""
MAX_BODIES: Final = 200 * 2**20
"""Maximum total size of request bodies in memory; one address may use half of it."""
BODY_SECONDS: Final = 10.0
BODY_SPEED: Final = 32_768
"""Minimum speed of a request body after `BODY_SECONDS`, in bytes per second."""
MAX_CONCURRENT: Final = 4
"""Maximum number of concurrent requests for work of one address; further requests wait."""
MAX_WAITING: Final = 124
STREAMS: Final = 100
SESSIONS: Final = 128
SESSION_SECONDS: Final = 600.0
QUEUED: Final = 64
UPLOADING: Final = 12
FREE_SECONDS: Final = 0.1
"""A request with at most this many seconds of work is not counted."""
BURST_SECONDS: Final = 20.0
REFILL: Final = 0.25
"""Seconds of work that an address regains per second."""

_MOST_ADDRESSES: Final = 10_000
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64 * 2**20
_LARGE: Final = "The request is too large: at most {most} are accepted."
_SLOW: Final = "The request arrived too slowly; send it again."
_BUSY: Final = "There are too many requests from your address; wait for some responses first."
_EXHAUSTED: Final = "Your requests have used too much computing time; try again in a minute."
_MANY: Final = "There are too many open pages from your address; close some, or try again later."


@dataclass
class _Visitor:
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT))
    requests: int = 0
    streams: int = 0
    uploading: int = 0
    bytes: int = 0
    sessions: OrderedDict[str, float] = field(default_factory=OrderedDict)
    used: float = 0.0


class Work:
    """Record of the seconds of work that each address has used recently."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def is_spent(self, address: str) -> bool:
        """Return whether an address has used up its seconds of work."""
        with self._lock:
            return self._left(address) <= 0

    def spend(self, address: str, seconds: float) -> None:
        """Record work of an address. Requests of at most `FREE_SECONDS` are free."""
        if seconds <= FREE_SECONDS:
            return
        with self._lock:
            self._spent[address] = (self._left(address) - seconds, time.monotonic())
            self._spent.move_to_end(address)
            while len(self._spent) > _MOST_ADDRESSES:
                self._spent.popitem(last=False)

    @contextmanager
    def of(self, address: str) -> Iterator[None]:
        """Record the CPU time of this thread within the context."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.spend(address, time.thread_time() - started)

    def _left(self, address: str) -> float:
        left, since = self._spent.get(address, (BURST_SECONDS, 0.0))
        return min(BURST_SECONDS, left + REFILL * (time.monotonic() - since))


class RefusedError(Exception):
    """Error with an HTTP status and a message, raised if a limit is exceeded."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Limits:
    """ASGI middleware that limits the requests of each address.

    The status of a refused request is 413 if it is too large, 408 if it is too slow, and 429 if
    there are too many. A request is counted after its body was read, except for uploads, which are
    written to disk.

    Args:
        app: builds the app behind this one, which may call `note_session`.
        work: the page's record of work.
        queued: returns the number of an address's events in Gradio's queue.
    """

    def __init__(
        self, app: Callable[[Limits], ASGIApp], work: Work, queued: Callable[[str], int]
    ) -> None:
        self._app, self._work, self._queued = app(self), work, queued
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        address = address_of(scope)
        visitor = self._visitor(address)
        try:
            if is_stream(scope["method"], scope["path"]):
                await self._streamed(scope, receive, send, visitor)
            elif scope["path"].rstrip("/") == "/gradio_api/upload":
                await self._uploaded(scope, receive, send, visitor)
            else:
                await self._worked(scope, receive, send, address, visitor)
        except RefusedError as refused:
            await _refuse(refused, receive, send)

    def note_session(self, scope: Scope, session: str) -> None:
        """Count a session of an address. Raises RefusedError if there are too many."""
        _note_session(self._visitor(address_of(scope)), session)

    def _visitor(self, address: str) -> _Visitor:
        visitor = self._visitors.setdefault(address, _Visitor())
        visitor.used = time.monotonic()
        self._visitors.move_to_end(address)
        if len(self._visitors) > _MOST_ADDRESSES:
            oldest = list(self._visitors.items())[: len(self._visitors) - _MOST_ADDRESSES]
            for old, one in oldest:
                if not (one.requests or one.streams or one.uploading or one.bytes):
                    del self._visitors[old]
        return visitor

    async def _streamed(
        self, scope: Scope, receive: Receive, send: Send, visitor: _Visitor
    ) -> None:
        if visitor.streams >= STREAMS:
            raise RefusedError(429, _BUSY)
        if "/heartbeat/" in scope["path"]:
            _note_session(visitor, scope["path"].rpartition("/heartbeat/")[2].rstrip("/"))
        visitor.streams += 1
        try:
            await self._app(scope, receive, send)
        finally:
            visitor.streams -= 1

    async def _uploaded(
        self, scope: Scope, receive: Receive, send: Send, visitor: _Visitor
    ) -> None:
        if visitor.uploading >= UPLOADING:
            raise RefusedError(429, _BUSY)
        if (length_of(scope) or 0) > MAX_UPLOADS:
            raise _too_large(MAX_UPLOADS)
        visitor.uploading += 1
        body = _Body(receive, MAX_UPLOADS)
        try:
            await self._app(scope, body.part, body.unless_refused(send))
        except Exception:
            # After a refusal, the app fails only because the body is incomplete.
            if body.refused is None:
                raise
        finally:
            visitor.uploading -= 1
        if body.refused is not None and not body.is_answered:
            raise body.refused

    async def _worked(
        self, scope: Scope, receive: Receive, send: Send, address: str, visitor: _Visitor
    ) -> None:
        body_size = 0
        if scope["method"] == "POST":
            most = MAX_JSON if is_json(scope) else MAX_PICTURE_BYTES
            body = await self._body(scope, receive, visitor, most)
            body_size = len(body)
            receive = replay(body, receive)
        self._count_bytes(visitor, body_size)
        try:
            if is_event(scope) and self._queued(address) >= QUEUED:
                raise RefusedError(429, _BUSY)
            works = is_event(scope) or is_work(scope["path"])
            if works and self._work.is_spent(address):
                raise RefusedError(429, _EXHAUSTED)
            if visitor.requests >= MAX_CONCURRENT + MAX_WAITING:
                raise RefusedError(429, _BUSY)
            visitor.requests += 1
            try:
                # The MCP server sends a further request to the page, which is limited in turn.
                is_mcp = scope["path"].startswith("/gradio_api/mcp")
                async with visitor.turn if works and not is_mcp else nullcontext():
                    await self._app(scope, receive, send)
            finally:
                visitor.requests -= 1
        finally:
            self._count_bytes(visitor, -body_size)

    async def _body(self, scope: Scope, receive: Receive, visitor: _Visitor, most: int) -> bytes:
        if (length_of(scope) or 0) > most:
            raise _too_large(most)
        body, data = _Body(receive, most), bytearray()
        try:
            while True:
                message = await body.part()
                if body.refused is not None:
                    raise body.refused
                part = message.get("body", b"")
                self._count_bytes(visitor, len(part))
                data += part
                if self._bytes > MAX_BODIES or visitor.bytes > MAX_BODIES // 2:
                    raise RefusedError(429, _BUSY)
                if message["type"] != "http.request" or not message.get("more_body"):
                    return bytes(data)
        finally:
            self._count_bytes(visitor, -len(data))

    def _count_bytes(self, visitor: _Visitor, size: int) -> None:
        self._bytes += size
        visitor.bytes += size


def _too_large(most: int) -> RefusedError:
    limit = "1 MB" if most == MAX_JSON else f"{most // 2**20} MB"
    return RefusedError(413, _LARGE.format(most=limit))


class _Body:
    """Receive a request body with at most `most` bytes and a minimum speed."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._size, self._started, self._is_complete = 0, time.monotonic(), False
        self.refused: RefusedError | None = None
        self.is_answered = False

    async def part(self) -> Message:
        """Return the next message; after a refusal, `http.disconnect`."""
        if self._is_complete:
            return await self._receive()
        allowed = self._started + BODY_SECONDS + self._size / BODY_SPEED
        try:
            async with asyncio.timeout(allowed - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.refused = RefusedError(408, _SLOW)
            return {"type": "http.disconnect"}
        self._size += len(message.get("body", b""))
        self._is_complete = message["type"] != "http.request" or not message.get("more_body")
        if self._size > self._most:
            self.refused = _too_large(self._most)
            return {"type": "http.disconnect"}
        return message

    def unless_refused(self, send: Send) -> Send:
        """Suppress the app's response to a refused body."""

        async def filtered(message: Message) -> None:
            if self.refused is None or self.is_answered:
                self.is_answered = True
                await send(message)

        return filtered


async def _refuse(refused: RefusedError, receive: Receive, send: Send) -> None:
    """Respond and read on briefly, or a client that is still sending would miss the response."""
    answer = JSONResponse(
        {"error": refused.message}, refused.status, headers={"Connection": "close"}
    )
    head = {"status": refused.status, "headers": answer.raw_headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while size < _LINGER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    break
    await send({"type": "http.response.body", "body": b""})


def address_of(scope: Scope | Any) -> str:
    """Return the client's IPv4 address or its IPv6 /64 network, which usually is one household."""
    client = scope.get("client")
    host = client[0] if client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)
    return str(address) if address.version == 4 else str(address.exploded[:19])


def _note_session(visitor: _Visitor, session: str) -> None:
    now = time.monotonic()
    sessions = visitor.sessions
    while sessions and now - next(iter(sessions.values())) > SESSION_SECONDS:
        sessions.popitem(last=False)
    if session not in sessions and len(sessions) >= SESSIONS:
        raise RefusedError(429, _MANY)
    sessions[session] = now
    sessions.move_to_end(session)

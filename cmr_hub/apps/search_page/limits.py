"""What one visitor may ask of the page at once, so that others are served meanwhile."""

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
from cmr_hub.apps.search_page.routes import WORK, is_stream
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_JSON: Final = 1_000_000
MAX_UPLOADS: Final = 260 * 2**20
"""Of all files in one request; each may have 64 MB."""
MAX_BODIES: Final = 200 * 2**20
"""Of all bodies that are held in memory at once; half of it by one address."""
BODY_SECONDS: Final = 10.0
BODY_SPEED: Final = 32_768
"""Bytes a second that a body may need beyond that."""
AT_WORK: Final = 4
"""Requests for work that an address has before the page at once; its others wait behind them."""
WAITING: Final = 124
STREAMS: Final = 100
SESSIONS: Final = 128
SESSION_SECONDS: Final = 600.0
QUEUED: Final = 64
UPLOADING: Final = 12
FREE_SECONDS: Final = 0.1
"""Of work that one request may take before it counts."""
BURST_SECONDS: Final = 20.0
REFILL: Final = 0.25
"""Seconds of work that a visitor gets back each second."""

_MOST_ADDRESSES: Final = 10_000
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64 * 2**20
_LARGE: Final = "The request is too large: at most {most} are taken here."
_SLOW: Final = "The request came too slowly; send it again."
_BUSY: Final = "You ask too much at once; wait for some answers first."
_TIRED: Final = "You have asked for much work; try again in a minute."
_MANY: Final = "Too many visits are open from your address; close some, or try again later."


@dataclass
class _Visitor:
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_WORK))
    asked: int = 0
    streams: int = 0
    uploading: int = 0
    bytes: int = 0
    sessions: OrderedDict[str, float] = field(default_factory=OrderedDict)
    used: float = 0.0


class Work:
    """How many seconds of work each address has asked for lately."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def is_spent(self, address: str) -> bool:
        """Whether an address has had enough for now."""
        with self._lock:
            return self._left(address) <= 0

    def spend(self, address: str, seconds: float) -> None:
        """Notes work; what is short does not count."""
        if seconds <= FREE_SECONDS:
            return
        with self._lock:
            self._spent[address] = (self._left(address) - seconds, time.monotonic())
            self._spent.move_to_end(address)
            while len(self._spent) > _MOST_ADDRESSES:
                self._spent.popitem(last=False)

    @contextmanager
    def of(self, address: str) -> Iterator[None]:
        """Notes what this thread does meanwhile."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.spend(address, time.thread_time() - started)

    def _left(self, address: str) -> float:
        left, then = self._spent.get(address, (BURST_SECONDS, 0.0))
        return min(BURST_SECONDS, left + REFILL * (time.monotonic() - then))


class RefusedError(Exception):
    """A limit is reached: the status to answer with, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Limits:
    """Counts what each address asks for, and refuses what is too much with a sentence.

    413 is too large, 408 too slow, 429 too much at once. Bodies are read before a request counts,
    but for uploads, which go to the disk.

    Args:
        app: makes what answers; it may call `note_session`.
        work: of this page.
        queued: how many events of an address wait in Gradio's queue.
    """

    def __init__(
        self, app: Callable[[Limits], ASGIApp], work: Work, queued: Callable[[str], int]
    ) -> None:
        self._app, self._work, self._queued = app(self), work, queued
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
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
            await _tell(refused, receive, send)

    def note_session(self, scope: Scope, session: str) -> None:
        """Counts the sessions of an address; too many end the request."""
        _note_session(self._visitor(address_of(scope)), session)

    def _visitor(self, address: str) -> _Visitor:
        visitor = self._visitors.setdefault(address, _Visitor())
        visitor.used = time.monotonic()
        self._visitors.move_to_end(address)
        if len(self._visitors) > _MOST_ADDRESSES:
            oldest = list(self._visitors.items())[: len(self._visitors) - _MOST_ADDRESSES]
            for old, one in oldest:
                if not (one.asked or one.streams or one.uploading or one.bytes):
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
            # It only says that the body has ended early.
            if body.refused is None:
                raise
        finally:
            visitor.uploading -= 1
        if body.refused is not None and not body.is_answered:
            raise body.refused

    async def _worked(
        self, scope: Scope, receive: Receive, send: Send, address: str, visitor: _Visitor
    ) -> None:
        held = 0
        if scope["method"] == "POST":
            most = MAX_JSON if is_json(scope) else MAX_PICTURE_BYTES
            body = await self._body(scope, receive, visitor, most)
            held = len(body)
            receive = replay(body, receive)
        self._hold(visitor, held)
        try:
            if is_event(scope) and self._queued(address) >= QUEUED:
                raise RefusedError(429, _BUSY)
            works = is_event(scope) or scope["path"].rstrip("/") in WORK
            if works and self._work.is_spent(address):
                raise RefusedError(429, _TIRED)
            if visitor.asked >= AT_WORK + WAITING:
                raise RefusedError(429, _BUSY)
            visitor.asked += 1
            try:
                # What an MCP client asks is asked once more, of the page itself.
                is_mcp = scope["path"].startswith("/gradio_api/mcp")
                async with visitor.turn if works and not is_mcp else nullcontext():
                    await self._app(scope, receive, send)
            finally:
                visitor.asked -= 1
        finally:
            self._hold(visitor, -held)

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
                self._hold(visitor, len(part))
                data += part
                if self._bytes > MAX_BODIES or visitor.bytes > MAX_BODIES // 2:
                    raise RefusedError(429, _BUSY)
                if message["type"] != "http.request" or not message.get("more_body"):
                    return bytes(data)
        finally:
            self._hold(visitor, -len(data))

    def _hold(self, visitor: _Visitor, size: int) -> None:
        self._bytes += size
        visitor.bytes += size


def _too_large(most: int) -> RefusedError:
    taken = "1 MB" if most == MAX_JSON else f"{most // 2**20} MB"
    return RefusedError(413, _LARGE.format(most=taken))


class _Body:
    """A body as it comes in: not more than is taken, and not slower than a bad line is."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._size, self._started, self._is_whole = 0, time.monotonic(), False
        self.refused: RefusedError | None = None
        self.is_answered = False

    async def part(self) -> Message:
        """The next part; after a refusal, that the visitor has gone."""
        if self._is_whole:
            return await self._receive()
        allowed = self._started + BODY_SECONDS + self._size / BODY_SPEED
        try:
            async with asyncio.timeout(allowed - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.refused = RefusedError(408, _SLOW)
            return {"type": "http.disconnect"}
        self._size += len(message.get("body", b""))
        self._is_whole = message["type"] != "http.request" or not message.get("more_body")
        if self._size > self._most:
            self.refused = _too_large(self._most)
            return {"type": "http.disconnect"}
        return message

    def unless_refused(self, send: Send) -> Send:
        """Keeps back what the app says of a body that was refused."""

        async def told(message: Message) -> None:
            if self.refused is None or self.is_answered:
                self.is_answered = True
                await send(message)

        return told


async def _tell(refused: RefusedError, receive: Receive, send: Send) -> None:
    """Answers, and reads on for a moment: one who still sends would not see the answer else."""
    answer = JSONResponse({"error": refused.why}, refused.status, headers={"Connection": "close"})
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
    """Whom a request comes from: one address, or one network of a home."""
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

"""Close the event stream of a session without losing answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSING_SECONDS: Final = 2.0
"""Maximum time to wait for a visitor to close a stream that has ended."""
_CLOSE: Final = b'"close_stream"'


class EventStreams:
    """ASGI middleware that works around a race when Gradio closes the event stream of a session.

    Gradio ends the stream when no event is pending, and the browser opens a new one for the next
    event. If an event arrives before the browser receives the end, the browser still considers the
    old stream open, the answer is lost, and the page waits forever. Therefore, a stream continues
    if an event has arrived. An event that arrives later is confirmed only after the browser has
    closed the old stream.

    Args:
        app: the app behind this one.
        has_events: returns whether a session has pending events.
    """

    def __init__(self, app: ASGIApp, has_events: Callable[[str], bool]) -> None:
        self._app, self._has_events = app, has_events
        self._closing: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        path = scope.get("path", "").rstrip("/")
        if path == "/gradio_api/queue/data":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            await self._stream(scope, receive, send, query.get("session_hash", [""])[-1])
        elif path == "/gradio_api/queue/join":
            await self._app(scope, receive, self._confirmed(send, scope.get("session_hash")))
        else:
            await self._app(scope, receive, send)

    def _confirmed(self, send: Send, session: str | None) -> Send:
        async def confirm(message: Message) -> None:
            closing = self._closing.get(session or "")
            if closing is not None:
                await closing.wait()
            await send(message)

        return confirm

    async def _stream(self, scope: Scope, receive: Receive, send: Send, session: str) -> None:
        is_started, continues, closing = False, True, None

        async def pass_on(message: Message) -> None:
            nonlocal is_started, continues, closing
            if message["type"] == "http.response.start":
                if is_started:
                    return
                is_started = True
            elif _CLOSE in message.get("body", b""):
                continues = self._has_events(session)
                if not continues:
                    closing = self._closing[session] = asyncio.Event()
            elif closing is not None and not message.get("more_body"):
                await _wait_for_disconnect(receive)
            if not continues:
                await send(message)

        while continues:
            continues = False
            try:
                await self._app(scope, receive, pass_on)
            finally:
                if closing is not None:
                    closing.set()
                    if self._closing.get(session) is closing:
                        del self._closing[session]


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until the visitor closes the connection, at most `CLOSING_SECONDS`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass

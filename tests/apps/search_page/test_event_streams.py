"""No answer is lost when the stream of a visitor's events ends."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from page_window import search_for

from cmr_hub.apps.search_page import event_streams, serving
from cmr_hub.apps.search_page.event_streams import EventStreams

T = TypeVar("T")
CLOSE = b'data: {"msg":"close_stream"}\n\n'
STREAM = {"type": "http", "path": "/gradio_api/queue/data", "query_string": b"session_hash=me"}
JOIN = {"type": "http", "path": "/gradio_api/queue/join", "session_hash": "me"}


class Visit:
    """A visitor's stream and one event, with what arrives in the browser."""

    def __init__(self, waiting: list[str]) -> None:
        self.waiting, self.sent, self.has_left = waiting, [], asyncio.Event()
        self.streams = EventStreams(self.gradio, lambda _: bool(self.waiting))

    async def gradio(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200})
        if scope["path"].endswith("/data"):
            for answer in self.waiting[:1] or ["first"]:
                self.waiting[:] = self.waiting[1:]
                await send({"type": "http.response.body", "body": answer.encode(), "more_body": 1})
            await self.before_the_end()
            await send({"type": "http.response.body", "body": CLOSE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def before_the_end(self) -> None: ...

    async def stream(self) -> None:
        async def receive() -> dict[str, str]:
            await self.has_left.wait()
            return {"type": "http.disconnect"}

        async def send(message) -> None:
            self.sent.append(message.get("body", b"start"))

        await self.streams(STREAM, receive, send)

    async def join(self, session: str = "me") -> None:
        async def send(message) -> None:
            self.sent.append(f"joined {message['type'][14:]}".encode())

        await self.streams({**JOIN, "session_hash": session}, None, send)


def run(scene: Coroutine[None, None, T]) -> T:
    """Runs it in a thread of its own: the browser has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, scene).result(30)


def test_an_event_that_came_before_the_end_keeps_the_stream_open() -> None:
    async def scene() -> list[bytes]:
        visit = Visit([])

        async def event_comes() -> None:
            if visit.sent == [b"start", b"first"]:
                visit.waiting.append("second")

        visit.before_the_end = event_comes
        visit.has_left.set()
        await visit.stream()
        return visit.sent

    assert run(scene()) == [b"start", b"first", b"second", CLOSE, b""]


def test_an_event_that_comes_after_the_end_waits_until_the_browser_has_read_it() -> None:
    async def scene() -> Visit:
        visit = Visit([])
        stream = asyncio.create_task(visit.stream())
        while CLOSE not in visit.sent:
            await asyncio.sleep(0)
        await visit.join("somebody else")
        mine = asyncio.create_task(visit.join())
        for _ in range(20):
            await asyncio.sleep(0)
        visit.sent.append(b"closed")
        visit.has_left.set()
        await asyncio.gather(stream, mine)
        await visit.join()
        return visit

    joined = [b"joined start", b"joined body"]
    sent = run(scene()).sent
    assert sent == [b"start", b"first", CLOSE, *joined, b"closed", b"", *joined, *joined]


def test_nobody_waits_for_a_browser_that_never_closes(monkeypatch) -> None:
    monkeypatch.setattr(event_streams, "CLOSING_SECONDS", 0.01)

    async def scene() -> None:
        visit = Visit([])
        await visit.stream()
        await visit.join()

    run(scene())


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_search_while_the_stream_ends(visit, model, serve_page, monkeypatch, place) -> None:
    """In a browser that receives the end of the stream late."""

    def late(app):
        async def delayed(scope, receive, send) -> None:
            async def slowly(message) -> None:
                if b'"close_stream"' in message.get("body", b""):
                    await asyncio.sleep(1)
                await send(message)

            await app(scope, receive, slowly)

        return delayed

    def streams(app, has_events):
        if place == "before":
            return late(EventStreams(app, has_events))
        return EventStreams(late(app), has_events)

    monkeypatch.setattr(serving, "EventStreams", streams)
    window = visit(serve_page(copy.copy(model), name="squares"))
    for sentence in ("a red square", "a blue square, wug", "a red square"):
        search_for(window, sentence, "wug" if "wug" in sentence else "12 pictures found in")

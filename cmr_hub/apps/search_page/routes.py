"""The routes that the page serves. Whatever else Gradio has, now or later, is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_API: Final = "/gradio_api"
_NAME: Final = r"[\w.-]{1,200}"

PAGE: Final = {
    "/": "GET",
    "/config": "GET",
    "/theme.css": "GET",
    "/favicon.ico": "GET",
    "/manifest.json": "GET",
    "/robots.txt": "GET",
    rf"/(?:assets|static|svelte)/(?:{_NAME}/){{0,8}}{_NAME}": "GET",
    rf"{_API}/info": "GET",
    rf"{_API}/app_id": "GET",
    rf"{_API}/theme\.css": "GET",
    rf"{_API}/startup-events": "GET",
    rf"{_API}/heartbeat/{_NAME}": "GET",
    rf"{_API}/queue/data": "GET",
    rf"{_API}/queue/status": "GET",
    rf"{_API}/queue/join": "POST",
    rf"{_API}/(?:run|api|call|call/v2)/{_NAME}": "POST",
    rf"{_API}/(?:call|call/v2)/{_NAME}/{_NAME}": "GET",
    rf"{_API}/cancel": "POST",
    rf"{_API}/reset": "POST",
    rf"{_API}/upload": "POST",
    rf"{_API}/upload_progress": "GET",
    rf"{_API}/file=.+": "GET",
    "/picture": "GET",
    "/search_text": "GET",
    "/search_image": "POST",
    "/encode": "GET POST",
}
"""Patterns of paths, and the methods; `HEAD` goes with `GET`."""
MCP: Final = {
    rf"{_API}/mcp(?:/http)?": "GET POST DELETE",
    rf"{_API}/mcp/schema": "GET",
    rf"{_API}/mcp/sse": "GET",
    rf"{_API}/mcp/messages": "POST",
}
"""The same of the MCP server."""
WORK: Final = ("/picture", "/search_text", "/search_image", "/encode")
"""Those that read pictures or ask the model, beside Gradio's events."""
_STREAMS: Final = re.compile(
    rf"{_API}/(?:heartbeat/.*|queue/data|upload_progress|(?:call|call/v2)/[^/]+/.*|mcp.*)"
)


class OnlyRoutes:
    """Answers 404 to all but what the page serves.

    Args:
        app: what answers the rest.
        mcp: whether there is an MCP server.
    """

    def __init__(self, app: ASGIApp, *, mcp: bool) -> None:
        self._app = app
        served = PAGE | MCP if mcp else PAGE
        self._served = [
            (re.compile(f"{path}/?"), {*methods.split()}) for path, methods in served.items()
        ]

    def serves(self, method: str, path: str) -> bool:
        """Whether there is such a route."""
        wanted = "GET" if method == "HEAD" else method
        return any(
            wanted in methods and pattern.fullmatch(path) for pattern, methods in self._served
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan" or self.serves(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)


def is_stream(method: str, path: str) -> bool:
    """Whether the answer goes on as long as the visitor listens."""
    return method == "GET" and _STREAMS.fullmatch(path) is not None

"""List the routes that the page serves; all other routes of Gradio are closed."""

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
    "/search": "GET POST",
    "/search_text": "GET",
    "/search_image": "POST",
    "/encode": "GET POST",
    "/facets": "GET",
    "/item/.+": "GET",
    "/health": "GET",
    r"/openapi\.json": "GET",
}
"""Methods by pattern of the path; `GET` includes `HEAD`."""
MCP: Final = {
    rf"{_API}/mcp(?:/http)?": "GET POST DELETE",
    rf"{_API}/mcp/schema": "GET",
    rf"{_API}/mcp/sse": "GET",
    rf"{_API}/mcp/messages": "POST",
}
"""Additional routes of the MCP server."""
_WORK: Final = re.compile(
    rf"/(?:picture|search|search_text|search_image|encode|facets)/?|{_API}/file=.+"
)
_STREAMS: Final = re.compile(
    rf"{_API}/(?:heartbeat/.*|queue/data|upload_progress|(?:call|call/v2)/[^/]+/.*|mcp.*)"
)


class OnlyRoutes:
    """ASGI middleware that responds with 404 to all other routes.

    Args:
        app: the app behind this one.
        mcp: whether to serve the routes of the MCP server.
    """

    def __init__(self, app: ASGIApp, *, mcp: bool) -> None:
        self._app = app
        served = PAGE | MCP if mcp else PAGE
        self._served = [
            (re.compile(f"{path}/?"), {*methods.split()}) for path, methods in served.items()
        ]

    def serves(self, method: str, path: str) -> bool:
        """Return whether the page serves this route."""
        method = "GET" if method == "HEAD" else method
        return any(
            method in methods and pattern.fullmatch(path) for pattern, methods in self._served
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "lifespan" or self.serves(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("This page does not exist.", 404)(scope, receive, send)


def is_stream(method: str, path: str) -> bool:
    """Return whether the response is a stream that lasts until the visitor leaves."""
    return method == "GET" and _STREAMS.fullmatch(path) is not None


def is_work(path: str) -> bool:
    """Return whether a route that is not an event reads pictures or runs the model."""
    return _WORK.fullmatch(path) is not None

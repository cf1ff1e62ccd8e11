"""Check the JSON of requests to Gradio's events before Gradio reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cmr_hub.apps.search_page.visitor_files import VisitorFolder

MAX_LIST: Final = 1_000
MAX_DEPTH: Final = 20
MAX_VALUES: Final = 10_000
_UPLOAD: Final = "/gradio_api/upload"
_MCP: Final = "/gradio_api/mcp"
_FILE: Final = "/gradio_api/file="
_CHECKED: Final = ("/gradio_api/run/", "/gradio_api/api/", "/gradio_api/call/")
_MARKS: Final = ("path", "url", "meta", "is_stream", "orig_name", "mime_type")


class TooLargeError(CMRError):
    """A request is larger than allowed."""


class Payloads:
    """ASGI middleware that checks the JSON of every request and passes on a sanitised copy.

    Every object that looks like a file, with or without Gradio's type marker and at any depth,
    must be an upload of the same session. Only its path and name are passed on. The session is
    added to the scope as `session_hash`.

    Args:
        app: the app behind this one.
        files: the visitors' files.
        note_session: function that receives the session of each request and may refuse it.
    """

    def __init__(
        self, app: ASGIApp, files: VisitorFolder, note_session: Callable[[Scope, str], None]
    ) -> None:
        self._app, self._files, self._note_session = app, files, note_session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if not is_json(scope):
            await self._app(scope, receive, send)
            return
        body = await read(receive)
        try:
            checked, session = self._checked(body, scope)
        except TooLargeError as error:
            await JSONResponse({"error": sentence(error)}, 413)(scope, receive, send)
        except CMRError as error:
            await JSONResponse({"error": sentence(error)}, 400)(scope, receive, send)
        else:
            scope = {**scope, "headers": list(scope["headers"]), "session_hash": session}
            headers = MutableHeaders(scope=scope)
            headers["content-length"] = str(len(checked))
            del headers["transfer-encoding"]
            headers["content-type"] = "application/json"
            await self._app(scope, replay(checked, receive), send)

    def _checked(self, body: bytes, scope: Scope) -> tuple[bytes, str | None]:
        path = scope["path"]
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CMRError("the request is not JSON") from error
        if not isinstance(payload, dict) and not path.startswith(_MCP):
            raise CMRError("the request is not a JSON object")
        session = payload.get("session_hash") if isinstance(payload, dict) else None
        if session is not None and not (isinstance(session, str) and 0 < len(session) <= 100):
            raise CMRError("the request's session_hash is not a string of 1 to 100 characters")
        if session is not None:
            self._note_session(scope, session)
        checker = _Checker(self._files, session)
        if path.startswith(_MCP):
            checker.bounded(payload)
            return body, session
        # `cleaned` removes lone surrogates later.
        return json.dumps(checker.checked(payload)).encode(), session


class _Checker:
    """Checker of the values of one request."""

    def __init__(self, files: VisitorFolder, session: str | None) -> None:
        self._files, self._session = files, session
        self._seen = 0

    def checked(self, value: Any, depth: int = 0) -> Any:
        """Return a copy of the value in which every file is an upload of the session."""
        self._count(value, depth)
        if isinstance(value, list):
            return [self.checked(each, depth + 1) for each in value]
        if not isinstance(value, dict):
            return value
        if depth and any(mark in value for mark in _MARKS):
            return self._file(value)
        return {name: self.checked(each, depth + 1) for name, each in value.items()}

    def bounded(self, value: Any, depth: int = 0) -> None:
        """Check only the size of the value."""
        self._count(value, depth)
        inner = value if isinstance(value, list) else ()
        for each in value.values() if isinstance(value, dict) else inner:
            self.bounded(each, depth + 1)

    def _count(self, value: Any, depth: int) -> None:
        self._seen += 1
        if isinstance(value, (list, dict)) and len(value) > MAX_LIST:
            raise TooLargeError(
                f"a list has {len(value):,} values; at most {MAX_LIST:,} are accepted"
            )
        if depth > MAX_DEPTH or self._seen > MAX_VALUES:
            raise TooLargeError("the request has too many or too deeply nested values")

    def _file(self, value: dict[str, Any]) -> dict[str, Any]:
        path = value.get("path")
        if isinstance(path, str) and path.startswith(("http://", "https://")):
            # MCP clients refer to an upload by its URL on this page, which is not fetched.
            path = unquote(urlsplit(path).path.partition(_FILE)[2])
        path = self._files.claim(path, self._session)
        name = value.get("orig_name")
        return {
            "path": path,
            "orig_name": name if isinstance(name, str) else None,
            "meta": {"_type": "gradio.FileData"},
        }


def is_json(scope: Scope) -> bool:
    """Return whether the body of a request must be JSON: all posts to Gradio except uploads."""
    path: str = scope.get("path", "")
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and path.startswith("/gradio_api/")
        and path.rstrip("/") != _UPLOAD
    )


def is_event(scope: Scope) -> bool:
    """Return whether a request starts an event."""
    path: str = scope["path"]
    return is_json(scope) and (
        path.startswith((*_CHECKED, _MCP)) or path.rstrip("/") == "/gradio_api/queue/join"
    )


async def read(receive: Receive) -> bytes:
    """Read the complete body; `Limits` has checked the size."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` function that first returns a body that was already read."""
    is_sent = False

    async def again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def length_of(scope: Scope) -> int | None:
    """Return the Content-Length of a request, or None."""
    value = Headers(scope=scope).get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None

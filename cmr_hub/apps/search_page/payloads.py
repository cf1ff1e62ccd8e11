"""What visitors hand to Gradio's events, looked at before Gradio sees any of it."""

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
    """More was sent than is taken."""


class Payloads:
    """Checks the JSON of every request, and writes it anew for the app behind it.

    Whatever looks like a file, with or without Gradio's marks and wherever it stands, must be an
    upload of the same session; only its path is passed on.

    Args:
        app: what answers.
        files: the visitors'.
        note_session: called with the session of each request; may refuse it.
    """

    def __init__(
        self, app: ASGIApp, files: VisitorFolder, note_session: Callable[[Scope, str], None]
    ) -> None:
        self._app, self._files, self._note_session = app, files, note_session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if not is_json(scope):
            await self._app(scope, receive, send)
            return
        body = await read(receive)
        try:
            checked = self._checked(body, scope)
        except TooLargeError as error:
            await JSONResponse({"error": sentence(error)}, 413)(scope, receive, send)
        except CMRError as error:
            await JSONResponse({"error": sentence(error)}, 400)(scope, receive, send)
        else:
            scope = {**scope, "headers": list(scope["headers"])}
            headers = MutableHeaders(scope=scope)
            headers["content-length"] = str(len(checked))
            del headers["transfer-encoding"]
            headers["content-type"] = "application/json"
            await self._app(scope, replay(checked, receive), send)

    def _checked(self, body: bytes, scope: Scope) -> bytes:
        path = scope["path"]
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CMRError("the request is not JSON") from error
        if not isinstance(given, dict) and not path.startswith(_MCP):
            raise CMRError("the request is not a JSON object")
        session = given.get("session_hash") if isinstance(given, dict) else None
        if session is not None and not (isinstance(session, str) and 0 < len(session) <= 100):
            raise CMRError("the request's session_hash is not one")
        if session is not None:
            self._note_session(scope, session)
        checker = _Checker(self._files, session)
        if path.startswith(_MCP):
            checker.bounded(given)
            return body
        # Halves of characters are reported later, where the text is read.
        return json.dumps(checker.checked(given)).encode()


class _Checker:
    """Goes through one request."""

    def __init__(self, files: VisitorFolder, session: str | None) -> None:
        self._files, self._session = files, session
        self._seen = 0

    def checked(self, value: Any, depth: int = 0) -> Any:
        """The value with its files made safe."""
        self._count(value, depth)
        if isinstance(value, list):
            return [self.checked(each, depth + 1) for each in value]
        if not isinstance(value, dict):
            return value
        if depth and any(mark in value for mark in _MARKS):
            return self._file(value)
        return {name: self.checked(each, depth + 1) for name, each in value.items()}

    def bounded(self, value: Any, depth: int = 0) -> None:
        """Looks at sizes alone."""
        self._count(value, depth)
        inner = value if isinstance(value, list) else ()
        for each in value.values() if isinstance(value, dict) else inner:
            self.bounded(each, depth + 1)

    def _count(self, value: Any, depth: int) -> None:
        self._seen += 1
        if isinstance(value, (list, dict)) and len(value) > MAX_LIST:
            raise TooLargeError(f"a list has {len(value):,} parts; at most {MAX_LIST:,} are taken")
        if depth > MAX_DEPTH or self._seen > MAX_VALUES:
            raise TooLargeError("the request has too many parts in each other")

    def _file(self, value: dict[str, Any]) -> dict[str, Any]:
        path = value.get("path")
        if isinstance(path, str) and path.startswith(("http://", "https://")):
            # MCP names an upload by its address on this page; nothing is fetched from it.
            path = unquote(urlsplit(path).path.partition(_FILE)[2])
        path = self._files.claim(path, self._session)
        name = value.get("orig_name")
        return {
            "path": path,
            "orig_name": name if isinstance(name, str) else None,
            "meta": {"_type": "gradio.FileData"},
        }


def is_json(scope: Scope) -> bool:
    """Whether the body of a request is JSON: of all posts to Gradio but uploads."""
    path: str = scope.get("path", "")
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and path.startswith("/gradio_api/")
        and path.rstrip("/") != _UPLOAD
    )


def is_event(scope: Scope) -> bool:
    """Whether a request begins an event."""
    path: str = scope["path"]
    return is_json(scope) and (
        path.startswith((*_CHECKED, _MCP)) or path.rstrip("/") == "/gradio_api/queue/join"
    )


async def read(receive: Receive) -> bytes:
    """The whole body; others have bounded it."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Hands a body on that was read before."""
    is_sent = False

    async def again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def length_of(scope: Scope) -> int | None:
    """What a request says of the length of its body."""
    given = Headers(scope=scope).get("content-length", "")
    return int(given) if given.isascii() and given.isdigit() else None

"""Offer the service as plain HTTP, for curl and other HTTP clients.

`GET /search_text?text=…`, `POST /search_image` with a picture as the body, `GET /encode?text=…` or
`POST /encode`; `count`, `text` and `without` are query parameters. Errors are a status code and
`{"error": a sentence}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cmr_hub.apps.search_page.gradio_api import CONCURRENCY, QUEUE
from cmr_hub.apps.search_page.limits import Work, address_of
from cmr_hub.apps.search_page.pixels import BusyError
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES, decode_upload
from cmr_hub.errors import CMRError, ImageError

if TYPE_CHECKING:
    from PIL import Image

    from cmr_hub.apps.search_page.service import Service
    from cmr_hub.types import JSONObject

_READERS: Final = 12
"""Maximum number of pictures that are decoded, or wait to be decoded, at once."""
_ARGUMENTS: Final = {
    "search_text": ("text", "count", "without", "clear"),
    "search_image": ("text", "count"),
    "encode": ("text",),
}


def http_routes(service: Service, work: Work | None = None) -> list[Route]:
    """Return the routes of the service; at most `QUEUE` requests wait for their turn.

    Args:
        service: the service that answers.
        work: record of the seconds of work per address.
    """
    limiter, pending, recorded = CapacityLimiter(CONCURRENCY), 0, work or Work()
    readers = CapacityLimiter(_READERS)

    def route(name: str, methods: list[str]) -> Route:
        function = getattr(service, name)

        def read(address: str, body: bytes) -> dict[str, Image.Image]:
            with recorded.of(address):
                return {"picture": _decoded(body)}

        def compute(address: str, arguments: dict[str, Any]) -> JSONObject:
            with recorded.of(address):
                result: JSONObject = function(**arguments)
                return result

        async def answer(request: Request) -> Response:
            nonlocal pending
            query = request.query_params
            arguments: dict[str, Any] = {
                key: query[key] for key in _ARGUMENTS[name] if key in query
            }
            if name != "encode":
                arguments.setdefault("text", "")
            address = address_of(request.scope)
            # Requests count as pending only after they were read and decoded, so that sentences
            # need not wait behind large pictures.
            try:
                if request.method == "POST":
                    body = await _body(request)
                    arguments |= await to_thread.run_sync(read, address, body, limiter=readers)
            except BusyError as error:
                return _error(429, sentence(error))
            except CMRError as error:
                return _error(400, sentence(error))
            if pending >= CONCURRENCY + QUEUE:
                return _error(503, "There are too many requests; try again in a moment.")
            pending += 1
            try:
                result = await to_thread.run_sync(
                    partial(compute, address, arguments), limiter=limiter
                )
            except CMRError as error:
                return _error(400, sentence(error))
            finally:
                pending -= 1
            return JSONResponse(result)

        endpoint: Callable[[Request], Awaitable[Response]] = answer
        return Route(f"/{name}", endpoint, methods=methods)

    return [
        route("search_text", ["GET"]),
        route("search_image", ["POST"]),
        route("encode", ["GET", "POST"]),
    ]


def _decoded(body: bytes) -> Image.Image:
    try:
        return decode_upload(body)
    except ImageError as error:
        raise ImageError(f"cannot read the picture: {error}") from error


async def _body(request: Request) -> bytes:
    """Read the body of a request. Raises ImageError if it is too large."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_PICTURE_BYTES:
            raise ImageError(f"the picture is larger than {MAX_PICTURE_BYTES // 2**20} MB")
    return bytes(data)


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)

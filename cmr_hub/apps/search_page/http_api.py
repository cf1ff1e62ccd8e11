"""Offer the service as plain HTTP, for curl and other HTTP clients.

The routes are `GET /search?text=…`, `POST /search` with a picture or a JSON object as the body,
`/encode` with the same methods, and `GET` of `/facets`, `/item/ID`, `/health` and `/openapi.json`.
Unknown parameters are errors. The body of an error response is `{"error": message}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cmr_hub.apps.search_page.gradio_api import CONCURRENCY, QUEUE
from cmr_hub.apps.search_page.limits import Work, address_of
from cmr_hub.apps.search_page.query_options import QueryOptions, no_parameter, sentence
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES, BusyError, decode_upload
from cmr_hub.errors import CMRError, ImageError, QueryError
from cmr_hub.types import JSONObject
from cmr_hub.version import __version__

_READERS: Final = 12
"""Maximum number of pictures that are being decoded or wait to be decoded."""
_PARAMETERS: Final = {"search": (*QueryOptions.model_fields,), "encode": ("text",)}
_ROUTES: Final[dict[str, tuple[Callable[..., JSONObject], str, str]]] = {
    "/search": (Service.search, "GET POST", "Find pictures and sentences."),
    # Aliases from earlier releases.
    "/search_text": (Service.search, "GET", "Alias of /search."),
    "/search_image": (Service.search, "POST", "Alias of /search."),
    "/encode": (Service.encode, "GET POST", "Encode a text or a picture as a unit vector."),
    "/facets": (Service.facets, "GET", "List the columns with their values or ranges."),
    "/item/{id:path}": (Service.item, "GET", "Return one item of the gallery."),
    "/health": (Service.health, "GET", "Return the status of the page and its gallery."),
}


def http_routes(service: Service, work: Work | None = None) -> list[Route]:
    """Return the routes of the service. At most `QUEUE` requests wait.

    Args:
        service: the service to offer.
        work: record of the seconds of work per address.
    """
    limiter, pending, recorded = CapacityLimiter(CONCURRENCY), 0, work or Work()
    readers = CapacityLimiter(_READERS)

    def route(path: str, name: str, methods: list[str]) -> Route:
        function = getattr(service, name)

        def read(address: str, body: bytes, *, is_json: bool) -> JSONObject:
            with recorded.of(address):
                return _json(body) if is_json else {"picture": _decoded(body)}

        def compute(address: str, arguments: dict[str, Any]) -> JSONObject:
            with recorded.of(address):
                result: JSONObject = function(**arguments)
                return result

        async def answer(request: Request) -> Response:
            nonlocal pending
            address = address_of(request.scope)
            # A request counts as pending only after its body was decoded, so that sentences do not
            # wait for large pictures.
            try:
                arguments: JSONObject = dict(request.query_params)
                _check(name, arguments)
                body: JSONObject = {}
                if request.method == "POST":
                    is_json = "json" in request.headers.get("content-type", "")
                    data = await _body(request)
                    reader = partial(read, is_json=is_json)
                    body = await to_thread.run_sync(reader, address, data, limiter=readers)
                    if is_json:
                        _check(name, body)
            except CMRError as error:
                return _refused(error)
            if pending >= CONCURRENCY + QUEUE:
                return _error(503, "There are too many requests; try again in a moment.")
            pending += 1
            try:
                result = await to_thread.run_sync(
                    partial(compute, address, {**arguments, **body, **request.path_params}),
                    limiter=limiter,
                )
            except CMRError as error:
                return _refused(error, 404 if name == "item" else 400)
            finally:
                pending -= 1
            return JSONResponse(result)

        return Route(path, answer, methods=methods)

    async def description(request: Request) -> Response:
        return JSONResponse(openapi())

    routes = [
        route(path, method.__name__, methods.split())
        for path, (method, methods, _) in _ROUTES.items()
    ]
    return [*routes, Route("/openapi.json", description)]


def openapi() -> JSONObject:
    """Describe the routes in the OpenAPI 3.1 format."""
    schema = QueryOptions.model_json_schema()
    fields = schema["properties"]
    pictures = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
    bodies = {
        "search": pictures | {"application/json": {"schema": schema}},
        "encode": pictures,
    }
    paths: dict[str, JSONObject] = {}
    for path, (function, methods, summary) in _ROUTES.items():
        name = function.__name__
        parameters: list[JSONObject] = [
            {
                "name": each,
                "in": "query",
                "description": fields[each]["description"],
                "schema": {key: fields[each][key] for key in fields[each] if key != "description"},
            }
            for each in _PARAMETERS.get(name, ())
        ]
        if name == "item":
            parameters = [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ]
        for method in methods.lower().split():
            operation = paths.setdefault(path.replace(":path", ""), {})[method] = {
                "summary": summary,
                "parameters": parameters,
                "responses": {
                    "200": {"description": "The result.", "content": {"application/json": {}}},
                    "4XX": {"description": "An object with the message `error`."},
                },
            }
            if method == "post":
                operation["requestBody"] = {"content": bodies[name]}
    info = {"title": "CMR Hub: search page", "version": __version__}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _check(name: str, parameters: Iterable[str]) -> None:
    """Raise QueryError for an unknown parameter of a route."""
    known = _PARAMETERS.get(name, ())
    for each in parameters:
        if each not in known:
            raise no_parameter(each, known)


def _json(body: bytes) -> JSONObject:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise QueryError("the request is not JSON") from error
    if not isinstance(values, dict):
        raise QueryError("the request is not a JSON object")
    return values


def _decoded(body: bytes) -> Any:
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


def _refused(error: CMRError, status: int = 400) -> JSONResponse:
    return _error(429 if isinstance(error, BusyError) else status, sentence(error))


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)

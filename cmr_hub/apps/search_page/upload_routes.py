"""Routes that receive and return visitors' files; they replace those of Gradio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from cmr_hub.apps.search_page.limits import Work, address_of
from cmr_hub.apps.search_page.payloads import TooLargeError
from cmr_hub.apps.search_page.pictures import LARGE, jpeg
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.sessions import MAX_PICTURES
from cmr_hub.apps.search_page.uploads import BusyError
from cmr_hub.apps.search_page.visitor_files import FULL, NOT_YOURS, no_room
from cmr_hub.errors import CMRError, ImageError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.visitor_files import VisitorFolder

MAX_FILE: Final = 64 * 2**20
_FIELD: Final = "files"
# Prevent browsers from running an uploaded file as HTML or as a script.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Disposition": "inline",
}
_MEDIA_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}


def upload_routes(files: VisitorFolder, work: Work) -> list[Route]:
    """Return the routes that upload files and serve them back.

    Uploads are spooled to unnamed files, so that no file remains after an interrupted upload or a
    killed process.

    Args:
        files: the folder in which uploads are stored.
        work: tracks the processing time used by each client address.
    """

    async def upload(request: Request) -> Response:
        try:
            return JSONResponse(await receive(request))
        except ClientDisconnect:
            return _error(400, "The upload was interrupted.")
        except HTTPException as error:  # the form is malformed
            return _error(error.status_code, "Send at most 200 files as a form.")
        except CMRError as error:
            status = 507 if no_room(error) else 413 if isinstance(error, TooLargeError) else 400
            return _error(status, sentence(error))
        except OSError as error:
            if not no_room(error):
                raise
            return _error(507, sentence(CMRError(FULL)))

    async def receive(request: Request) -> list[str]:
        async with request.form(max_files=MAX_PICTURES, max_fields=10) as form:
            parts = [part for part in form.getlist(_FIELD) if isinstance(part, UploadFile)]
            if not parts:
                raise CMRError("send files in the field `files` of a form")
            if any((part.size or 0) > MAX_FILE for part in parts):
                raise TooLargeError(f"a file may have at most {MAX_FILE // 2**20} MB")
            return await to_thread.run_sync(keep, parts, address_of(request.scope))

    def keep(parts: list[UploadFile], address: str) -> list[str]:
        stored: list[str] = []
        try:
            for part in parts:
                stored.append(files.keep(part.filename or "", part.file, address))
        except BaseException:
            files.remove(stored)
            raise
        return stored

    def file(request: Request) -> Response:
        path = request.path_params["path"]
        # Gradio's page requests an absolute path, which may have lost its leading slash.
        found = next((one for one in (path, f"/{path}") if files.has(one)), None)
        suffix = f".{path.rpartition('.')[2].lower()}"
        if found is None:
            return PlainTextResponse(sentence(CMRError(NOT_YOURS)), 404)
        if suffix in _MEDIA_TYPES:
            return FileResponse(found, media_type=_MEDIA_TYPES[suffix], headers=_HEADERS)
        try:  # a picture that browsers cannot show, such as HEIC
            with work.of(address_of(request.scope)):
                return Response(jpeg(found, LARGE), media_type="image/jpeg", headers=_HEADERS)
        except BusyError as error:
            return PlainTextResponse(sentence(error), 429, _HEADERS)
        except ImageError:
            media_type = "application/octet-stream"
            return FileResponse(found, media_type=media_type, headers=_HEADERS)

    return [
        Route("/gradio_api/upload", upload, methods=["POST"]),
        Route("/gradio_api/upload_progress", _progress),
        Route("/gradio_api/file={path:path}", file),
    ]


async def _progress(request: Request) -> Response:
    """Report to Gradio's page that the upload is complete, because progress is not measured."""
    return StreamingResponse(iter(['data: {"msg": "done"}\n\n']), media_type="text/event-stream")


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)

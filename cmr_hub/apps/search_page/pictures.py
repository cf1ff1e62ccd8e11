"""Serve the pictures of the gallery and of the sessions, and no other files."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cmr_hub.apps.search_page.limits import Work, address_of
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.uploads import BusyError, decoding, pixels_of
from cmr_hub.datasets.images import read_image
from cmr_hub.errors import ImageError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Engine

SMALL: Final = 480
LARGE: Final = 1600
_CACHE_SIZE: Final = 1024
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


def picture_route(
    gallery: Engine, own: Callable[[str], Engine | None], work: Work | None = None
) -> Route:
    """Return the route `/picture?id=…`, with the options `&small=1` and `&own=TOKEN`.

    Requests contain the id of an item, never a path. Pictures are encoded again, so that no
    metadata is sent, for example the place where a photograph was taken.

    Args:
        gallery: engine of the common gallery.
        own: returns the engine of a session's own pictures by its token, or None.
        work: record of the seconds of work per address.
    """
    recorded = work or Work()

    @lru_cache(_CACHE_SIZE)
    def small(path: str) -> bytes:
        return jpeg(path, SMALL)

    # Starlette runs a function that is not async in a thread, so that the page is not blocked.
    def picture(request: Request) -> Response:
        token = request.query_params.get("own")
        engine = gallery if token is None else own(token)
        row = (
            None
            if engine is None
            else engine.gallery.store.rows([request.query_params.get("id", "")])
        )
        path = row.items["path"][0].as_py() if row is not None and len(row) else None
        if path is None:
            return PlainTextResponse("There is no such picture.", 404, _HEADERS)
        try:
            with recorded.of(address_of(request.scope)):
                if token is None and "small" in request.query_params:
                    data = small(path)
                else:
                    data = jpeg(path, SMALL if "small" in request.query_params else LARGE)
        except BusyError as error:
            return PlainTextResponse(sentence(error), 429, _HEADERS)
        except ImageError:
            return PlainTextResponse("The picture no longer exists.", 404, _HEADERS)
        caching = "private, max-age=3600" if token is None else "no-store"
        return Response(
            data, media_type="image/jpeg", headers={**_HEADERS, "Cache-Control": caching}
        )

    return Route("/picture", picture)


def jpeg(source: str | Path | Image.Image, side: int, quality: int = 85) -> bytes:
    """Encode a picture as JPEG, scaled down to at most `side` pixels per side.

    Raises:
        ImageError: the picture cannot be read.
        BusyError: too many large pictures are being read.
    """
    if isinstance(source, Image.Image):
        image = read_image(source, enough=side)
        image.thumbnail((side, side))
    else:
        with decoding(pixels_of(Path(source), side)):
            image = read_image(source, enough=side)
            image.thumbnail((side, side))
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()

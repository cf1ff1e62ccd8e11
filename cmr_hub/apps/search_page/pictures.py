"""The pictures that the page shows: of the gallery, and of the sessions. Nothing else is served."""

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
from cmr_hub.apps.search_page.pixels import BusyError, decoding
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.uploads import pixels_of
from cmr_hub.datasets.images import read_image
from cmr_hub.errors import ImageError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Engine

SMALL: Final = 480
LARGE: Final = 1600
_KEPT: Final = 1024
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


def picture_route(
    gallery: Engine, own: Callable[[str], Engine | None], work: Work | None = None
) -> Route:
    """`/picture?id=…`, `&small=1`, `&own=TOKEN`.

    An id is looked up among the items of a gallery; no path is ever taken from a request. Pictures
    are drawn anew, so that nothing goes out but pixels: no place where a photograph was taken.

    Args:
        gallery: the one that all visitors search.
        own: the engine of a session's own pictures by its token; None where there is none.
        work: counts the seconds of drawing by address.
    """

    noted = work or Work()

    @lru_cache(_KEPT)
    def small(path: str) -> bytes:
        return jpeg(path, SMALL)

    # A plain function: Starlette runs it in a thread, and the page goes on meanwhile.
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
            with noted.of(address_of(request.scope)):
                if token is None and "small" in request.query_params:
                    data = small(path)
                else:
                    data = jpeg(path, SMALL if "small" in request.query_params else LARGE)
        except BusyError as error:
            return PlainTextResponse(sentence(error), 429, _HEADERS)
        except ImageError:
            return PlainTextResponse("The picture is no longer where it was.", 404, _HEADERS)
        kept = "private, max-age=3600" if token is None else "no-store"
        return Response(data, media_type="image/jpeg", headers={**_HEADERS, "Cache-Control": kept})

    return Route("/picture", picture)


def jpeg(source: str | Path | Image.Image, side: int, quality: int = 85) -> bytes:
    """A picture as JPEG, no larger than `side` pixels.

    Raises:
        ImageError: it cannot be read.
        BusyError: too many large pictures are read now.
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

"""What every part of Gradio's page is made to do, whichever parts there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import LocalContext
from gradio.data_classes import ImageData
from PIL import Image

from cmr_hub.apps.search_page.limits import address_of
from cmr_hub.apps.search_page.pictures import LARGE, jpeg
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.limits import Work
    from cmr_hub.apps.search_page.visitor_files import VisitorFolder


def guard(blocks: gr.Blocks, files: VisitorFolder, work: Work) -> None:
    """Has all parts take files from the visitors' folder alone, and all events note their work.

    `Payloads` has refused what is no upload before it comes here. Should Gradio find another way
    to a part, it gets no further: nothing is fetched, and nothing is copied.

    Args:
        blocks: with all its parts and events.
        files: the visitors'.
        work: of the page.
    """

    async def only_kept(path: str | Path | None) -> str | None:
        if path is None or not files.has(str(path)):
            raise CMRError("the page has no such file")
        return str(path)

    for part in blocks.blocks.values():
        if isinstance(part, gr.components.Component):
            part.GRADIO_CACHE = str(files.path)
            part.async_move_resource_to_block_cache = only_kept
        if isinstance(part, gr.Image):
            part.postprocess = _kept_by(files)
    for event in blocks.fns.values():
        if event.fn is not None:
            event.fn = _noted(event.fn, work)


def _kept_by(files: VisitorFolder) -> Callable[[Image.Image | None], ImageData | None]:
    def kept(picture: Image.Image | None) -> ImageData | None:
        """A picture that the page gives a visitor is theirs, as if it had been sent."""
        if picture is None:
            return None
        data = BytesIO(jpeg(picture, LARGE, quality=95))
        return ImageData(path=files.keep("picture.jpg", data), orig_name="picture.jpg")

    return kept


def _noted(function: Callable[..., Any], work: Work) -> Callable[..., Any]:
    """The same, but what it costs is noted for the address that asks."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def steps(*given: Any, **named: Any) -> Iterator[Any]:
            going, address = function(*given, **named), _address()
            try:
                while True:
                    with work.of(address):
                        step = next(going, None)
                    if step is None:
                        return
                    yield step
            finally:
                going.close()

        return steps

    @wraps(function)
    def once(*given: Any, **named: Any) -> Any:
        with work.of(_address()):
            return function(*given, **named)

    return once


def _address() -> str:
    request = LocalContext.request.get(None)
    scope = getattr(getattr(request, "request", request), "scope", None)
    return "" if scope is None else address_of(scope)

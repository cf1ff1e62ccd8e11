"""Restrict all Gradio components to visitors' uploads, and record the work of all events."""

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
    """Make components accept only files of the visitors' folder, and make events record work.

    `Payloads` has already refused everything that is not an upload. As a second line of defence,
    no component fetches or copies any other file.

    Args:
        blocks: the page with all its components and events.
        files: the visitors' files.
        work: the record of work per address.
    """

    async def only_uploads(path: str | Path | None) -> str | None:
        if path is None or not files.has(str(path)):
            raise CMRError("the page has no such file")
        return str(path)

    def stored(picture: Image.Image | None) -> ImageData | None:
        """Store a picture that the page shows, as if the visitor had uploaded it."""
        if picture is None:
            return None
        data = BytesIO(jpeg(picture, LARGE, quality=95))
        return ImageData(path=files.keep("picture.jpg", data), orig_name="picture.jpg")

    for block in blocks.blocks.values():
        if isinstance(block, gr.components.Component):
            block.GRADIO_CACHE = str(files.path)
            block.async_move_resource_to_block_cache = only_uploads
        if isinstance(block, gr.Image):
            block.postprocess = stored
    for event in blocks.fns.values():
        if event.fn is not None:
            event.fn = _recorded(event.fn, work)


def _recorded(function: Callable[..., Any], work: Work) -> Callable[..., Any]:
    """Wrap a function so that its CPU time is recorded for the visitor's address."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            generator, address = function(*args, **kwargs), _address()
            try:
                while True:
                    with work.of(address):
                        step = next(generator, None)
                    if step is None:
                        return
                    yield step
            finally:
                generator.close()

        return steps

    @wraps(function)
    def once(*args: Any, **kwargs: Any) -> Any:
        with work.of(_address()):
            return function(*args, **kwargs)

    return once


def _address() -> str:
    request = LocalContext.request.get(None)
    scope = getattr(getattr(request, "request", request), "scope", None)
    return "" if scope is None else address_of(scope)

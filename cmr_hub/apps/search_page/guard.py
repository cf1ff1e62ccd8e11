"""Restrict every Gradio component to visitors' uploads, and record the work of every event."""

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
    """Make all components accept only files of the visitors' folder, and all events record work.

    `Payloads` refuses anything that is not an upload before it comes here. This is the second
    line of defence: a component never fetches or copies any other file.

    Args:
        blocks: the page with all its components and events.
        files: the visitors' files.
        work: the record of work per address.
    """

    async def only_uploads(path: str | Path | None) -> str | None:
        if path is None or not files.has(str(path)):
            raise CMRError("the page has no such file")
        return str(path)

    for block in blocks.blocks.values():
        if isinstance(block, gr.components.Component):
            block.GRADIO_CACHE = str(files.path)
            block.async_move_resource_to_block_cache = only_uploads
        if isinstance(block, gr.Image):
            block.postprocess = _kept_by(files)
    for event in blocks.fns.values():
        if event.fn is not None:
            event.fn = _recorded(event.fn, work)


def _kept_by(files: VisitorFolder) -> Callable[[Image.Image | None], ImageData | None]:
    def kept(picture: Image.Image | None) -> ImageData | None:
        """Store a picture that the page shows a visitor, as if the visitor had uploaded it."""
        if picture is None:
            return None
        data = BytesIO(jpeg(picture, LARGE, quality=95))
        return ImageData(path=files.keep("picture.jpg", data), orig_name="picture.jpg")

    return kept


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

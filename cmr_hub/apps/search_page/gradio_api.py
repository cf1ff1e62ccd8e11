"""Offer the service through Gradio: for its clients, with a queue, and for MCP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import gradio as gr

from cmr_hub.apps.search_page import components
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.apps.search_page.service import COUNT, Service
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError
from cmr_hub.types import JSONObject

CONCURRENCY: Final = 2
QUEUE: Final = 128


def gradio_endpoints(service: Service) -> None:
    """Add the endpoints to the page, where they are not visible."""

    # Clients and MCP show these docstrings as descriptions of the endpoints.
    def search_text(
        text: str, count: float = COUNT, without: str = "", clear: float = 0
    ) -> JSONObject:
        """Find the pictures of the gallery that best match a sentence.

        Args:
            text: an English sentence, e.g. "two red buses on a street".
            count: number of pictures, 1 to 100.
            without: words for what should not be in the pictures.
            clear: return only pictures that stand out at least this much, e.g. 2.5; 0 for all.
        """
        with _errors_for_clients():
            return service.search_text(text, count, without, clear)

    def search_image(
        picture: Path | None = None, text: str = "", count: float = COUNT
    ) -> JSONObject:
        """Find the pictures and the sentences of the gallery that best match a picture.

        Args:
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF. For MCP a data: URL, or the URL of a
                picture that was uploaded to this page; other URLs are not fetched.
            text: words to combine with the picture, e.g. "at night"; may be empty.
            count: number of pictures, and of sentences, 1 to 100.
        """
        with _errors_for_clients():
            return service.search_image(_read(picture), text, count)

    def encode(text: str = "", picture: Path | None = None) -> JSONObject:
        """Encode a sentence or a picture as a unit vector of the common space.

        The dot product of two such vectors is their cosine similarity.

        Args:
            text: an English sentence; or
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF. For MCP a data: URL, or the URL of a
                picture that was uploaded to this page; other URLs are not fetched.
        """
        with _errors_for_clients():
            return service.encode(text, _read(picture))

    # Not gr.api, which would pass a client's path to the function unchecked.
    with gr.Column(visible=False):
        # A component with a value is an optional argument.
        text = gr.Textbox(label="text")
        words = gr.Textbox("", label="text")
        without = gr.Textbox("", label="without")
        clear = gr.Number(0, label="clear")
        count = gr.Number(COUNT, label="count")
        picture = components.picture_box("service-picture", "picture", 100)
        answer = gr.JSON(label="answer")
        options: dict[str, Any] = {
            "outputs": answer,
            "show_progress": "hidden",
            "concurrency_limit": CONCURRENCY,
        }
        button = gr.Button()
        button.click(search_text, [text, count, without, clear], api_name="search_text", **options)
        button.click(search_image, [picture, words, count], api_name="search_image", **options)
        button.click(encode, [words, picture], api_name="encode", **options)


def _read(picture: Path | None) -> Any:
    return None if picture is None else read_upload(picture)


@contextmanager
def _errors_for_clients() -> Iterator[None]:
    """Raise a `CMRError` as a `gr.Error`, whose message clients receive."""
    try:
        yield
    except CMRError as error:
        raise gr.Error(sentence(error), print_exception=False) from error

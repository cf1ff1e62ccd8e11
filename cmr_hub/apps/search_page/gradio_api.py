"""The service through Gradio: for its clients, queued, and for MCP."""

from __future__ import annotations

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
    """Adds the endpoints to the page; nothing of them is seen there."""

    # Their descriptions are what clients and MCP tell of them.
    def search_text(
        text: str, count: float = COUNT, without: str = "", clear: float = 0
    ) -> JSONObject:
        """Finds the pictures of the gallery that go best with a sentence.

        Args:
            text: an English sentence, e.g. "two red buses on a street".
            count: how many pictures, 1 to 100.
            without: words for what should not be there.
            clear: only pictures that stand out so far, e.g. 2.5; 0 for any.
        """
        with _Told():
            return service.search_text(text, count, without, clear)

    def search_image(
        picture: Path | None = None, text: str = "", count: float = COUNT
    ) -> JSONObject:
        """Finds the pictures and the sentences of the gallery that are most like a picture.

        Args:
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF. For MCP a data: URL, or the address that a
                picture sent to this page has; pictures elsewhere are not fetched.
            text: words to be added to the picture, e.g. "at night"; may be empty.
            count: how many pictures, and how many sentences, 1 to 100.
        """
        with _Told():
            return service.search_image(_read(picture), text, count)

    def encode(text: str = "", picture: Path | None = None) -> JSONObject:
        """Turns a sentence or a picture into a vector of the common space, of length 1.

        The dot product of two such vectors is their cosine similarity.

        Args:
            text: an English sentence; or
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF. For MCP a data: URL, or the address that a
                picture sent to this page has; pictures elsewhere are not fetched.
        """
        with _Told():
            return service.encode(text, _read(picture))

    # Not gr.api, which would hand a path from outside to the function without a look at it.
    with gr.Column(visible=False):
        # A part with a value is an argument that may be left out.
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


class _Told:
    """Turns a `CMRError` into an answer with a sentence that a client is told."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CMRError):
            raise gr.Error(sentence(error), print_exception=False) from error

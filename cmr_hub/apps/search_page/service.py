"""The page as a service: three named endpoints with JSON answers, for programs and for MCP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from cmr_hub.apps.search_page import components
from cmr_hub.apps.search_page.ask import MAX_HITS, Ask, cleaned, sentence
from cmr_hub.apps.search_page.uploads import read_upload
from cmr_hub.errors import CMRError, QueryError

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Answer, Engine
    from cmr_hub.types import JSONObject

CONCURRENCY: Final = 2
QUEUE: Final = 128


def service(engine: Engine) -> None:
    """Adds the endpoints to the page; nothing of them is seen there."""

    def search_text(text: str, count: float = 10, without: str = "") -> JSONObject:
        """Finds the pictures of the gallery that go best with a sentence.

        Args:
            text: an English sentence, e.g. "two red buses on a street".
            count: how many pictures, 1 to 100.
            without: words for what should not be there.
        """
        with _Told():
            ask = Ask(text=cleaned(text), unwanted=cleaned(without), count=_count(count))
            return _found(engine, engine.answer(ask))

    def search_image(picture: Path | None, text: str = "", count: float = 10) -> JSONObject:
        """Finds the pictures and the sentences of the gallery that are most like a picture.

        Args:
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF.
            text: words to be added to the picture, e.g. "at night"; may be empty.
            count: how many pictures, and how many sentences, 1 to 100.
        """
        with _Told():
            if picture is None:
                raise QueryError("give a picture")
            ask = Ask(text=cleaned(text), count=_count(count))
            return _found(engine, engine.answer(ask, read_upload(picture)))

    def encode(text: str = "", picture: Path | None = None) -> JSONObject:
        """Turns a sentence or a picture into a vector of the common space, of length 1.

        The dot product of two such vectors is their cosine similarity.

        Args:
            text: an English sentence; or
            picture: JPEG, PNG, WebP, GIF, BMP or TIFF.
        """
        with _Told():
            words = cleaned(text)
            if bool(words) == (picture is not None):
                raise QueryError("give either a text or a picture")
            model = engine.model
            if picture is not None:
                vector = model.encode_images([read_upload(picture)])[0]
            else:
                vector = model.encode_texts([words])[0]
            return {"vector": vector.tolist(), "dim": model.dim, "model": engine.gallery.model_id}

    with gr.Column(visible=False):
        text = gr.Textbox(label="text")
        without = gr.Textbox(label="without")
        count = gr.Number(10, label="count")
        picture = components.picture_box("service-picture", "picture", 100)
        answer = gr.JSON(label="answer")
        options: dict[str, Any] = {
            "outputs": answer,
            "show_progress": "hidden",
            "concurrency_limit": CONCURRENCY,
        }
        gr.Button().click(search_text, [text, count, without], api_name="search_text", **options)
        gr.Button().click(search_image, [picture, text, count], api_name="search_image", **options)
        gr.Button().click(encode, [text, picture], api_name="encode", **options)


class _Told:
    """Turns a `CMRError` into an answer with a sentence that a client is told."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CMRError):
            raise gr.Error(sentence(error), print_exception=False) from error


def _found(engine: Engine, answer: Answer | None) -> JSONObject:
    if answer is None:
        raise QueryError("the text is empty; give a sentence")
    return {
        "pictures": [engine.shown(hit) for hit in answer.pictures or []],
        "sentences": [engine.shown(hit) for hit in answer.texts or []],
        "unknown_words": answer.unknown,
    }


def _count(value: Any) -> int:
    try:
        count = round(float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"count must be a number from 1 to {MAX_HITS}") from error
    if not 1 <= count <= MAX_HITS:
        raise QueryError(f"count must be from 1 to {MAX_HITS}, not {count}")
    return count

"""The search page: a sentence finds pictures; a picture finds sentences and other pictures."""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import gradio as gr
import numpy as np
import pyarrow as pa
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.errors import CMRError, ImageError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.hit import Hit
from cmr_hub.loading import load
from cmr_hub.models.cross_modal import CrossModalModel

logger = logging.getLogger(__name__)

MAX_LETTERS: Final = 2_000
MAX_UPLOAD: Final = "20mb"
MAX_HITS: Final = 50
TILE: Final = (640, 640)
EXAMPLES: Final = 6
UNKNOWN_SHOWN: Final = 8

TEXT_HINT: Final = "Type a sentence and press Enter, or click an example."
PICTURE_HINT: Final = "Drop a picture on the left, or click one of the examples below it."
TABLE: Final = ("rank", "id", "class", "sentences")

# Gradio keeps IBM Plex Sans beside its scripts; its other themes ask Google for a font.
THEME: Final = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=[gr.themes.LocalFont("IBM Plex Sans"), "system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
CSS: Final = """
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
.head h1 { font-size: 1.75rem; font-weight: 600; margin: .5rem 0 .25rem; }
.head p { color: var(--body-text-color-subdued); margin: 0; }
.status p { margin: 0; padding: .25rem .75rem; white-space: pre-line; overflow-wrap: anywhere;
  border-left: 3px solid var(--color-accent); }
.hide-empty:not(:has(img)) { display: none; }
"""
# Gradio runs this once as a JavaScript template: the text is put in after, as text and not as HTML.
STATUS: Final = (
    "<p role='status'>${(value || '').replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</p>"
)

Tile = tuple[Image.Image, str]

class _PictureInput(gr.Image):  # type: ignore[misc]
    """An image input that hands over the uploaded file unopened, for `read_image` to judge."""

    def preprocess(self, payload: Any) -> Path | None:
        return None if payload is None or payload.path is None else Path(payload.path)

    def get_block_name(self) -> str:
        return "image"
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class SearchHandlers:
    """What the events of the page call; every `CMRError` becomes a sentence in the status.

    Args:
        model: with both encoders.
        gallery: the one that is attached to it.
    """

    def __init__(self, model: CrossModalModel, gallery: Gallery) -> None:
        self.model, self.gallery = model, gallery
        rows = np.linspace(0, len(gallery) - 1, min(EXAMPLES, len(gallery))).astype(int)
        items = gallery.items.take(pa.array(rows)).to_pylist()
        self.sentences: list[str] = [
            min(item["sentences"], key=len) for item in items if item["sentences"]
        ]
        """Sentences of the gallery to try."""
        self.pictures: list[Image.Image] = []
        """Pictures of the gallery to try."""
        for item in items:
            if item["path"] is not None:
                try:
                    self.pictures.append(_open_tile(Path(item["path"])))
                except ImageError as error:
                    logger.warning(
                        "%s. Was the data moved? Put it back, or train again where it is.", error
                    )

    def search_text(self, text: str | None, count: int) -> tuple[str, list[Tile]]:
        """A sentence → the status and the most similar pictures."""
        text = (text or "").strip()
        if not text:
            return TEXT_HINT, []
        start = perf_counter()
        try:
            if len(text) > MAX_LETTERS:
                raise QueryError(
                    f"the text has {len(text):,} characters, and at most {MAX_LETTERS:,} can be "
                    "searched with; shorten it to a sentence or two"
                )
            hits = self.model.search(text, k=count)
        except CMRError as error:
            return _sentence(str(error)), []
        status = [_found(start, len(hits), "picture"), self._left_out(text)]
        tiles, missing = _tiles(hits)
        return _lines(*status, missing), tiles

    def search_image(
        self, picture: Path | None, count: int
    ) -> tuple[str, list[list[Any]], list[Tile]]:
        """A picture → the status, the most similar sentences and the most similar pictures."""
        if picture is None:
            return PICTURE_HINT, [], []
        start = perf_counter()
        try:
            vector = self.model.encode_images([read_image(picture)])[0]
            texts = self.gallery.search(vector, count, "text")
            pictures = self.gallery.search(vector, count, "image")
        except CMRError as error:
            # The reader need not know where the server keeps uploads.
            return _sentence(str(error).replace(str(picture), picture.name)), [], []
        status = _found(start, len(texts), "text", len(pictures), "picture")
        table = [[hit.rank, hit.id, hit.label or "", "\n".join(hit.sentences)] for hit in texts]
        tiles, missing = _tiles(pictures)
        return _lines(status, missing), table, tiles

    def example_sentence(self, event: gr.SelectData) -> str:
        """The example sentence that was clicked."""
        return self.sentences[event.index]

    def example_picture(self, event: gr.SelectData) -> Image.Image:
        """The example picture that was clicked."""
        return self.pictures[event.index]

    def _left_out(self, text: str) -> str:
        """Names the words of a query that the model does not know."""
        encoder = self.model.text_encoder
        unknown = [] if encoder is None else encoder.unknown_words(text)
        if not unknown:
            return ""
        shown = ", ".join(word[:40] for word in unknown[:UNKNOWN_SHOWN])
        more = f" and {len(unknown) - UNKNOWN_SHOWN} more" if len(unknown) > UNKNOWN_SHOWN else ""
        return f"Left out, as this model never saw them: {shown}{more}."

def build_page(model: CrossModalModel) -> gr.Blocks:
    """The page over the gallery of a model; `launch` serves it.

    Raises:
        QueryError: the model has no gallery, or cannot read pictures and sentences.
    """
    if not isinstance(model.gallery, Gallery) or not len(model.gallery):
        raise QueryError(
            "this model has no gallery to search in; train it with `--gallery test` or "
            "`--gallery all`"
        )
    if model.image_encoder is None or model.text_encoder is None:
        raise QueryError(
            "this model was trained on precomputed features and cannot read pictures and "
            "sentences; train one on a dataset of pictures"
        )
    handlers = SearchHandlers(model, model.gallery)
    with gr.Blocks(
        title="CMR Hub: search pictures and sentences",
        analytics_enabled=False,
        delete_cache=(600, 3600),
    ) as page:
        gr.HTML(_head(model, model.gallery), elem_classes="head")
        with gr.Tab("Search by a sentence"):
            _text_tab(handlers)
        with gr.Tab("Search by a picture"):
            _picture_tab(handlers)
    page.queue(max_size=64, default_concurrency_limit=2)
    return page

def _text_tab(handlers: SearchHandlers) -> None:
    with gr.Row(equal_height=True):
        text = gr.Textbox(
            label="A sentence",
            placeholder="What should the pictures show?",
            max_lines=4,
            scale=5,
            autofocus=True,
            elem_id="text-query",
        )
        button = gr.Button("Search", variant="primary", scale=1, min_width=120)
    if handlers.sentences:
        examples = gr.Dataset(
            label="Examples",
            components=[text],
            samples=[[sentence] for sentence in handlers.sentences],
            elem_id="text-examples",
        )
    count = _count_slider()
    status = gr.HTML(TEXT_HINT, html_template=STATUS, elem_id="text-status", elem_classes="status")
    pictures = _picture_results("text-pictures", "Pictures")
    inputs, outputs = [text, count], [status, pictures]
    gr.on(
        [button.click, text.submit, count.release],
        handlers.search_text,
        inputs,
        outputs,
        api_name="search_text",
    )
    if handlers.sentences:
        examples.select(
            handlers.example_sentence, None, text, api_visibility="private", show_progress="hidden"
        ).then(handlers.search_text, inputs, outputs, api_visibility="private")

def _picture_tab(handlers: SearchHandlers) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            picture = _PictureInput(
                label="A picture",
                type="filepath",
                image_mode=None,
                format="jpeg",
                sources=["upload", "clipboard"],
                height=280,
                buttons=[],
                elem_id="picture-query",
            )
            if handlers.pictures:
                examples = gr.Gallery(
                    [(tile, f"Example {i}") for i, tile in enumerate(handlers.pictures, 1)],
                    label="Examples",
                    format="jpeg",
                    columns=3,
                    height="auto",
                    object_fit="cover",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    elem_id="picture-examples",
                )
            count = _count_slider()
        with gr.Column(scale=2, min_width=320):
            status = gr.HTML(
                PICTURE_HINT, html_template=STATUS, elem_id="picture-status", elem_classes="status"
            )
            sentences = gr.Dataframe(
                headers=list(TABLE),
                datatype=["number", "str", "str", "str"],
                column_widths=["56px", "120px", "110px", "auto"],
                label="Similar sentences",
                type="array",
                interactive=False,
                wrap=True,
                max_height=560,
                buttons=[],
                elem_id="picture-sentences",
            )
            pictures = _picture_results("picture-pictures", "Similar pictures")
    gr.on(
        [picture.change, count.release],
        handlers.search_image,
        [picture, count],
        [status, sentences, pictures],
        api_name="search_image",
    )
    if handlers.pictures:
        examples.select(
            handlers.example_picture,
            None,
            picture,
            api_visibility="private",
            show_progress="hidden",
        )

def _count_slider() -> gr.Slider:
    return gr.Slider(1, MAX_HITS, 10, step=1, label="Number of results")

def _picture_results(elem_id: str, label: str) -> gr.Gallery:
    return gr.Gallery(
        label=label,
        format="jpeg",
        columns=4,
        height="auto",
        object_fit="cover",
        interactive=False,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="hide-empty",
    )

def serve(page: gr.Blocks, *, host: str, port: int | None, block: bool = True) -> str:
    """Serves a page on this machine only as far as `host` says; nothing is asked from elsewhere.

    Args:
        page: what `build_page` made.
        host, port: where to listen; without a port, the first free one from 7860.
        block: wait until Ctrl+C.

    Returns:
        The page's address.

    Raises:
        CMRError: the address cannot be listened on.
    """
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            theme=THEME,
            css=CSS,
            footer_links=["api"],
            max_file_size=MAX_UPLOAD,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        where = host if port is None else f"{host}, port {port}"
        raise CMRError(f"cannot listen on {where}; choose another --host or --port") from error
    if block:
        print(f"The page is at {url} (stop with Ctrl+C)")
        page.block_thread()
    return str(url)

def launch(directory: Path, *, host: str, port: int | None) -> None:
    """Serves the search page of a model directory until it is stopped.

    Raises:
        CMRError: no model there, one that cannot be searched, or an address that is taken.
    """
    serve(build_page(load(directory)), host=host, port=port)

def _head(model: CrossModalModel, gallery: Gallery) -> str:
    facts = [f"{len(gallery):,} pictures with their sentences"]
    if model.classes:
        facts.append(f"{len(model.classes)} classes")
    trained = model.training
    if {"dataset", "image_encoder", "text_encoder"} <= trained.keys():
        facts.append(
            f"trained on {trained['dataset']} with "
            f"{trained['image_encoder']} and {trained['text_encoder']}"
        )
    return f"<h1>Search pictures and sentences</h1><p>{html.escape(' · '.join(facts))}</p>"

def _open_tile(path: Path) -> Image.Image:
    image = read_image(path)
    image.thumbnail(TILE)
    return image

def _tiles(hits: Sequence[Hit]) -> tuple[list[Tile], str]:
    """The pictures of hits with their captions, and a sentence on those that cannot be shown."""

    def tile(hit: Hit) -> tuple[Image.Image, ImageError | None]:
        try:
            if hit.path is None:
                raise ImageError(f"{hit.id} has no picture")
            return _open_tile(hit.path), None
        except ImageError as error:
            return Image.new("RGB", (4, 3), "lightgrey"), error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        opened = list(pool.map(tile, hits))
    errors = [error for _, error in opened if error is not None]
    tiles = [
        (image, _caption(hit) + (" · cannot be shown" if error else ""))
        for hit, (image, error) in zip(hits, opened, strict=True)
    ]
    if not errors:
        return tiles, ""
    logger.warning("%d pictures of the gallery cannot be shown: %s", len(errors), errors[0])
    return tiles, (
        f"{len(errors)} of {len(hits)} pictures cannot be shown: they are no longer where they "
        "were when the gallery was made. Put them back, or train again where they are now."
    )

def _caption(hit: Hit) -> str:
    label = f"{hit.label} · " if hit.label else ""
    return f"{hit.rank}. {label}{hit.score:.2f}"

def _found(start: float, *counts: Any) -> str:
    """`10 texts and 10 pictures found in 8 ms.`"""
    seconds = perf_counter() - start
    parts = [
        f"{number} {noun}{'' if number == 1 else 's'}"
        for number, noun in zip(counts[::2], counts[1::2], strict=True)
    ]
    return f"{' and '.join(parts)} found in {1000 * seconds:.0f} ms."

def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."

def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)

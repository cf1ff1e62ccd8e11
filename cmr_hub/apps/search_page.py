"""The search page: a sentence finds pictures; a picture finds sentences and other pictures."""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias

import gradio as gr
import numpy as np
import pyarrow as pa
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.errors import CMRError, ImageError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.hit import Hit
from cmr_hub.loading import load, open_gallery
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.types import JSONObject

logger = logging.getLogger(__name__)

MAX_LETTERS: Final = 2_000
MAX_UPLOAD: Final = "20mb"
MAX_HITS: Final = 50
TILE: Final = (640, 640)
EXAMPLES: Final = 6
UNKNOWN_SHOWN: Final = 8

TEXT_HINT: Final = "Type a sentence and press Enter, or click an example."
PICTURE_HINT: Final = "Drop or paste a picture, or click one of the examples."

# The system's own fonts: other Gradio themes ask Google for theirs.
THEME: Final = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
CSS: Final = """
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
.head h1 { font-size: 1.75rem; font-weight: 600; margin: .5rem 0 .25rem; }
.head p { margin: 0; opacity: .75; }
.status p { margin: 0; padding: .25rem .75rem; white-space: pre-line; overflow-wrap: anywhere;
  border-left: 3px solid var(--color-accent); }
.tiles:not(:has(img)) { display: none; }
.tiles .grid-wrap { min-height: 0; max-height: none; overflow: visible; }
.tiles .grid-container { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.tiles .caption-label { max-width: 100%; right: 0; bottom: 0; font-size: .8rem; }
.small .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)); grid-auto-rows: auto; }
.small .caption-label { display: none; }
.sentences .scroll { max-height: 30rem; overflow: auto; }
.sentences table { width: 100%; border-collapse: collapse; font-size: .9rem; }
.sentences p { margin: 0; }
.sentences :is(th, td) { text-align: left; vertical-align: top; padding: .3rem .5rem; }
.sentences th { position: sticky; top: 0; background: var(--body-background-fill); }
.sentences tr { border-bottom: 1px solid var(--border-color-primary); }
@media (max-width: 600px) {
  .sentences thead { display: none; }
  .sentences :is(table, tbody, tr, td:last-child) { display: block; }
  .sentences td:not(:last-child) { display: inline-block; font-weight: 600; }
}
"""
# Gradio runs these as JavaScript template strings in the browser. Only what stands here is run:
# values are put in afterwards, escaped. (In Handlebars' {{value}} they would be run as well.)
STATUS: Final = (
    '<p role="status">${String(value || "").replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</p>'
)
SENTENCES: Final = """${((escape) => !(value || []).length ? "" : `
<div class="scroll" tabindex="0" role="region" aria-label="Similar sentences"><table>
<thead><tr><th>rank</th><th>id</th><th>class</th><th>sentences</th></tr></thead>
<tbody>${value.map((hit) => `<tr>
<td>${escape(hit.rank)}</td> <td>${escape(hit.id)}</td> <td>${escape(hit.class)}</td>
<td>${hit.sentences.map((text) => `<p>${escape(text)}</p>`).join("")}</td></tr>`).join("")}
</tbody></table></div>`
)((text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;"))}"""

Tile: TypeAlias = tuple[Image.Image, str]
"""A picture made small, and its caption."""


class SearchHandlers:
    """What the events of the page call; every `CMRError` becomes a sentence in the status.

    Args:
        model: with both encoders.
        gallery: the one that is attached to it.
    """

    def __init__(self, model: CrossModalModel, gallery: Gallery) -> None:
        self.model, self.gallery, self.targets = model, gallery, gallery.targets
        rows = np.linspace(0, len(gallery) - 1, min(EXAMPLES, len(gallery))).astype(int)
        items = gallery.items.take(pa.array(rows)).to_pylist()
        self.sentences: list[str] = [
            min(item["sentences"], key=len) for item in items if item["sentences"]
        ]
        """Sentences of the gallery to try."""
        self.pictures: list[Tile] = []
        """Pictures of the gallery to try."""
        for item in items:
            if item["path"] is not None:
                try:
                    image = _small(Path(item["path"]))
                except ImageError as error:
                    logger.warning(
                        "%s. Was the data moved? Put it back, or train again where it is.", error
                    )
                else:
                    self.pictures.append((image, item["label"] or item["id"]))

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
        found = f"{_number(hits, 'picture')} found in {_milliseconds(start)}."
        tiles, problem = _tiles(hits)
        return _lines(found, self._left_out(text), problem), tiles

    def search_image(
        self, picture: Path | None, count: int
    ) -> tuple[str, list[JSONObject], list[Tile]]:
        """A picture → the status, the most similar texts and the most similar pictures."""
        if picture is None:
            return PICTURE_HINT, [], []
        start = perf_counter()
        try:
            vector = self.model.encode_images([read_image(picture)])[0]
            found = {target: self.gallery.search(vector, count, target) for target in self.targets}
        except CMRError as error:
            # Where the server keeps uploads is nobody's business.
            return _sentence(str(error).replace(str(picture), picture.name)), [], []
        texts, pictures = found.get("text", []), found.get("image", [])
        counts = f"{_number(texts, 'text')} and {_number(pictures, 'picture')}"
        status = f"{counts} found in {_milliseconds(start)}."
        rows: list[JSONObject] = [
            {
                "rank": hit.rank,
                "id": hit.id,
                "class": hit.label or "",
                "sentences": list(hit.sentences),
                "score": hit.score,
            }
            for hit in texts
        ]
        tiles, problem = _tiles(pictures)
        return _lines(status, problem), rows, tiles

    def example_sentence(self, event: gr.SelectData) -> str:
        """The example sentence that was clicked."""
        return self.sentences[int(event.index)]

    def example_picture(self, event: gr.SelectData) -> Image.Image:
        """The example picture that was clicked."""
        return self.pictures[int(event.index)][0]

    def _left_out(self, text: str) -> str:
        """Names the words of a query that the model does not know."""
        encoder = self.model.text_encoder
        unknown = [] if encoder is None else encoder.unknown_words(text)
        if not unknown:
            return ""
        shown = ", ".join(word[:40] for word in unknown[:UNKNOWN_SHOWN])
        more = f" and {len(unknown) - UNKNOWN_SHOWN} more" if len(unknown) > UNKNOWN_SHOWN else ""
        return f"Left out, as this model does not know them: {shown}{more}."


def build_page(model: CrossModalModel) -> gr.Blocks:
    """The page over the gallery of a model; `serve` serves it.

    Raises:
        QueryError: the model has no gallery, or cannot read pictures and sentences.
    """
    if model.image_encoder is None or model.text_encoder is None:
        raise QueryError(
            "this model was trained on precomputed features and cannot read pictures and "
            "sentences; train one on a dataset of pictures"
        )
    if not isinstance(model.gallery, Gallery) or not len(model.gallery):
        raise QueryError(
            "this model has no gallery to search in; train it with `--gallery test` or "
            "`--gallery all`"
        )
    handlers = SearchHandlers(model, model.gallery)
    with gr.Blocks(
        title="CMR Hub: search pictures and sentences",
        analytics_enabled=False,
        delete_cache=(600, 3600),
    ) as page:
        gr.HTML(_head(model, model.gallery), elem_classes="head")
        with gr.Tab("By sentence"):
            _sentence_tab(handlers)
        with gr.Tab("By picture"):
            _picture_tab(handlers)
    page.queue(max_size=64, default_concurrency_limit=2)
    return page


def _sentence_tab(handlers: SearchHandlers) -> None:
    with gr.Row():
        text = gr.Textbox(
            label="A sentence",
            show_label=False,
            container=False,
            placeholder="Describe a picture",
            max_lines=4,
            scale=5,
            autofocus=True,
            elem_id="sentence-query",
        )
        button = gr.Button("Search", variant="primary", scale=1, min_width=100)
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            examples = gr.Dataset(
                label="Examples",
                components=[text],
                samples=[[sentence] for sentence in handlers.sentences],
                visible=bool(handlers.sentences),
                elem_id="sentence-examples",
            )
        with gr.Column(scale=1, min_width=240):
            count = _count()
    status = _status(TEXT_HINT, "sentence-status")
    pictures = _pictures("Pictures", "sentence-pictures")
    inputs, outputs = [text, count], [status, pictures]
    gr.on(
        [button.click, text.submit, count.release],
        handlers.search_text,
        inputs,
        outputs,
        api_name="search_text",
    )
    examples.select(
        handlers.example_sentence, None, text, api_visibility="private", show_progress="hidden"
    ).then(handlers.search_text, inputs, outputs, api_visibility="private")


def _picture_tab(handlers: SearchHandlers) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            picture = gr.Image(
                label="A picture",
                show_label=False,
                type="filepath",
                format="jpeg",
                sources=["upload", "clipboard"],
                height=260,
                buttons=[],
                elem_id="picture-query",
            )
            # Gradio would open the file before `read_image` can judge it. (Not by a subclass: for
            # each one Gradio writes a .pyi file next to the source.)
            picture.preprocess = _uploaded_file
            gr.Markdown("Examples", visible=bool(handlers.pictures))
            examples = gr.Gallery(
                handlers.pictures,
                label="Examples",
                show_label=False,
                format="jpeg",
                height="auto",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
                visible=bool(handlers.pictures),
                elem_id="picture-examples",
                elem_classes=["tiles", "small"],
            )
            count = _count()
        with gr.Column(scale=3, min_width=300):
            status = _status(PICTURE_HINT, "picture-status")
            sentences = gr.HTML(
                [],
                html_template=SENTENCES,
                apply_default_css=False,
                elem_id="picture-sentences",
                elem_classes="sentences",
            )
            pictures = _pictures("Similar pictures", "picture-pictures")
    gr.on(
        [picture.change, count.release],
        handlers.search_image,
        [picture, count],
        [status, sentences, pictures],
        api_name="search_image",
    )
    examples.select(
        handlers.example_picture, None, picture, api_visibility="private", show_progress="hidden"
    )


def _uploaded_file(payload: Any) -> Path | None:
    return None if payload is None or payload.path is None else Path(payload.path)


def _count() -> gr.Slider:
    return gr.Slider(1, MAX_HITS, 10, step=1, label="Number of results")


def _status(hint: str, elem_id: str) -> gr.HTML:
    return gr.HTML(hint, html_template=STATUS, elem_id=elem_id, elem_classes="status")


def _pictures(label: str, elem_id: str) -> gr.Gallery:
    return gr.Gallery(
        label=label,
        show_label=False,
        format="jpeg",
        height="auto",
        object_fit="cover",
        interactive=False,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="tiles",
    )


def serve(page: gr.Blocks, *, host: str, port: int | None, block: bool = True) -> str:
    """Serves a page; nothing is asked from any other machine.

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
            footer_links=[],
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
        print(f"The page is at {url} (stop it with Ctrl+C)")
        page.block_thread()
    return str(url)


def launch(
    name: str | Path | None,
    *,
    gallery: str | Path | None = None,
    host: str,
    port: int | None,
    revision: str | None = None,
) -> None:
    """Serves the search page until it is stopped.

    Args:
        name: a model, as `load` takes it; default the one that the gallery was made with, or the
            one that comes with the package.
        gallery: a gallery's directory or address; default the one saved with the model.
        host, port: where to listen.
        revision: of a model on the Hub.

    Raises:
        CMRError: no model there, one that cannot be searched, or an address that is taken.
    """
    if gallery is None:
        model = load("default" if name is None else name, revision=revision)
    else:
        opened = open_gallery(gallery, name)
        if opened.model is None:
            raise QueryError(f"{gallery} was opened without its model")
        model = opened.model
        model.gallery = opened
    serve(build_page(model), host=host, port=port)


def _head(model: CrossModalModel, gallery: Gallery) -> str:
    counts = gallery.store.vector_counts
    facts = [f"{counts.get('image', 0):,} pictures, {counts.get('text', 0):,} with sentences"]
    if model.classes:
        facts.append(f"{len(model.classes)} classes")
    trained = model.training
    if {"dataset", "image_encoder", "text_encoder"} <= trained.keys():
        facts.append(
            f"trained on {trained['dataset']} with "
            f"{trained['image_encoder']} and {trained['text_encoder']}"
        )
    return f"<h1>Search pictures and sentences</h1><p>{html.escape(' · '.join(facts))}</p>"


def _small(path: Path) -> Image.Image:
    image = read_image(path)
    image.thumbnail(TILE)
    return image


def _tiles(hits: Sequence[Hit]) -> tuple[list[Tile], str]:
    """The pictures of hits with their captions, and a sentence on those that cannot be shown."""

    def tile(hit: Hit) -> Tile:
        caption = f"{hit.rank}. {f'{hit.label} · ' if hit.label else ''}{hit.score:.2f}"
        try:
            if hit.path is not None:
                return _small(hit.path), caption
        except ImageError as error:
            unreadable.append(error)
        return Image.new("RGB", (4, 3), "lightgrey"), f"{caption} · no picture"

    unreadable: list[ImageError] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tiles = list(pool.map(tile, hits))
    if not unreadable:
        return tiles, ""
    logger.warning("%d pictures cannot be shown; one: %s", len(unreadable), unreadable[0])
    return tiles, (
        f"{len(unreadable)} of {len(hits)} pictures cannot be shown: they are no longer where they "
        "were when the gallery was made. Put them back, or train again where they are now."
    )


def _number(hits: Sequence[Hit], noun: str) -> str:
    return f"{len(hits)} {noun}{'' if len(hits) == 1 else 's'}"


def _milliseconds(start: float) -> str:
    return f"{1000 * (perf_counter() - start):.0f} ms"


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)

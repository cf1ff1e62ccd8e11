"""Build the page with its tabs for the gallery of a model."""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gradio as gr
from PIL import Image
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from starlette.routing import Route

from cmr_hub.apps.search_page.about_tab import about_tab
from cmr_hub.apps.search_page.compare_tab import compare_tab
from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.gradio_api import CONCURRENCY, QUEUE, gradio_endpoints
from cmr_hub.apps.search_page.guard import guard
from cmr_hub.apps.search_page.http_api import http_routes
from cmr_hub.apps.search_page.limits import Work
from cmr_hub.apps.search_page.own_tab import own_tab
from cmr_hub.apps.search_page.panel import search_panel
from cmr_hub.apps.search_page.pictures import picture_route
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.sessions import Sessions
from cmr_hub.apps.search_page.upload_routes import upload_routes
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.errors import QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.releases import PHOTOS

if TYPE_CHECKING:
    from cmr_hub.models.cross_modal import CrossModalModel

EXAMPLES: Final = 3
EMPTY: Final = "Describe a picture, choose one, or browse the gallery:"
_READ: Final = 1_000
_LONGEST: Final = 80
_MARK: Final = (
    '<svg viewBox="0 0 48 48" aria-hidden="true"><rect width="48" height="48" rx="13" '
    'fill="#4338ca"/><circle cx="21" cy="21" r="9" fill="none" stroke="#fff" stroke-width="4"/>'
    '<path d="M28 28l9 9" stroke="#fff" stroke-width="4" stroke-linecap="round"/></svg>'
)


@dataclass(frozen=True)
class Page:
    """A search page with its routes and visitor data.

    Attributes:
        blocks: the Gradio page.
        routes: routes of pictures, uploads and the service.
        sessions: the visitors' own pictures.
        files: the visitors' uploads.
        work: record of the computing time of each address.
    """

    blocks: gr.Blocks
    routes: tuple[Route, ...]
    sessions: Sessions
    files: VisitorFolder
    work: Work

    def close(self) -> None:
        """Stop serving and remove the visitors' files."""
        self.blocks.close(verbose=False)
        self.sessions.close_all()
        self.files.close()


def build_page(
    model: CrossModalModel,
    *,
    name: str = PHOTOS,
    compare: Mapping[str, CrossModalModel] | None = None,
    card: Path | None = None,
    gallery: str | None = None,
    is_private: bool = False,
) -> Page:
    """Build the page for the gallery of a model; see `serve`.

    Args:
        model: a model with a gallery.
        name: the model's name or path, as `load` accepts it.
        compare: other models by name for the Compare tab. They encode the gallery immediately.
        card: directory of the model card.
        gallery: directory or address of the gallery, as `open_gallery` accepts it; None for the
            model's own.
        is_private: whether only the owner can access the page. A private page shows the paths of
            pictures and where they were taken.

    Raises:
        QueryError: the model has no gallery, or a model has no encoders.
    """
    for each in (model, *(compare or {}).values()):
        if not (each.image.has_encoder and each.text.has_encoder):
            raise QueryError(
                "this model was trained on precomputed features and cannot read pictures and "
                "sentences; train one on a dataset of pictures"
            )
    if not isinstance(model.gallery, Gallery) or not len(model.gallery):
        raise QueryError(
            "this model has no gallery to search; train it with `--gallery test` or `--gallery all`"
        )
    engine = Engine(model, model.gallery, is_private=is_private)
    engines = {name: engine}
    for other, each in (compare or {}).items():
        engines[other] = Engine(each, _gallery_of(each, model.gallery))
    # Warm up, so that the first visitor does not wait.
    engine.answer(QueryOptions(like=model.gallery.items["id"][0].as_py()))
    model.encode_images([Image.new("RGB", (8, 8))])
    title = "CMR Hub" if gallery is None else Path(gallery).name
    examples = _examples(engine)
    has_texts = "text" in model.gallery.targets
    files, work = VisitorFolder(), Work()
    sessions, service = Sessions(model, files), Service(engine)
    # Gradio would compute unused statistics after each request.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

    def forget(request: gr.Request) -> None:
        """Remove the files of a visitor who has left."""
        sessions.close(request.session_hash)
        files.forget(request.session_hash)

    with gr.Blocks(
        title=f"{title}: search pictures{' and sentences' if has_texts else ''}",
        analytics_enabled=False,
        delete_cache=(600, 3600),
    ) as blocks:
        head = gr.HTML(elem_classes="head-row", padding=False)

        def header() -> str:
            return _head(engine, title, name)

        # Update the header at each visit, because the gallery may have grown.
        gr.on(None, header, None, head, api_visibility="private", show_progress="hidden")
        with gr.Tab("Search", id="search"):
            search_panel(
                "search",
                lambda request: engine,
                placeholder="Describe a picture",
                empty=EMPTY,
                facets=engine.facets,
                has_texts=len(model.gallery.targets) > 1,
                examples=examples,
            )
        with gr.Tab("My pictures", id="own"):
            own_tab(sessions, files)
        with gr.Tab("Compare", id="compare"):
            compare_tab(engines)
        with gr.Tab("About", id="about"):
            about_tab(engine, name, card, gallery, examples)
        gradio_endpoints(service)
        blocks.unload(forget)
    guard(blocks, files, work)
    blocks.queue(max_size=QUEUE, default_concurrency_limit=CONCURRENCY)
    routes = (
        picture_route(engine, sessions.engine, work),
        *http_routes(service, work),
        *upload_routes(files, work),
    )
    return Page(blocks, routes, sessions, files, work)


def _gallery_of(model: CrossModalModel, gallery: Gallery) -> Gallery:
    """Create a gallery of the same items with the vectors of another model."""
    own = Gallery.create(None, model)
    own.add(
        (
            Item(
                id=row["id"],
                path=None if row["path"] is None else Path(row["path"]),
                sentences=tuple(row["sentences"] or ()),
                label=row["label"],
            )
            for row in gallery.items.to_pylist()
        ),
        progress=True,
    )
    return own


def _examples(engine: Engine) -> list[str]:
    """Return example queries: frequent classes or words of the captions, and short captions.

    If the gallery has no classes and no captions, the model predicts the classes.
    """
    items = engine.gallery.items.slice(0, _READ)
    sentences = [one for row in items["sentences"].to_pylist() for one in row or ()]
    counts = Counter(label for label in items["label"].to_pylist() if label)
    if not counts:
        counts = Counter(
            word
            for sentence in sentences
            for word in {*words(sentence)} - ENGLISH_STOP_WORDS
            if len(word) > 2
        )
    if not counts and engine.model.centroids is not None and "image" in engine.gallery.targets:
        vectors = engine.gallery.store.rows(items["id"].to_pylist()).vectors["image"].matrix
        counts = Counter(engine.model.predict_classes(vectors, "image"))
    shortest = sorted({*sentences}, key=lambda one: (len(one), one))
    frequent = [one for one, _ in counts.most_common(4 * EXAMPLES)]
    known = (
        [one for one in each if len(one) <= _LONGEST and engine.model.text.knows((one,))]
        for each in (frequent, shortest[:EXAMPLES])
    )
    return [one for each in known for one in each[:EXAMPLES]]


def _head(engine: Engine, title: str, model: str) -> str:
    counts = engine.gallery.store.vector_counts
    pictures, texts = counts.get("image", 0), counts.get("text", 0)
    facts = [f"{pictures:,} picture{'' if pictures == 1 else 's'}"]
    if texts:
        facts.append(f"{texts:,} with sentences")
    facts.append(f"model {Path(model).name}")
    also = ", and sentences by pictures" if texts else ""
    return (
        f'<header class="head">{_MARK}<div><h1>{html.escape(title)}</h1>'
        f"<p>Find pictures by sentences{also}. {html.escape(' · '.join(facts))}.</p></div></header>"
    )

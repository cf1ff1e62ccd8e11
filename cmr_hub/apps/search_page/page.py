"""Build the page: tabs over the gallery of a model."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gradio as gr
import numpy as np
import pyarrow as pa
from PIL import Image
from starlette.routing import Route

from cmr_hub.apps.search_page.about_tab import about_tab
from cmr_hub.apps.search_page.compare_tab import compare_tab
from cmr_hub.apps.search_page.engine import Engine, name_of
from cmr_hub.apps.search_page.gradio_api import CONCURRENCY, QUEUE, gradio_endpoints
from cmr_hub.apps.search_page.guard import guard
from cmr_hub.apps.search_page.http_api import http_routes
from cmr_hub.apps.search_page.limits import Work
from cmr_hub.apps.search_page.own_tab import own_tab
from cmr_hub.apps.search_page.panel import search_panel
from cmr_hub.apps.search_page.pictures import picture_route
from cmr_hub.apps.search_page.query_options import MAX_LETTERS, QueryOptions
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.sessions import Sessions
from cmr_hub.apps.search_page.upload_routes import upload_routes
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub.errors import QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.outside import shortened
from cmr_hub.releases import PHOTOS

if TYPE_CHECKING:
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import JSONObject

EXAMPLES: Final = 6
SENTENCES: Final = 3
EMPTY: Final = "Describe a picture, give one, or click an example."
_MARK: Final = (
    '<svg viewBox="0 0 48 48" aria-hidden="true"><rect width="48" height="48" rx="13" '
    'fill="#4338ca"/><circle cx="21" cy="21" r="9" fill="none" stroke="#fff" stroke-width="4"/>'
    '<path d="M28 28l9 9" stroke="#fff" stroke-width="4" stroke-linecap="round"/></svg>'
)


@dataclass(frozen=True)
class Page:
    """A search page with its routes and the data of its visitors.

    Attributes:
        blocks: the Gradio page.
        routes: routes of pictures, uploads and the service.
        sessions: the visitors' own pictures.
        files: the visitors' uploads.
        work: the computing time that each address has used.
    """

    blocks: gr.Blocks
    routes: tuple[Route, ...]
    sessions: Sessions
    files: VisitorFolder
    work: Work

    def close(self) -> None:
        """Stop serving, and remove the visitors' files."""
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
) -> Page:
    """Build the page over the gallery of a model; `serve` serves it.

    Args:
        model: a model with a gallery.
        name: the model's name or path, as `load` accepts it.
        compare: other models by name, for the Compare tab. They encode the gallery's items now.
        card: directory of the model card.
        gallery: directory or address of the gallery, as `open_gallery` accepts it; None for the
            model's own.

    Raises:
        QueryError: the model has no gallery, or a model cannot read pictures and sentences.
    """
    for each in (model, *(compare or {}).values()):
        if not (each.image.has_encoder and each.text.has_encoder):
            raise QueryError(
                "this model was trained on precomputed features and cannot read pictures and "
                "sentences; train one on a dataset of pictures"
            )
    if not isinstance(model.gallery, Gallery) or not len(model.gallery):
        raise QueryError(
            "this model has no gallery to search in; train it with `--gallery test` or "
            "`--gallery all`"
        )
    engine = Engine(model, model.gallery)
    engines = {name: engine}
    for other, each in (compare or {}).items():
        engines[other] = Engine(each, _gallery_of(each, model.gallery))
    # Load now what the first query needs, so that no visitor waits for it.
    engine.answer(QueryOptions(like=model.gallery.items["id"][0].as_py()))
    model.encode_images([Image.new("RGB", (8, 8))])
    files, work = VisitorFolder(), Work()
    sessions, service = Sessions(model, files), Service(engine)
    # Gradio computes statistics of all requests after each one, which nobody reads.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    with gr.Blocks(
        title="CMR Hub: search pictures and sentences",
        analytics_enabled=False,
        delete_cache=(600, 3600),
    ) as blocks:
        gr.HTML(_head(model, model.gallery), elem_classes="head-row", padding=False)
        with gr.Tab("Search", id="search"):
            search_panel(
                "search",
                lambda request: engine,
                placeholder="Describe a picture",
                empty=EMPTY,
                labels=engine.labels,
                sources=engine.sources,
                has_texts=len(model.gallery.targets) > 1,
                autofocus=True,
                examples=_examples(engine),
            )
        with gr.Tab("My pictures", id="own"):
            own_tab(sessions, files)
        with gr.Tab("Compare", id="compare"):
            compare_tab(engines)
        with gr.Tab("About", id="about"):
            about_tab(model, name, card, gallery)
        gradio_endpoints(service)
        blocks.unload(_forget(sessions, files))
    guard(blocks, files, work)
    blocks.queue(max_size=QUEUE, default_concurrency_limit=CONCURRENCY)
    routes = (
        picture_route(engine, sessions.engine, work),
        *http_routes(service, work),
        *upload_routes(files),
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


def _examples(engine: Engine) -> JSONObject:
    """Return examples to try: the shortest sentences and the pictures of some items."""
    gallery = engine.gallery
    rows = np.linspace(0, len(gallery) - 1, min(EXAMPLES, len(gallery))).astype(int)
    items = gallery.items.take(pa.array(rows)).to_pylist()
    shortest = {min(item["sentences"], key=len): None for item in items if item["sentences"]}
    return {
        # Sentences that are too long for a query are left out.
        "sentences": [s for s in sorted(shortest, key=len) if len(s) <= MAX_LETTERS][:SENTENCES],
        "pictures": [
            {
                "id": item["id"],
                "caption": shortened(item["label"] or name_of(item["id"], item["path"])),
                "picture": engine.address(item["id"]),
            }
            for item in items
            if item["path"] is not None
        ],
    }


def _head(model: CrossModalModel, gallery: Gallery) -> str:
    counts = gallery.store.vector_counts
    facts = [f"{counts.get('image', 0):,} pictures, {counts.get('text', 0):,} with sentences"]
    if model.classes:
        facts.append(f"{len(model.classes)} classes")
    return (
        f'<header class="head">{_MARK}<div><h1>CMR Hub</h1>'
        f"<p>Find pictures by sentences, and sentences by pictures. "
        f"{html.escape(' · '.join(facts))}.</p></div></header>"
    )


def _forget(sessions: Sessions, files: VisitorFolder) -> object:
    def forget(request: gr.Request) -> None:
        """Remove the files of a visitor who has left."""
        sessions.close(request.session_hash)
        files.forget(request.session_hash)

    return forget

"""Answer queries on one gallery, independently of the page."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc

from cmr_hub.apps.search_page.facets import (
    PLACE,
    TAKEN,
    Facets,
    columns_of,
    facets_of,
    refuse_hidden,
)
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.datasets.videos import clock, frame_of
from cmr_hub.errors import QueryError
from cmr_hub.gallery.items import picked, picture_ids
from cmr_hub.gallery.notes import unknown_words
from cmr_hub.gallery.pages import hit_of, picture_of
from cmr_hub.gallery.query import UNWANTED_WEIGHT, Mix, Query, chosen_target, query_vector
from cmr_hub.gallery.where import Where
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.hit import Hit
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import ImageSource, JSONObject, Modality

NEAR_DUPLICATE: Final = 0.98
MOST_SENTENCES: Final = 50
_CACHE_SIZE: Final = 1024


@dataclass(frozen=True, eq=False)
class Answer:
    """The results of a query, with the query itself."""

    options: QueryOptions
    query: Query | None
    """None for an empty query, which lists the items of the gallery."""
    vector: npt.NDArray[np.float64] | None
    """(d,) unit vector of the query."""
    kind: Modality
    """Modality of the query for the prediction of classes."""
    pictures: list[Hit] | None
    """None if pictures were not searched."""
    texts: list[Hit] | None
    unknown: list[str] = field(default_factory=list)
    """Words of the query that are not in the model's vocabulary."""
    is_cut: bool = False
    """Whether `clear` was applied; not every query and gallery supports it."""
    total: int | None = None
    """Total number of items for an empty query."""

    def hit(self, id: str, target: Modality) -> Hit | None:
        """Return the result with this id, or None."""
        hits = (self.pictures if target == "image" else self.texts) or []
        return next((hit for hit in hits if hit.id == id), None)


class Engine:
    """Search one gallery with one model.

    Args:
        model: a model with both encoders.
        gallery: a gallery opened with this model.
        token: the session's token if the gallery belongs to a session.
        is_private: whether only the owner can access the page. The owner may see the paths of the
            pictures and where they were taken.
    """

    def __init__(
        self,
        model: CrossModalModel,
        gallery: Gallery,
        *,
        token: str | None = None,
        is_private: bool = False,
    ) -> None:
        self.model, self.gallery, self.token, self.is_private = model, gallery, token, is_private
        self.hidden = () if is_private else ("path", *PLACE)
        self._cached = lru_cache(_CACHE_SIZE)(lambda options, _changes: self._answer(options))
        self._facets = lru_cache(1)(lambda _changes: facets_of(self.gallery.items, self.hidden))
        # Encoding a text takes a millisecond with many small steps. Concurrent threads would wait
        # for each other after every step, and all of them would be slower.
        self._text_lock = Lock()

    @property
    def facets(self) -> Facets:
        """Columns to filter the gallery by, computed once per state of the gallery."""
        return self._facets(self.gallery.store.changes)

    def answer(self, options: QueryOptions, picture: ImageSource | None = None) -> Answer:
        """Answer a query. An empty query lists the items of the gallery.

        Answers to queries without a picture are cached until the gallery changes.

        Raises:
            CMRError: the query cannot be answered; the message states what to do.
        """
        refuse_hidden(options.where, self.hidden)
        if picture is not None:
            return self._answer(options, picture)
        with self._text_lock:
            return self._cached(options, self.gallery.store.changes)

    def address(self, id: str, *, small: bool = False) -> str:
        """Return the URL of an item's picture relative to the page."""
        own = "" if self.token is None else f"&own={quote(self.token)}"
        return f"picture?id={quote(id, safe='')}{own}{'&small=1' if small else ''}"

    def path(self, path: str | Path | None) -> str | None:
        """Return a picture's path for visitors, relative to the common folder unless private."""
        if path is None or self.token is not None:
            return None
        if self.is_private:
            return str(path)
        root = self.facets.root
        return posixpath.relpath(path, root) if root else Path(path).name

    def shown(self, hit: Hit) -> JSONObject:
        """Return a result as JSON for the page."""
        name = name_of(hit.id, hit.path, hit.metadata.get("name"))
        sentences = shown_sentences(hit.sentences)
        return {
            "rank": hit.rank,
            "id": hit.id,
            "score": None if math.isnan(hit.score) else round(hit.score, 6),
            "z": None if hit.z is None else round(hit.z, 2),
            "class": hit.label and shortened(hit.label),
            "caption": sentences[0] if sentences else shortened(name),
            "sentences": sentences,
            "duplicates": hit.duplicates,
            "picture": None if hit.path is None else self.address(hit.id),
        }

    def record(self, hit: Hit) -> JSONObject:
        """Return a result as JSON for programs, also with its path, other columns and thumbnail."""
        return {
            **self.shown(hit),
            "path": self.path(hit.file),
            "columns": columns_of(hit.metadata, self.hidden),
            "thumbnail": None if hit.path is None else self.address(hit.id, small=True),
        }

    def _answer(self, options: QueryOptions, picture: ImageSource | None = None) -> Answer:
        if not (options.text or options.without or options.like or picture is not None):
            return self._listing(options)
        query, kind = self._query(options, picture)
        vector = query_vector(self.model, query)
        is_text = picture is None and not options.like
        is_cut = options.clear is not None and is_text and self.gallery.store.neutral is not None
        found: dict[Modality, list[Hit] | None] = {"image": None, "text": None}
        for target in self._targets(options, picture is not None):
            if target in self.gallery.targets:
                found[target] = self._search(
                    options, vector, target, options.clear if is_cut else None, is_text=is_text
                )
        unknown = unknown_words(self.model, query)
        return Answer(options, query, vector, kind, found["image"], found["text"], unknown, is_cut)

    def _listing(self, options: QueryOptions) -> Answer:
        """Return the items that satisfy the condition, most recent photographs first.

        Only one of several copies and one frame per video are listed.
        """
        items = self.gallery.store.table(Where(options.where) if options.where else None)
        target: Modality = "image" if "image" in self._targets(options, False) else "text"
        if target == "image":
            items = items.filter(pc.is_valid(items.column("path")))
        copies = self.gallery.store.copies
        if copies:
            codes = picture_ids(items).combine_chunks().dictionary_encode().indices
            _, first = np.unique(codes.to_numpy(), return_index=True)
            items = picked(items, np.sort(first))
        if TAKEN in items.column_names:
            order = pc.sort_indices(items, [(TAKEN, "descending")])
            page = items.take(order.slice(options.offset, options.count))
        else:
            page = items.slice(options.offset, options.count)
        rows = page.to_pylist()
        hits = [
            hit_of(row, math.nan, rank, duplicates=copies.get(picture_of(row), 1) - 1)
            for rank, row in enumerate(rows, options.offset + 1)
        ]
        pictures, texts = (hits, None) if target == "image" else (None, hits)
        return Answer(options, None, None, target, pictures, texts, total=len(items))

    def _query(self, options: QueryOptions, picture: ImageSource | None) -> tuple[Query, Modality]:
        if options.like:
            row = self.gallery.store.rows([options.like])
            if not len(row):
                raise QueryError("this result is no longer in the gallery; search again")
            kind: Modality = "image" if "image" in row.vectors else "text"
            return row.vectors[kind].matrix[0], kind
        parts: list[tuple[float, Query]] = []
        if picture is not None:
            # Store the vector, so that later requests about this query need not read the picture.
            parts.append((1.0, query_vector(self.model, self.model.encode_images([picture])[0])))
        if options.text:
            parts.append((1.0 if picture is None else options.weight, options.text))
        if not parts:
            raise QueryError(
                "the query only says what to exclude; also enter a sentence or choose a picture"
            )
        if options.without:
            parts.append((-UNWANTED_WEIGHT, options.without))
        query: Query = options.text if picture is None and not options.without else Mix(*parts)
        return query, "text" if picture is None else "image"

    def _targets(self, options: QueryOptions, has_picture: bool) -> tuple[Modality, ...]:
        if options.target == "both" or (not options.target and (has_picture or options.like)):
            return ("image", "text")
        return (chosen_target(options.target, self.gallery.targets),)

    def _search(
        self,
        options: QueryOptions,
        vector: npt.NDArray[np.float64],
        target: Modality,
        clear: float | None,
        *,
        is_text: bool,
    ) -> list[Hit]:
        filters: dict[str, Any] = {
            "where": options.where or None,
            "min_score": options.min_score,
            "clear": clear,
            "distinct": NEAR_DUPLICATE if options.distinct else True,
        }
        if options.like:
            return self.gallery.more_like(
                options.like, options.count, target, options.offset, **filters
            )
        return self.gallery.search(
            vector,
            options.count,
            target,
            options.offset,
            query_modality="text" if is_text else "image",
            text=options.text,
            **filters,
        )


def shown_sentences(sentences: Sequence[str] | None) -> list[str]:
    """Return the sentences of an item with a limited number and length."""
    return [shortened(sentence) for sentence in (sentences or ())[:MOST_SENTENCES]]


def name_of(id: str, path: str | Path | None, name: object = None) -> str:
    """Return the display name of an item: its name, its file name, or its id."""
    frame = None if path is None else frame_of(path)
    if frame is not None and not name:
        return f"{frame[0].name} at {clock(frame[1])}"
    return str(name or (path and Path(path).name) or id)

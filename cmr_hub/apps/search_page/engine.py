"""Answer queries over one gallery, independently of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc

from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.errors import QueryError
from cmr_hub.gallery.notes import unknown_words
from cmr_hub.gallery.query import UNWANTED_WEIGHT, Mix, Query, chosen_target, query_vector
from cmr_hub.outside import MOST_SHOWN, shortened

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.hit import Hit
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import ImageSource, JSONObject, Modality

NEAR_DUPLICATE: Final = 0.98
MOST_CHOICES: Final = 300
MOST_SENTENCES: Final = 50
SOURCE_COLUMNS: Final = ("source", "folder")
_CACHE_SIZE: Final = 1024


@dataclass(frozen=True, eq=False)
class Answer:
    """The results of a query, with the query itself."""

    options: QueryOptions
    query: Query
    vector: npt.NDArray[np.float64]
    """(d,) unit vector of the query."""
    kind: Modality
    """Modality of the query when it is compared with classes."""
    pictures: list[Hit] | None
    """None if pictures were not searched."""
    texts: list[Hit] | None
    unknown: list[str] = field(default_factory=list)
    """Words of the query that are not in the model's vocabulary."""
    is_cut: bool = False
    """Whether `clear` was applied; not every query and gallery supports it."""

    def hit(self, id: str, target: Modality) -> Hit | None:
        """Return the result with this id, or None."""
        hits = (self.pictures if target == "image" else self.texts) or []
        return next((hit for hit in hits if hit.id == id), None)


class Engine:
    """Searches one gallery with one model.

    Args:
        model: a model with both encoders.
        gallery: a gallery opened with this model.
        token: the session's token if the gallery belongs to a session.

    Attributes:
        labels: the classes that can be chosen.
        sources: the sources that can be chosen.
    """

    def __init__(
        self, model: CrossModalModel, gallery: Gallery, *, token: str | None = None
    ) -> None:
        self.model, self.gallery, self.token = model, gallery, token
        self.labels = self._choices("label")
        self._source = next((name for name in SOURCE_COLUMNS if self._choices(name)), None)
        self.sources = [] if self._source is None else self._choices(self._source)
        self._cached = lru_cache(_CACHE_SIZE)(lambda options, _changes: self._answer(options))
        # Encoding a text is a millisecond of many small steps. Threads that do it concurrently
        # wait for each other after every step, and all become slower.
        self._text_lock = Lock()

    def answer(self, options: QueryOptions, picture: ImageSource | None = None) -> Answer | None:
        """Answer a query; return None if it is empty.

        Answers to queries without a picture are cached until the gallery changes.

        Raises:
            CMRError: the query cannot be answered; the message tells what to do.
        """
        if not (options.text or options.unwanted or options.like or picture is not None):
            return None
        if picture is not None:
            return self._answer(options, picture)
        with self._text_lock:
            return self._cached(options, self.gallery.store.changes)

    def address(self, id: str, *, small: bool = False) -> str:
        """Return the URL of an item's picture, relative to the page."""
        own = "" if self.token is None else f"&own={quote(self.token)}"
        return f"picture?id={quote(id, safe='')}{own}{'&small=1' if small else ''}"

    def shown(self, hit: Hit) -> JSONObject:
        """Return a result as JSON for the page and the service."""
        name = name_of(hit.id, hit.path, hit.metadata.get("name"))
        sentences = shown_sentences(hit.sentences)
        return {
            "rank": hit.rank,
            "id": hit.id,
            "score": round(hit.score, 6),
            "z": None if hit.z is None else round(hit.z, 2),
            "class": hit.label and shortened(hit.label),
            "caption": sentences[0] if sentences else shortened(name),
            "sentences": sentences,
            "picture": None if hit.path is None else self.address(hit.id),
        }

    def _choices(self, column: str) -> list[str]:
        """Return the distinct values of a column if there are 2 to `MOST_CHOICES`, else none."""
        items = self.gallery.items
        if column not in items.column_names:
            return []
        values = [value for value in pc.unique(items.column(column)).to_pylist() if value]
        is_usable = 1 < len(values) <= MOST_CHOICES and all(
            isinstance(value, str) and len(value) <= MOST_SHOWN for value in values
        )
        return sorted(values) if is_usable else []

    def _answer(self, options: QueryOptions, picture: ImageSource | None = None) -> Answer:
        query, kind = self._query(options, picture)
        vector = query_vector(self.model, query)
        is_text = picture is None and options.like is None
        is_cut = options.clear is not None and is_text and self.gallery.store.neutral is not None
        found: dict[Modality, list[Hit] | None] = {"image": None, "text": None}
        for target in self._targets(options, picture is not None):
            if target in self.gallery.targets:
                found[target] = self._search(
                    options if is_cut else replace(options, clear=None),
                    vector,
                    target,
                    is_text=is_text,
                )
        unknown = unknown_words(self.model, query)
        return Answer(options, query, vector, kind, found["image"], found["text"], unknown, is_cut)

    def _query(self, options: QueryOptions, picture: ImageSource | None) -> tuple[Query, Modality]:
        if options.like is not None:
            row = self.gallery.store.rows([options.like])
            if not len(row):
                raise QueryError("this result is no longer in the gallery; search again")
            kind: Modality = "image" if "image" in row.vectors else "text"
            return row.vectors[kind].matrix[0], kind
        parts: list[tuple[float, Query]] = []
        if picture is not None:
            # As a vector, so that later requests about this query need not read the picture again.
            parts.append((1.0, query_vector(self.model, self.model.encode_images([picture])[0])))
        if options.text:
            parts.append((1.0 if picture is None else options.weight, options.text))
        if not parts:
            raise QueryError("say what you want as well: give a sentence or a picture")
        if options.unwanted:
            parts.append((-UNWANTED_WEIGHT, options.unwanted))
        query: Query = options.text if picture is None and not options.unwanted else Mix(*parts)
        return query, "text" if picture is None else "image"

    def _targets(self, options: QueryOptions, has_picture: bool) -> tuple[Modality, ...]:
        match options.show:
            case "pictures":
                return ("image",)
            case "sentences":
                return ("text",)
            case "both":
                return ("image", "text")
        if has_picture or options.like is not None:
            return ("image", "text")
        return (chosen_target(None, self.gallery.targets),)

    def _search(
        self,
        options: QueryOptions,
        vector: npt.NDArray[np.float64],
        target: Modality,
        *,
        is_text: bool,
    ) -> list[Hit]:
        filters: dict[str, Any] = {
            "where": self._where(options),
            "min_score": options.min_score,
            "clear": options.clear,
            "query_modality": "text" if is_text else "image",
            "distinct": NEAR_DUPLICATE if options.distinct else True,
        }
        if options.like is None:
            return self.gallery.search(vector, options.count, target, **filters)
        del filters["query_modality"]
        return self.gallery.more_like(options.like, options.count, target, **filters)

    def _where(self, options: QueryOptions) -> str | None:
        parts = []
        if options.labels:
            parts.append(f"label IN ({_listed(options.labels)})")
        if options.sources and self._source is not None:
            parts.append(f"{self._source} IN ({_listed(options.sources)})")
        return " AND ".join(parts) or None


def _listed(values: tuple[str, ...]) -> str:
    """Format values as SQL string constants."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def shown_sentences(sentences: Sequence[str] | None) -> list[str]:
    """Return the sentences of an item, limited in number and length for a page."""
    return [shortened(sentence) for sentence in (sentences or ())[:MOST_SENTENCES]]


def name_of(id: str, path: str | Path | None, name: object = None) -> str:
    """Return the display name of an item: its own name, its file name, or its id."""
    return str(name or (path and Path(path).name) or id)

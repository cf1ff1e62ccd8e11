"""Answer programs in JSON; `gradio_api` and `http_api` offer this service."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from cmr_hub.apps.search_page.query_options import MAX_HITS, QueryOptions, cleaned
from cmr_hub.apps.search_page.replies import not_cut
from cmr_hub.errors import QueryError
from cmr_hub.gallery.clear import NOTHING_CLEAR
from cmr_hub.gallery.notes import query_notes

if TYPE_CHECKING:
    from PIL import Image

    from cmr_hub.apps.search_page.engine import Answer, Engine
    from cmr_hub.types import JSONObject

COUNT: Final = 10


class Service:
    """Searches and encodes; every method raises CMRError if it cannot answer.

    Args:
        engine: the engine of the gallery.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def search_text(
        self,
        text: object,
        count: object = COUNT,
        without: object = "",
        clear: object = None,
    ) -> JSONObject:
        """Return the pictures that best match a sentence; with `clear` only clear hits."""
        options = QueryOptions(
            text=cleaned(text), unwanted=cleaned(without), count=_count(count), clear=_clear(clear)
        )
        return self._record(self._engine.answer(options))

    def search_image(
        self, picture: Image.Image | None, text: object = "", count: object = COUNT
    ) -> JSONObject:
        """Return the pictures and sentences that best match a picture, optionally with words."""
        if picture is None:
            raise QueryError("give a picture")
        options = QueryOptions(text=cleaned(text), count=_count(count))
        return self._record(self._engine.answer(options, picture))

    def encode(self, text: object = "", picture: Image.Image | None = None) -> JSONObject:
        """Return the unit vector of a sentence or of a picture."""
        words = cleaned(text)
        if bool(words) == (picture is not None):
            raise QueryError("give either a text or a picture")
        model = self._engine.model
        if picture is not None:
            vector = model.encode_images([picture])[0]
        else:
            vector = model.encode_texts([words])[0]
        return {
            "vector": vector.tolist(),
            "dim": model.dim,
            "model": self._engine.gallery.model_id,
        }

    def _record(self, answer: Answer | None) -> JSONObject:
        if answer is None:
            raise QueryError("the text is empty; give a sentence")
        shown = self._engine.shown
        is_empty = not answer.pictures and not answer.texts
        first = NOTHING_CLEAR if answer.is_cut and is_empty else not_cut(answer)
        notes = query_notes(answer.query, (), "as `without` of search_text")
        return {
            "pictures": [shown(hit) for hit in answer.pictures or []],
            "sentences": [shown(hit) for hit in answer.texts or []],
            "unknown_words": answer.unknown,
            "note": " ".join(filter(None, (first, *notes))) or None,
        }


def _clear(value: Any) -> float | None:
    try:
        clear = float(value or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError("clear must be a number, e.g. 2.5") from error
    if not math.isfinite(clear):
        raise QueryError("clear must be a number, e.g. 2.5")
    return clear or None


def _count(value: Any) -> int:
    try:
        count = round(float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"count must be a number from 1 to {MAX_HITS}") from error
    if not 1 <= count <= MAX_HITS:
        raise QueryError(f"count must be from 1 to {MAX_HITS}, not {count}")
    return count

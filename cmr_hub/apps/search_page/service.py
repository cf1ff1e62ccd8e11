"""Answer requests of programs in JSON; `gradio_api` and `http_api` offer this service."""

from __future__ import annotations

import binascii
import math
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from cmr_hub.apps.search_page.query_options import QueryOptions, cleaned
from cmr_hub.apps.search_page.replies import not_cut
from cmr_hub.apps.search_page.uploads import decode_upload
from cmr_hub.errors import ImageError, QueryError
from cmr_hub.gallery.clear import NOTHING_CLEAR
from cmr_hub.gallery.notes import query_notes
from cmr_hub.gallery.pages import hit_of

if TYPE_CHECKING:
    from PIL import Image

    from cmr_hub.apps.search_page.engine import Engine
    from cmr_hub.types import JSONObject


class Service:
    """Search and encode; all methods raise CMRError if they cannot answer.

    Args:
        engine: the engine of the gallery.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def search(self, picture: Image.Image | None = None, **values: Any) -> JSONObject:
        """Return the results of a search.

        Args:
            picture: a decoded picture, instead of the value `image`.
            **values: see `QueryOptions`.
        """
        options = QueryOptions.of(values)
        if options.image is not None:
            picture = decode_image_text(options.image)
            options = options.model_copy(update={"image": None})
        if picture is None and not (
            options.text or options.without or options.like or options.where
        ):
            raise QueryError("the text is empty; enter a sentence")
        answer = self._engine.answer(options, picture)
        is_empty = not answer.pictures and not answer.texts
        first = NOTHING_CLEAR if answer.is_cut and is_empty else not_cut(answer)
        notes = [] if answer.query is None else query_notes(answer.query, (), "as `without`")
        record = self._engine.record
        return {
            "pictures": [record(hit) for hit in answer.pictures or []],
            "sentences": [record(hit) for hit in answer.texts or []],
            "unknown_words": answer.unknown,
            "note": " ".join(filter(None, (first, *notes))) or None,
        }

    def encode(self, text: object = "", picture: Image.Image | None = None) -> JSONObject:
        """Return the unit vector of a sentence or of a picture."""
        words = cleaned(text)
        if bool(words) == (picture is not None):
            raise QueryError("send either a text or a picture")
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

    def facets(self) -> JSONObject:
        """Return the columns of the gallery with their types and their values or ranges."""
        return {"items": len(self._engine.gallery), "columns": self._engine.facets.columns}

    def item(self, id: object) -> JSONObject:
        """Return an item of the gallery."""
        rows = self._engine.gallery.store.rows([cleaned(id)])
        if not len(rows):
            raise QueryError("the gallery has no item with this id")
        record = self._engine.record(hit_of(rows.items.to_pylist()[0], math.nan, 0))
        return {name: record[name] for name in record if name not in ("rank", "score", "z")}

    def health(self) -> JSONObject:
        """Return the status of the page and its gallery."""
        gallery = self._engine.gallery
        return {"status": "ok", "items": len(gallery), "model": gallery.model_id}


def decode_image_text(text: str) -> Image.Image:
    """Decode a picture in base64, with or without the prefix of a data: URL.

    Raises:
        ImageError: the picture cannot be read.
    """
    head, _, rest = text.rpartition(",")
    if head and not head.startswith("data:"):
        raise ImageError("cannot read the picture: image must be a data: URL or base64")
    try:
        return decode_upload(b64decode(rest, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ImageError("cannot read the picture: image must be a data: URL or base64") from error
    except ImageError as error:
        raise ImageError(f"cannot read the picture: {error}") from error

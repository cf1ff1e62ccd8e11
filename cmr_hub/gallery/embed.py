"""Encoding the pictures and sentences of items into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.errors import CMRError, shown
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.models.cross_modal import CrossModalModel


def embedded(
    model: CrossModalModel,
    items: Sequence[Item],
    *,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Segment:
    """Encode items: every picture gets a vector, and so do sentences with a known word.

    Raises:
        CMRError: the model has no encoders, or an item would get no vector.
        ModelFormatError: the items do not make a table.
        ImageError: a picture cannot be read.
    """
    if not (model.image.has_encoder and model.text.has_encoder):
        raise CMRError("a model of precomputed features cannot embed pictures and sentences")
    table = items_table(items)
    image_rows = np.flatnonzero([item.path is not None for item in items])
    text_rows = np.flatnonzero([model.text.knows(item.sentences) for item in items])
    empty = np.setdiff1d(np.arange(len(items)), np.union1d(image_rows, text_rows))
    if len(empty):
        raise CMRError(
            f"{len(empty)} items have neither a picture nor a word that the model knows, "
            f"e.g. {shown(items[empty[0]].id)}: leave them out"
        )
    paths = [path for item in items if (path := item.path) is not None]
    images = model.image.encode(paths, cache=cache, progress=progress)
    texts = model.encode_documents([items[int(row)].sentences for row in text_rows])
    return Segment(
        table, {"image": VectorColumn(images, image_rows), "text": VectorColumn(texts, text_rows)}
    )

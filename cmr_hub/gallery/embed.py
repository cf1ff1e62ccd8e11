"""Items as a model sees them: their pictures and sentences become vectors."""

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
    """Rows of these items: a picture has a vector, and sentences with a word that is known.

    Raises:
        CMRError: the model has no encoders, or an item has nothing that could be found.
        ModelFormatError: the items do not make a table.
        ImageError: a picture cannot be read.
    """
    if not (model.image.has_encoder and model.text.has_encoder):
        raise CMRError("a model of precomputed features cannot embed pictures and sentences")
    table = items_table(items)
    pictured = np.flatnonzero([item.path is not None for item in items])
    told = np.flatnonzero([model.text.knows(item.sentences) for item in items])
    nothing = np.setdiff1d(np.arange(len(items)), np.union1d(pictured, told))
    if len(nothing):
        raise CMRError(
            f"{len(nothing)} items have neither a picture nor a word that the model knows, "
            f"e.g. {shown(items[nothing[0]].id)}: leave them out"
        )
    paths = [path for item in items if (path := item.path) is not None]
    images = model.image.encode(paths, cache=cache, progress=progress)
    texts = model.encode_documents([items[int(row)].sentences for row in told])
    return Segment(
        table,
        {
            "image": VectorColumn(images, pictured),
            "text": VectorColumn(texts, told),
        },
    )

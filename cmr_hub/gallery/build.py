"""Build a gallery from a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.models.cross_modal import CrossModalModel

logger = logging.getLogger(__name__)


def build_gallery(
    model: CrossModalModel,
    dataset: PairDataset,
    *,
    cache: FeatureCache | None = None,
    progress: bool = False,
) -> Gallery:
    """Build an in-memory gallery from the items of a dataset.

    Items with neither a picture nor a word that the model knows are skipped. Their number is
    logged.

    Raises:
        CMRError: the model has no encoders, or no item remains.
        ImageError: a picture cannot be read.
    """
    if not model.text.has_encoder:
        raise CMRError("a model of precomputed features cannot embed pictures and sentences")
    items = [
        Item(id=id_, path=path, sentences=sentences, label=dataset.label_name(row))
        for row, (id_, path, sentences) in enumerate(
            zip(dataset.ids, dataset.images, dataset.sentences, strict=True)
        )
        if path is not None or model.text.knows(sentences)
    ]
    if not items:
        raise CMRError(f"{dataset.name} has no picture and no word that the model knows")
    if len(items) < len(dataset):
        logger.warning(
            "skipped %d of %d items that have no picture and no known word",
            len(dataset) - len(items),
            len(dataset),
        )
    gallery = Gallery.create(None, model)
    gallery.add(items, cache=cache or FeatureCache(), progress=progress)
    return gallery

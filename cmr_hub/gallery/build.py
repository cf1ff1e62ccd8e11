"""A gallery of a dataset, embedded by a model."""

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
    """A gallery in memory of the items of a dataset.

    Items with neither a picture nor a word that the model knows are left out and counted in the
    log.

    Raises:
        CMRError: the model has no encoders, or nothing is left.
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
        raise CMRError(f"nothing in {dataset.name} can be searched by this model")
    if len(items) < len(dataset):
        logger.warning(
            "%d of %d items are left out of the gallery: no picture, and no known word",
            len(dataset) - len(items),
            len(dataset),
        )
    gallery = Gallery.create(None, model)
    gallery.add(items, cache=cache or FeatureCache(), progress=progress)
    return gallery

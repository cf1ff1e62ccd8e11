"""A gallery of a dataset, embedded by a model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table

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
    """Embeds the pairs of a dataset for search in both modalities.

    Items without a picture, or without a word that the model knows, are left out and counted in
    the log.

    Raises:
        CMRError: the model has no encoders, or nothing is left.
        ImageError: a picture cannot be read.
    """
    encoder = model.image_encoder
    if encoder is None or model.text_encoder is None:
        raise CMRError("a model of precomputed features cannot embed pictures and sentences")
    usable = np.array(
        [
            path is not None and model.text_encoder.knows(sentences)
            for path, sentences in zip(dataset.images, dataset.sentences, strict=True)
        ]
    )
    if not usable.any():
        raise CMRError(f"nothing in {dataset.name} can be searched by this model")
    if not usable.all():
        logger.warning(
            "%d of %d items are left out of the gallery: no picture, or no known word",
            np.count_nonzero(~usable),
            len(usable),
        )
    part = dataset.subset(usable)
    paths = [path.absolute() for path in part.images if path is not None]
    features = (cache or FeatureCache()).encode(encoder, paths, progress=progress)
    items = [
        Item(id=id_, path=path, sentences=sentences, label=part.label_name(row))
        for row, (id_, path, sentences) in enumerate(
            zip(part.ids, paths, part.sentences, strict=True)
        )
    ]
    return Gallery(
        items_table(items),
        image_embeddings=model.image_projector.embed(features),
        text_embeddings=model.encode_documents(part.sentences),
        model_id=model.fingerprint,
    )

"""The pairs a model is trained and measured on: those that are whole, and their feature rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.errors import TrainingError
from cmr_hub.training.data import PairedFeatures

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder

logger = logging.getLogger(__name__)


def complete_pairs(dataset: PairDataset | FeatureDataset) -> PairDataset | FeatureDataset:
    """The items that have a picture, a text and, where there are classes, a label.

    The others are counted in the log.
    """
    if isinstance(dataset, FeatureDataset):
        return dataset
    whole = [
        image is not None and bool(sentences) and (label >= 0 or not dataset.classes)
        for image, sentences, label in zip(
            dataset.images, dataset.sentences, dataset.labels, strict=True
        )
    ]
    if not any(whole):
        raise TrainingError(
            f"{dataset.name} has no item with a picture, a text and a label; "
            "training needs all three"
        )
    if not all(whole):
        logger.warning(
            "%d of %d items are left out: they lack a picture, a text or a label",
            whole.count(False),
            len(whole),
        )
    return dataset.subset(np.array(whole))


def paired_features(
    dataset: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    cache: FeatureCache,
    *,
    progress: bool = False,
) -> PairedFeatures:
    """The feature rows of complete pairs, images through the cache.

    Raises:
        TrainingError: pictures and sentences without encoders.
        ImageError: a picture cannot be read.
    """
    n_classes = len(dataset.classes)
    if isinstance(dataset, FeatureDataset):
        return PairedFeatures(
            dataset.image_features, dataset.text_features, dataset.labels, n_classes
        )
    if image_encoder is None or text_encoder is None:
        raise TrainingError("pictures and sentences need an image encoder and a text encoder")
    images = [path for path in dataset.images if path is not None]
    return PairedFeatures(
        cache.encode(image_encoder, images, progress=progress),
        cache.encode_texts(text_encoder, dataset.sentences, progress=progress),
        dataset.labels,
        n_classes,
    )

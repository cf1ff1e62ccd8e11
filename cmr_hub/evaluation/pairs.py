"""The pairs a model is trained and measured on: those that are whole, and their feature rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.protocols import stratified_holdout
from cmr_hub.errors import TrainingError
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
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


def training_splits(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    seed: int,
    features: Callable[[Any], PairedFeatures],
) -> TrainingSplits:
    """What a method may learn from: fitted on some pairs, its settings chosen on others.

    Those others are the protocol's own validation split, or else a stratified part of the training
    pairs.

    Args:
        dataset: with a training split.
        method: a preset says how large that part is.
        seed: of the part.
        features: the feature rows of a split.

    Raises:
        TrainingError: too few labelled pairs to hold any out.
        UnknownNameError: there is no training split.
    """
    train = features(dataset.split("train"))
    if "validation" in dataset.split_names:
        return TrainingSplits(train, features(dataset.split("validation")), refit=None)
    fraction = method.validation_fraction if isinstance(method, Preset) else 0.15
    return _carve_validation(train, fraction, seed)


def _carve_validation(train: PairedFeatures, fraction: float, seed: int) -> TrainingSplits:
    kept, held_out = stratified_holdout(train.labels, fraction, seed)
    if not len(held_out):
        raise TrainingError(
            f"{len(train)} training pairs in {train.n_classes} classes are too few: "
            "at least one class needs two, so that one can be held out for validation"
        )
    return TrainingSplits(train.subset(kept), train.subset(held_out), refit=train)

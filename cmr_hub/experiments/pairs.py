"""The pairs a model is trained on: items that are whole, their rows, and those held out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.joined import source_names, sources
from cmr_hub.datasets.protocols import stratified_holdout
from cmr_hub.errors import TrainingError
from cmr_hub.memory import require_memory
from cmr_hub.training.data import Captions, PairedFeatures, TrainingSplits
from cmr_hub.training.picture_views import PictureView
from cmr_hub.training.presets import Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import Document, FloatArray, ImageSource, IntArray

logger = logging.getLogger(__name__)


def by_sentences(dataset: PairDataset | FeatureDataset, method: Preset | Baseline) -> bool:
    """Whether each caption is a pair of its own: the preset says so, or there are no labels."""
    if isinstance(dataset, FeatureDataset):
        return False
    asked = isinstance(method, Preset) and method.rows == "sentences"
    return asked or not (dataset.labels >= 0).any()


def complete_pairs(
    dataset: PairDataset | FeatureDataset, method: Preset | Baseline
) -> PairDataset | FeatureDataset:
    """The items that a method can learn from; see `complete_items`.

    Items without a label stay where it takes single captions and can do without.
    """
    label_free = by_sentences(dataset, method) and not method.needs_labels()
    return complete_items(dataset, labelled=not label_free)


def complete_items(
    dataset: PairDataset | FeatureDataset, *, labelled: bool = True
) -> PairDataset | FeatureDataset:
    """The items that have a picture, a text and, if asked for and there are classes, a label.

    The others are counted in the log.
    """
    if isinstance(dataset, FeatureDataset):
        return dataset
    unlabelled = not labelled or not dataset.classes
    whole = [
        image is not None and bool(sentences) and (label >= 0 or unlabelled)
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


@dataclass(frozen=True)
class PairRows:
    """What the pairs of a dataset are.

    Attributes:
        documents: R texts.
        labels: (R,) of their items.
        captions: which item each is of; None where every item is one pair.
    """

    documents: Sequence[Document]
    labels: IntArray
    captions: Captions | None = None


def pair_rows(
    dataset: PairDataset,
    encoder: TextEncoder,
    sentences: bool,
    label_weights: Mapping[str, float] | None = None,
) -> PairRows:
    """The pairs of complete items.

    Args:
        dataset: its items are pictures with captions.
        encoder: a sentence without a word that it knows teaches nothing and is left out.
        sentences: each caption is a pair of its own; beside them an item with a label is one of
            all its captions, for what learns classes. Else every item is one.
        label_weights: how much the labels of a dataset count, by its name; else 1.

    Raises:
        TrainingError: no caption has a word that the encoder knows.
    """
    if not sentences:
        return PairRows(dataset.sentences, dataset.labels)
    found: list[tuple[int, Document, bool]] = []
    for item, captions in enumerate(dataset.sentences):
        single = [(caption,) for caption in captions]
        found += [(item, document, False) for document in single if encoder.knows(document)]
        if dataset.labels[item] >= 0:
            found.append((item, captions, True))
    if not found:
        raise TrainingError(f"no caption of {dataset.name} has a word that {encoder.name} knows")
    items = np.array([item for item, _, _ in found], dtype=np.int64)
    whole = np.array([whole for _, _, whole in found])
    weights = None
    if label_weights:
        each = [label_weights.get(name, 1.0) for name in source_names(dataset)]
        weights = np.array(each, dtype=np.float32)[sources(dataset)[items]]
    return PairRows(
        [document for _, document, _ in found],
        dataset.labels[items],
        Captions(items, whole, sources(dataset)[items], weights),
    )


def paired_features(
    dataset: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    cache: FeatureCache,
    *,
    sentences: bool = False,
    label_weights: Mapping[str, float] | None = None,
    views: int = 1,
    progress: bool = False,
) -> PairedFeatures:
    """The feature rows of complete pairs, images through the cache.

    Args:
        dataset: complete.
        image_encoder, text_encoder: None for features only.
        cache: where rows are kept.
        sentences, label_weights: see `pair_rows`.
        views: of each picture; see `PictureView`.
        progress: show how far it is.

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
    paths = [path for path in dataset.images if path is not None]
    rows = pair_rows(dataset, text_encoder, sentences, label_weights)
    return PairedFeatures(
        _image_rows(paths, image_encoder, cache, views, progress),
        cache.encode_texts(text_encoder, rows.documents, progress=progress),
        rows.labels,
        n_classes,
        rows.captions,
    )


def _image_rows(
    paths: Sequence[ImageSource],
    encoder: ImageEncoder,
    cache: FeatureCache,
    views: int,
    progress: bool,
) -> FloatArray:
    if views == 1:
        return cache.encode(encoder, paths, progress=progress)
    require_memory(
        # Twice: the pairs to fit on and those for validation are a copy.
        2 * 4 * len(paths) * views * encoder.dim,
        f"{views} views of {len(paths)} pictures",
        "take a preset with fewer views",
    )
    seen = [None, *(PictureView(number) for number in range(1, views))]
    rows = [cache.encode(encoder, paths, view=view, progress=progress) for view in seen]
    return np.stack(rows, axis=1)


def training_splits(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    seed: int,
    features: Callable[[Any], PairedFeatures],
) -> TrainingSplits:
    """What a method may learn from: fitted on some pairs, its settings chosen on others.

    Those others are the protocol's own validation split, or else a stratified part of the training
    pairs, and of each of several datasets.

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
    captions = train.captions
    if captions is None:
        kept, held_out = stratified_holdout(train.labels, fraction, seed)
    else:
        # All pairs of an item on one side, and of each dataset as many as of the others.
        items, first = np.unique(captions.items, return_index=True)
        kinds = captions.sources[first] * (train.n_classes + 1) + train.labels[first]
        _, held = stratified_holdout(kinds, fraction, seed)
        outside = np.isin(captions.items, items[held])
        kept, held_out = np.flatnonzero(~outside), np.flatnonzero(outside)
    if not len(held_out):
        raise TrainingError(
            f"{len(train)} training pairs in {train.n_classes} classes are too few: "
            "at least one class needs two, so that one can be held out for validation"
        )
    return TrainingSplits(train.subset(kept), train.subset(held_out), refit=train)

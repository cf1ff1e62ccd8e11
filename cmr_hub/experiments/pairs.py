"""Prepare training pairs: select complete items, compute features, hold out validation pairs."""

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
    import numpy.typing as npt

    from cmr_hub.baselines.base import Baseline
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import Document, FloatArray, ImageSource, LabelArray

logger = logging.getLogger(__name__)


def by_sentences(dataset: PairDataset | FeatureDataset, method: Preset | Baseline) -> bool:
    """Return whether each caption is a separate pair, by the preset or without labels."""
    if isinstance(dataset, FeatureDataset):
        return False
    preset_asks = isinstance(method, Preset) and method.rows == "sentences"
    return preset_asks or not dataset.labelled.any()


def complete_pairs(
    dataset: PairDataset | FeatureDataset, method: Preset | Baseline
) -> PairDataset | FeatureDataset:
    """Return the items that a method can learn from; see `complete_items`.

    Items without a label are kept if the method uses single captions and no labels.
    """
    label_free = by_sentences(dataset, method) and not method.needs_labels()
    return complete_items(dataset, labelled=not label_free)


def complete_items(
    dataset: PairDataset | FeatureDataset, *, labelled: bool = True
) -> PairDataset | FeatureDataset:
    """Return the items with a picture, a text and, if `labelled` and any item has one, a label.

    Log the number of the other items. Raises TrainingError if no item is complete.
    """
    whole = np.ones(len(dataset), dtype=bool)
    if not isinstance(dataset, FeatureDataset):
        pairs = zip(dataset.images, dataset.sentences, strict=True)
        whole = np.array([image is not None and bool(texts) for image, texts in pairs], dtype=bool)
    if labelled and dataset.labelled.any():
        return _only(dataset, whole & dataset.labelled, "a picture, a text and a label")
    return _only(dataset, whole, "a picture and a text")


def measured_items(part: PairDataset | FeatureDataset) -> PairDataset | FeatureDataset:
    """Return the items of a split to evaluate; log the number of the others.

    If some items of a dataset have a label, the others are left out, because it is unknown for
    which classes they are relevant. For joined datasets, this is decided for each dataset.
    """
    source, has_label = sources(part), part.labelled
    with_labels = np.unique(source[has_label])
    return _only(part, has_label | ~np.isin(source, with_labels), "a label, as others have")


def _only(
    dataset: PairDataset | FeatureDataset, kept: npt.NDArray[np.bool_], parts: str
) -> PairDataset | FeatureDataset:
    if kept.all() and len(kept):
        return dataset
    if not kept.any():
        raise TrainingError(f"{dataset.name} has no item with {parts}")
    logger.warning(
        "%s: %d of %d items are left out: they lack %s",
        dataset.name,
        np.count_nonzero(~kept),
        len(kept),
        parts.replace(" and ", " or "),
    )
    return dataset.subset(kept)


@dataclass(frozen=True)
class PairRows:
    """Texts and labels of the pairs of a dataset.

    Attributes:
        documents: R texts.
        labels: (R,) or (R, classes) labels of their items.
        captions: the item of each text; None if every item is one pair.
    """

    documents: Sequence[Document]
    labels: LabelArray
    captions: Captions | None = None


def pair_rows(
    dataset: PairDataset,
    encoder: TextEncoder,
    sentences: bool,
    label_weights: Mapping[str, float] | None = None,
) -> PairRows:
    """Return the pairs of complete items.

    Args:
        dataset: items are pictures with captions.
        encoder: text encoder; captions without a word in its vocabulary are left out.
        sentences: make each caption a pair, plus one pair with all captions for each item that
            has a label, for losses that learn classes. Otherwise every item is one pair.
        label_weights: weight of the labels by the name of the dataset. Default: 1.

    Raises:
        TrainingError: no caption has a word in the encoder's vocabulary.
    """
    if not sentences:
        return PairRows(dataset.sentences, dataset.labels)
    found: list[tuple[int, Document, bool]] = []
    labelled = dataset.labelled
    for item, captions in enumerate(dataset.sentences):
        single = [(caption,) for caption in captions]
        found += [(item, document, False) for document in single if encoder.knows(document)]
        if labelled[item]:
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
    """Return the features of complete pairs.

    Args:
        dataset: a dataset of complete items.
        image_encoder, text_encoder: None for a dataset of features.
        cache: cache of features.
        sentences, label_weights: see `pair_rows`.
        views: number of views of each picture; see `PictureView`.
        progress: show progress bars.

    Raises:
        TrainingError: there are pictures and sentences, but no encoders.
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
        # Twice, because splitting off the validation pairs copies the rows.
        2 * 4 * len(paths) * views * encoder.dim,
        f"{views} views of {len(paths)} pictures",
        "choose a preset with fewer views",
    )
    all_views = [None, *(PictureView(number) for number in range(1, views))]
    rows = [cache.encode(encoder, paths, view=view, progress=progress) for view in all_views]
    return np.stack(rows, axis=1)


def training_splits(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    seed: int,
    features: Callable[[Any], PairedFeatures],
) -> TrainingSplits:
    """Split the training pairs into pairs to fit on and pairs to choose settings on.

    The validation pairs are the validation split of the protocol or, if it has none, a stratified
    part of the training pairs of each dataset.

    Args:
        dataset: a dataset with a training split.
        method: a preset defines the size of the validation part.
        seed: random seed of the validation part.
        features: returns the features of a split.

    Raises:
        TrainingError: there are too few labelled pairs to hold any out.
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
        # All pairs of an item stay on one side; strata are the classes of each dataset.
        items, first = np.unique(captions.items, return_index=True)
        strata = train.labels[first]
        if strata.ndim == 1:
            strata = captions.sources[first] * (train.n_classes + 1) + strata
        _, held_out_items = stratified_holdout(strata, fraction, seed)
        is_held_out = np.isin(captions.items, items[held_out_items])
        kept, held_out = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    if not len(held_out):
        raise TrainingError(
            f"{len(train)} training pairs in {train.n_classes} classes are too few: "
            "at least one class needs two, so that one can be held out for validation"
        )
    return TrainingSplits(train.subset(kept), train.subset(held_out), refit=train)

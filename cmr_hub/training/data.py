"""Training data: paired features of both modalities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import TrainingError
from cmr_hub.metrics.relevance import is_labelled
from cmr_hub.metrics.validation import CaptionScore, validation_map

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import BoolArray, FloatArray, IntArray, LabelArray

Score: TypeAlias = "Callable[[FloatArray, FloatArray, LabelArray], float]"
"""Scores (image embeddings, text embeddings, labels) of validation pairs; higher is better."""


@dataclass(frozen=True)
class Captions:
    """The item of each of N pairs, if each caption of an item is a separate pair.

    Attributes:
        items: (N,) int64 rows of `PairedFeatures.images`; several pairs share one.
        whole: (N,) bool, whether the text is all captions of the item together.
        sources: (N,) int64 indices of the dataset of the item, if several are joined.
        label_weights: (N,) float32 weights of the labels; None for equal weights.
    """

    items: IntArray
    whole: BoolArray
    sources: IntArray
    label_weights: FloatArray | None = None

    def subset(self, indices: IntArray) -> Captions:
        """Return the captions at these indices; the items keep their numbers."""
        weights = None if self.label_weights is None else self.label_weights[indices]
        return Captions(self.items[indices], self.whole[indices], self.sources[indices], weights)


@dataclass(frozen=True)
class PairedFeatures:
    """Features of N pairs: row i of `images` and row i of `texts` are one pair.

    Args:
        images: (N, Di) float32, or (N, V, Di) for V views of each picture, the unmodified one
            first. To fine-tune the image encoder: (N, V, ...) float16 activations of its frozen
            blocks; see `finetune`. With `captions`, one row per item instead of per pair.
        texts: (N, Dt) float32. To fine-tune the sentence encoder: (N, S, T, D) float16; see
            `finetune_text`.
        labels: (N,) int64 in [0, n_classes), or −1 for no label, which few objectives accept; or
            (N, n_classes) float32, 1 for every class of a pair, otherwise 0.
        n_classes: number of classes of the dataset.
        captions: the item of each pair, if items have several pairs.

    Raises:
        TrainingError: there are no pairs, lengths differ, a value is not finite, a label is
            outside the classes, or an item has no image.
    """

    images: FloatArray
    texts: FloatArray
    labels: LabelArray
    n_classes: int
    captions: Captions | None = None

    def __post_init__(self) -> None:
        image_rows = self.images if self.captions is None else self.captions.items
        lengths = {len(image_rows), len(self.texts), len(self.labels)}
        if len(lengths) != 1 or 0 in lengths:
            raise TrainingError(
                "training needs equal numbers of images, texts and labels, at least one of each; "
                f"got {len(image_rows)}, {len(self.texts)} and {len(self.labels)}"
            )
        if self.captions is not None and not (
            self.captions.items.min() >= 0 and self.captions.items.max() < len(self.images)
        ):
            raise TrainingError(f"the items of captions must lie in [0, {len(self.images)})")
        if not (np.isfinite(self.images).all() and np.isfinite(self.texts).all()):
            raise TrainingError("the features have values that are not finite")
        if self.labels.ndim == 2:
            if self.labels.shape[1] != self.n_classes:
                raise TrainingError(f"labels must have {self.n_classes} columns, one per class")
        elif self.labels.min() < -1 or self.labels.max() >= self.n_classes:
            raise TrainingError(
                f"labels must lie in [0, {self.n_classes}), or be -1 for none; got "
                f"{self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> BoolArray:
        """(N,) mask of the pairs with a label."""
        return is_labelled(self.labels)

    def subset(self, indices: IntArray) -> PairedFeatures:
        """Return the pairs at these indices."""
        images, captions = self.images, None
        if self.captions is None:
            images = images[indices]
        else:
            captions = self.captions.subset(indices)
            rows, items = np.unique(captions.items, return_inverse=True)
            images, captions = images[rows], replace(captions, items=items)
        return PairedFeatures(
            images, self.texts[indices], self.labels[indices], self.n_classes, captions
        )

    def each(self, images: FloatArray) -> FloatArray:
        """Repeat rows of images, or of their embeddings, so that there is one per pair."""
        return images if self.captions is None else images[self.captions.items]

    def plain(self) -> PairedFeatures:
        """Return the pairs with one image row each, of the unmodified view, for baselines."""
        images = self.images[:, 0] if self.images.ndim == 3 else self.images
        return PairedFeatures(self.each(images), self.texts, self.labels, self.n_classes)

    def thinned(self, most: int, seed: int) -> PairedFeatures:
        """Return a random sample of at most `most` pairs."""
        if len(self) <= most:
            return self
        sample = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.subset(np.sort(sample))

    @cached_property
    def sha256(self) -> str:
        """Hash of all values, because a resumed run must use the same data."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "i": self.images,
            "t": self.texts,
            "y": self.labels,
            "n": np.array(self.n_classes),
        }
        if self.captions is not None:
            arrays |= {"items": self.captions.items, "whole": self.captions.whole}
            if self.captions.label_weights is not None:
                arrays["label_weights"] = self.captions.label_weights
        return sha256_of_arrays(arrays)


def validation_score(pairs: PairedFeatures) -> Score:
    """Return the score that selects epochs and settings: MAP, or `CaptionScore` for captions."""
    if pairs.captions is None:
        return validation_map
    return CaptionScore(pairs.captions.items, pairs.captions.whole, pairs.captions.sources)


@dataclass(frozen=True)
class TrainingSplits:
    """The pairs that a method may use for training and selection, without the test pairs.

    Attributes:
        fit: pairs to train on while settings are chosen.
        validation: pairs to choose settings on (the number of epochs, a ridge, ...).
        refit: all training pairs, if `validation` is a part of them; the method is trained again
            on these with the chosen settings. None if the protocol has a validation split.
    """

    fit: PairedFeatures
    validation: PairedFeatures
    refit: PairedFeatures | None

    @property
    def final(self) -> PairedFeatures:
        """The pairs that the final model is trained on."""
        return self.fit if self.refit is None else self.refit

    def thinned(self, most: int, seed: int) -> TrainingSplits:
        """Limit the training pairs to `most`, for methods that compare all pairs of rows."""
        refit = None if self.refit is None else self.refit.thinned(most, seed)
        return TrainingSplits(self.fit.thinned(most, seed), self.validation, refit)

    def plain(self) -> TrainingSplits:
        """Return the splits with one image row per pair, for baselines."""
        refit = None if self.refit is None else self.refit.plain()
        return TrainingSplits(self.fit.plain(), self.validation.plain(), refit)

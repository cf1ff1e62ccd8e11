"""Feature rows of both modalities, as the trainer wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import TrainingError
from cmr_hub.metrics.validation import CaptionScore, validation_map

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import BoolArray, FloatArray, IntArray

Score: TypeAlias = "Callable[[FloatArray, FloatArray, IntArray], float]"
"""(image embeddings, text embeddings, labels) of the validation pairs → higher is better."""


@dataclass(frozen=True)
class Captions:
    """Which item each of N pairs is of, where each caption of an item is a pair of its own.

    Attributes:
        items: (N,) int64, the row of `PairedFeatures.images`; several pairs share one.
        whole: (N,) bool: the text is all captions of the item together.
        sources: (N,) int64, which of several datasets the item is from.
        label_weights: (N,) float32, how much the label of each pair counts; None: all alike.
    """

    items: IntArray
    whole: BoolArray
    sources: IntArray
    label_weights: FloatArray | None = None

    def subset(self, indices: IntArray) -> Captions:
        """Of the pairs at these positions; the items keep their numbers."""
        weights = None if self.label_weights is None else self.label_weights[indices]
        return Captions(self.items[indices], self.whole[indices], self.sources[indices], weights)


@dataclass(frozen=True)
class PairedFeatures:
    """N pairs as features: row i of `images` and of `texts` belong together.

    Args:
        images: (N, Di) float32, or (N, V, Di) of V views of each picture, the plain one first. To
            fine-tune the image encoder: (N, V, ...) float16, what its frozen blocks give for V
            views of each picture; see `finetune`. With `captions` a row for each item, not for
            each pair.
        texts: (N, Dt) float32. To fine-tune the sentence encoder: (N, S, T, D) float16, see
            `finetune_text`.
        labels: (N,) int64 in [0, n_classes), or −1: no label, which few objectives can use.
        n_classes: number of classes of the whole dataset.
        captions: where an item has several pairs: which item each is of.

    Raises:
        TrainingError: no pairs, lengths that differ, a value that is not finite, a label outside
            the classes, or an item without an image.
    """

    images: FloatArray
    texts: FloatArray
    labels: IntArray
    n_classes: int
    captions: Captions | None = None

    def __post_init__(self) -> None:
        told = self.images if self.captions is None else self.captions.items
        lengths = {len(told), len(self.texts), len(self.labels)}
        if len(lengths) != 1 or 0 in lengths:
            raise TrainingError(
                f"training needs as many images as texts and labels, and some of each; got "
                f"{len(told)}, {len(self.texts)} and {len(self.labels)}"
            )
        if self.captions is not None and not (
            self.captions.items.min() >= 0 and self.captions.items.max() < len(self.images)
        ):
            raise TrainingError(f"captions are of items 0 to {len(self.images) - 1}")
        if not (np.isfinite(self.images).all() and np.isfinite(self.texts).all()):
            raise TrainingError("the features have values that are not finite")
        if self.labels.min() < -1 or self.labels.max() >= self.n_classes:
            raise TrainingError(
                f"labels lie in [0, {self.n_classes}), or are -1 for none; found "
                f"{self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: IntArray) -> PairedFeatures:
        """The pairs at these positions."""
        images, captions = self.images, None
        if self.captions is None:
            images = images[indices]
        else:
            captions = self.captions.subset(indices)
            kept, items = np.unique(captions.items, return_inverse=True)
            images, captions = images[kept], replace(captions, items=items)
        return PairedFeatures(
            images, self.texts[indices], self.labels[indices], self.n_classes, captions
        )

    def each(self, images: FloatArray) -> FloatArray:
        """Rows of the images, or of what became of them, one for each pair."""
        return images if self.captions is None else images[self.captions.items]

    def plain(self) -> PairedFeatures:
        """The same pairs with an image row, of the plain view, for each: what baselines take."""
        images = self.images[:, 0] if self.images.ndim == 3 else self.images
        return PairedFeatures(self.each(images), self.texts, self.labels, self.n_classes)

    def thinned(self, most: int, seed: int) -> PairedFeatures:
        """At most so many of the pairs, drawn at random."""
        if len(self) <= most:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.subset(np.sort(drawn))

    @cached_property
    def sha256(self) -> str:
        """Hash of all values: a resumed run must go on with the same data."""
        classes = np.array(self.n_classes)
        arrays: dict[str, npt.NDArray[Any]] = {
            "i": self.images,
            "t": self.texts,
            "y": self.labels,
            "n": classes,
        }
        if self.captions is not None:
            arrays |= {"items": self.captions.items, "whole": self.captions.whole}
            if self.captions.label_weights is not None:
                arrays["label_weights"] = self.captions.label_weights
        return sha256_of_arrays(arrays)


def validation_score(pairs: PairedFeatures) -> Score:
    """What chooses epochs and settings: MAP, or of captions how well they find their pictures."""
    if pairs.captions is None:
        return validation_map
    return CaptionScore(pairs.captions.items, pairs.captions.whole, pairs.captions.sources)


@dataclass(frozen=True)
class TrainingSplits:
    """What a method may learn from; the test pairs are not among it.

    Attributes:
        fit: pairs to learn from while settings are chosen.
        validation: pairs that choose them (the number of epochs, a ridge, ...).
        refit: where `validation` was cut out of the training pairs, all of these: once the
            settings are chosen the method learns anew from them. None where the protocol has a
            validation split of its own.
    """

    fit: PairedFeatures
    validation: PairedFeatures
    refit: PairedFeatures | None

    @property
    def final(self) -> PairedFeatures:
        """The pairs that the finished method has learnt from."""
        return self.fit if self.refit is None else self.refit

    def thinned(self, most: int, seed: int) -> TrainingSplits:
        """The same, with at most so many pairs to learn from: for methods that compare them all."""
        refit = None if self.refit is None else self.refit.thinned(most, seed)
        return TrainingSplits(self.fit.thinned(most, seed), self.validation, refit)

    def plain(self) -> TrainingSplits:
        """The same with an image row for each pair: what baselines take."""
        refit = None if self.refit is None else self.refit.plain()
        return TrainingSplits(self.fit.plain(), self.validation.plain(), refit)

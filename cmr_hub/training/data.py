"""Feature rows of both modalities, as the trainer wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import TrainingError

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, IntArray

Score: TypeAlias = "Callable[[FloatArray, FloatArray, IntArray], float]"
"""(image embeddings, text embeddings, labels) of the validation pairs → higher is better."""


@dataclass(frozen=True)
class PairedFeatures:
    """N pairs as features: row i of `images` and of `texts` belong together.

    Args:
        images: (N, Di) float32. To fine-tune the image encoder: (N, V, ...) float16, what its
            frozen blocks give for V views of each picture; see `finetune`.
        texts: (N, Dt) float32. To fine-tune the sentence encoder: (N, S, T, D) float16, see
            `finetune_text`.
        labels: (N,) int64 in [0, n_classes), or −1: no label, which few objectives can use.
        n_classes: number of classes of the whole dataset.

    Raises:
        TrainingError: no pairs, lengths that differ, a value that is not finite, or a label
            outside the classes.
    """

    images: FloatArray
    texts: FloatArray
    labels: IntArray
    n_classes: int

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.texts), len(self.labels)}
        if len(lengths) != 1 or 0 in lengths:
            raise TrainingError(
                f"training needs as many images as texts and labels, and some of each; got "
                f"{len(self.images)}, {len(self.texts)} and {len(self.labels)}"
            )
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
        return PairedFeatures(
            self.images[indices], self.texts[indices], self.labels[indices], self.n_classes
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of all values: a resumed run must go on with the same data."""
        classes = np.array(self.n_classes)
        return sha256_of_arrays({"i": self.images, "t": self.texts, "y": self.labels, "n": classes})


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

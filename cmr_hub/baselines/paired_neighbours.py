"""Retrieval through the nearest training pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from sklearn.preprocessing import normalize

from cmr_hub.baselines.base import MOST_PAIRS, Baseline, FittedBaseline
from cmr_hub.baselines.linear import Float64Array, fit_scaling, scale
from cmr_hub.baselines.search import search_settings

if TYPE_CHECKING:
    from cmr_hub.baselines.search import Grid, Settings
    from cmr_hub.models.projector import InputScaling
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray

NEIGHBOURS = (5, 10, 20, 40, 80, 160, 320, 640)


class PairedNeighboursBaseline(Baseline):
    """Match images and texts by their similarities to the nearest training pairs.

        z(image)_i = [cos(x, x_i)]₊^p if x_i is among the k training images nearest to x, else 0
        z(text)_i  = [cos(y, y_i)]₊^p if y_i is among the k training texts nearest to y, else 0

    The common space has one dimension for each training pair i, of which at most 3000 are sampled.
    Labels are used only to choose k (of each modality) and p. Cosine similarities are those of
    centred features.

    Source: Norelli et al., ASIF: Coupled data turns unimodal models to multimodal without
    training, NeurIPS 2023, arXiv 2210.01738.
    """

    name: ClassVar[str] = "paired-neighbours"
    is_projection: ClassVar[bool] = False
    takes_unlabelled: ClassVar[bool] = True
    grid: ClassVar[Grid] = {
        "image_neighbours": NEIGHBOURS,
        "text_neighbours": NEIGHBOURS,
        "power": (0.0, 0.5, 1.0, 2.0, 4.0),
    }

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        splits = splits.thinned(MOST_PAIRS, seed)
        known, validation = splits.fit, splits.validation
        image_anchors, text_anchors = Anchors.fit(known.images), Anchors.fit(known.texts)
        similarities = {
            "image": image_anchors.similarities(validation.images),
            "text": text_anchors.similarities(validation.texts),
        }

        @lru_cache(maxsize=16)  # with a few thousand rows, each entry takes tens of megabytes
        def nearest(side: str, count: float, power: float) -> FloatArray:
            return nearest_only(similarities[side], int(count), power)

        def value(settings: Settings) -> float:
            return score(
                nearest("image", settings["image_neighbours"], settings["power"]),
                nearest("text", settings["text_neighbours"], settings["power"]),
                validation.labels,
            )

        chosen = search_settings(self.grid, value)
        final, power = splits.final, chosen["power"]
        return FittedBaseline(
            NeighbourEmbedder(Anchors.fit(final.images), int(chosen["image_neighbours"]), power),
            NeighbourEmbedder(Anchors.fit(final.texts), int(chosen["text_neighbours"]), power),
            dict(chosen),
        )


@dataclass(frozen=True)
class Anchors:
    """The training rows of one modality, centred and of unit length.

    Attributes:
        scaling: input scaling.
        rows: (N, in_dim) unit vectors.
    """

    scaling: InputScaling
    rows: Float64Array

    @classmethod
    def fit(cls, rows: FloatArray) -> Self:
        """Fit on (N, in_dim) training rows. Raises TrainingError if all are the same."""
        scaling = fit_scaling(rows)
        return cls(scaling, normalize(scale(scaling, rows)))

    def similarities(self, rows: FloatArray) -> Float64Array:
        """Return the (M, N) cosines of (M, in_dim) features with every anchor."""
        unit: Float64Array = normalize(scale(self.scaling, rows))
        return unit @ self.rows.T


@dataclass(frozen=True)
class NeighbourEmbedder:
    """Map features to their similarities with their nearest anchors."""

    anchors: Anchors
    neighbours: int
    power: float

    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (M, in_dim) features to (M, N) float32 unit vectors."""
        return nearest_only(self.anchors.similarities(rows), self.neighbours, self.power)


def nearest_only(similarities: Float64Array, count: int, power: float) -> FloatArray:
    """Keep the `count` largest cosines of each of M rows, raise them to `power`, and normalise.

    Values that are not positive are replaced by a tiny number, so that no vector is zero.
    """
    count = min(count, similarities.shape[1])
    columns = np.argpartition(-similarities, count - 1, axis=1)[:, :count]
    largest = np.take_along_axis(similarities, columns, axis=1)
    weights = np.maximum(largest, np.finfo(np.float32).eps) ** power
    sparse = np.zeros_like(similarities)
    np.put_along_axis(sparse, columns, weights, axis=1)
    unit: FloatArray = normalize(sparse).astype(np.float32)
    return unit

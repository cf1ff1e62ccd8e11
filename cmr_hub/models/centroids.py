"""Class centroids in the common space of a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, IntArray, LabelArray, Modality


@dataclass(frozen=True)
class ClassCentroids:
    """The mean direction of the training items of each class, per modality.

    The predicted class is the class of the nearest centroid, even if the objective trains a
    classifier. A class without items is never predicted.
    """

    images: FloatArray
    texts: FloatArray

    @classmethod
    def fit(
        cls,
        images: FloatArray,
        texts: FloatArray,
        labels: LabelArray,
        n_classes: int,
    ) -> ClassCentroids:
        """Fit on (N, d) unit vectors and (N,) or (N, n_classes) labels, as in `PairedFeatures`.

        Classes without items get a zero row.
        """

        def means(rows: FloatArray) -> FloatArray:
            if labels.ndim == 2:
                sums = labels.T @ rows
            else:
                sums = np.zeros((n_classes, rows.shape[1]), dtype=np.float32)
                np.add.at(sums, labels.astype(np.int64, copy=False), rows)
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            lengths[lengths == 0] = 1
            unit: FloatArray = (sums / lengths).astype(np.float32, copy=False)
            return unit

        return cls(means(images), means(texts))

    def predict(self, embeddings: FloatArray, modality: Modality) -> IntArray:
        """Map (N, d) unit vectors of one modality to (N,) class indices."""
        nearest: IntArray = np.argmax(self.similarity(embeddings, modality), axis=1)
        return nearest

    def similarity(self, embeddings: FloatArray, modality: Modality) -> FloatArray:
        """Return (N, classes) cosines of (N, d) unit vectors; −∞ for an empty class."""
        centroids = self.images if modality == "image" else self.texts
        cosines: FloatArray = embeddings @ centroids.T
        cosines[:, ~centroids.any(axis=1)] = -np.inf
        return cosines

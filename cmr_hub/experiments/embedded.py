"""Evaluate pairs in a common space, from trained projectors or untrained features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.metrics.relevance import is_labelled
from cmr_hub.metrics.report import RetrievalReport, evaluate_retrieval
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.projector import Projector

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Embedder
    from cmr_hub.training.data import PairedFeatures
    from cmr_hub.types import FloatArray, JSONObject, LabelArray


def evaluate_embeddings(
    images: FloatArray,
    texts: FloatArray,
    labels: LabelArray,
    centroids: ClassCentroids | None,
) -> RetrievalReport:
    """Evaluate (N, d) unit vectors of pairs, including the classification accuracies.

    Without any label only the paired item is relevant.
    """
    return evaluate_retrieval(
        images,
        texts,
        labels if is_labelled(labels).any() else None,
        predicted_image_labels=None if centroids is None else centroids.predict(images, "image"),
        predicted_text_labels=None if centroids is None else centroids.predict(texts, "text"),
    )


def class_centroids(
    images: Embedder, texts: Embedder, train: PairedFeatures
) -> ClassCentroids | None:
    """Fit class centroids on the training pairs; all captions of an item count as one text."""
    if not train.n_classes:
        return None
    if train.captions is not None:
        train = train.subset(np.flatnonzero(train.captions.whole))
    plain = train.plain()
    return ClassCentroids.fit(
        images.embed(plain.images), texts.embed(plain.texts), plain.labels, plain.n_classes
    )


def untrained_adapter(dim: int) -> Projector:
    """Return an identity projector, which only scales the rows of a common space to length 1."""
    return Projector(dim, (), dim, residual=True)


@dataclass(frozen=True)
class ZeroShot:
    """Scores of features that share a space, before any training.

    Attributes:
        report: scores of the test pairs.
        validation_map: score of the validation pairs, by which epochs are chosen.
    """

    report: RetrievalReport
    validation_map: float

    def as_dict(self) -> JSONObject:
        """Return a flat dictionary of JSON values for the record of the run."""
        return self.report.to_dict() | {"validation_map": self.validation_map}

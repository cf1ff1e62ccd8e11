"""Figures of pairs in a common space: of trained projectors, and of features as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.evaluation.evaluate import RetrievalReport, evaluate_retrieval
from cmr_hub.evaluation.metrics import mean_average_precision
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.projector import Projector

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Embedder
    from cmr_hub.training.data import PairedFeatures, TrainingSplits
    from cmr_hub.types import FloatArray, IntArray, JSONObject


def validation_map(images: FloatArray, texts: FloatArray, labels: IntArray) -> float:
    """MAP@all, averaged over both directions: what chooses the epoch.

    Without labels (all −1) only the own pair is relevant: MAP is then the mean reciprocal rank.
    """
    if (labels < 0).all():
        labels = np.arange(len(labels))
    i2t = mean_average_precision(images, texts, labels, labels).value
    t2i = mean_average_precision(texts, images, labels, labels).value
    return (i2t + t2i) / 2


def evaluate_embeddings(
    images: FloatArray, texts: FloatArray, labels: IntArray, centroids: ClassCentroids | None
) -> RetrievalReport:
    """All figures of (N, d) unit vectors of pairs, classification accuracies included.

    Without labels (all −1) only the own pair is relevant.
    """
    return evaluate_retrieval(
        images,
        texts,
        None if (labels < 0).all() else labels,
        predicted_image_labels=None if centroids is None else centroids.predict(images, "image"),
        predicted_text_labels=None if centroids is None else centroids.predict(texts, "text"),
    )


@dataclass(frozen=True)
class Measured:
    """Pairs in a common space and what they reach there.

    Attributes:
        embeddings: (N, d) unit vectors of the images and of their texts.
        centroids: of the classes of the training pairs; None without classes.
        report: all figures.
    """

    embeddings: tuple[FloatArray, FloatArray]
    centroids: ClassCentroids | None
    report: RetrievalReport


def measure(
    images: Embedder, texts: Embedder, train: PairedFeatures, test: PairedFeatures
) -> Measured:
    """Embeds test pairs and measures them; the class centroids are those of training pairs."""
    centroids = None
    if train.n_classes:
        centroids = ClassCentroids.fit(
            images.embed(train.images), texts.embed(train.texts), train.labels, train.n_classes
        )
    embeddings = images.embed(test.images), texts.embed(test.texts)
    report = evaluate_embeddings(*embeddings, test.labels, centroids)
    return Measured(embeddings, centroids, report)


def untrained_adapter(dim: int) -> Projector:
    """The identity: it embeds rows of a common space as they are, at unit length."""
    return Projector(dim, (), dim, residual=True)


@dataclass(frozen=True)
class ZeroShot:
    """What features that share a space reach before anything is trained on them.

    Attributes:
        report: of the test pairs.
        validation_map: of the validation pairs.
    """

    report: RetrievalReport
    validation_map: float

    @classmethod
    def measure(cls, splits: TrainingSplits, test: PairedFeatures) -> ZeroShot:
        """Measures features, of one length on both sides, as an untrained adapter embeds them."""
        untrained = untrained_adapter(test.images.shape[1])
        validation = splits.validation
        return cls(
            measure(untrained, untrained, splits.final, test).report,
            validation_map(
                untrained.embed(validation.images),
                untrained.embed(validation.texts),
                validation.labels,
            ),
        )

    def as_dict(self) -> JSONObject:
        """Flat and ready for JSON, for the record of the run."""
        return self.report.to_dict() | {"validation_map": self.validation_map}

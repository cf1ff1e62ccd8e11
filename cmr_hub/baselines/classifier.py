"""Classifiers of one modality for the baselines `label` and `posterior`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from cmr_hub.baselines.linear import linear_projector
from cmr_hub.baselines.views import LinearView
from cmr_hub.errors import TrainingError

if TYPE_CHECKING:
    from cmr_hub.baselines.linear import Float64Array
    from cmr_hub.models.projector import Projector
    from cmr_hub.training.data import TrainingSplits
    from cmr_hub.types import FloatArray, LabelArray

PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0, 10.0)
"""Values of C to choose from; see `Classifier`."""


@dataclass(frozen=True)
class Classifier:
    """Multinomial logistic regression p(class | row) = softmax(x' W + b), x' the scaled row.

    W minimises C Σ_i −log p(class_i | x_i) + ½‖W‖². The penalty is invariant to rotations, so W is
    learnt in the coordinates of the rows' principal axes, of which there are at most N.

    Attributes:
        view: view of the training rows.
        weight: W (r, K) in these coordinates, for the K classes in the training rows.
        bias: b (K,).
    """

    view: LinearView
    weight: Float64Array
    bias: Float64Array

    def logits(self, coordinates: Float64Array) -> Float64Array:
        """Map (N, r) coordinates in the view to (N, K) logits."""
        return coordinates @ self.weight + self.bias

    def projector(self, temperature: float = 1.0) -> Projector:
        """Return a projector to the posteriors softmax((x' W + b) / temperature)."""
        weight = self.view.axes @ self.weight
        bias = self.bias - self.view.mean @ weight
        return linear_projector(
            self.view.scaling, weight / temperature, bias / temperature, output="softmax"
        )


def fit_classifiers(
    rows: FloatArray, labels: LabelArray, penalties: Sequence[float]
) -> list[Classifier]:
    """Fit a classifier of (N, in_dim) rows for each C, each initialised from the previous one.

    Raises:
        TrainingError: there is only one class, items have several classes, or all rows are the
            same.
    """
    if labels.ndim == 2:
        raise TrainingError("a classifier needs exactly one class for each item")
    if (labels == labels[0]).all():
        raise TrainingError("a classifier needs training items of two classes or more")
    view = LinearView.fit(rows)
    model = LogisticRegression(max_iter=1000, warm_start=True)
    classifiers = []
    for penalty in penalties:
        model.set_params(C=penalty).fit(view.scores * view.lengths, labels)
        weight, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn stores only the difference of the two logits
            weight, bias = weight * (-0.5, 0.5), bias * (-0.5, 0.5)
        classifiers.append(Classifier(view, np.array(weight), np.array(bias)))
    return classifiers


@dataclass(frozen=True)
class ValidationLogits:
    """Logits of the validation pairs, for classifiers fitted on the other pairs.

    Attributes:
        images, texts: (N, K) logits by C, for each of PENALTIES.
    """

    images: dict[float, Float64Array]
    texts: dict[float, Float64Array]

    @classmethod
    def fit(cls, splits: TrainingSplits) -> Self:
        """Fit all classifiers. Raises TrainingError as `fit_classifiers`."""

        def logits(train: FloatArray, validation: FloatArray) -> dict[float, Float64Array]:
            classifiers = fit_classifiers(train, splits.fit.labels, PENALTIES)
            coordinates = classifiers[0].view.coordinates(validation)
            return {
                penalty: classifier.logits(coordinates)
                for penalty, classifier in zip(PENALTIES, classifiers, strict=True)
            }

        return cls(
            logits(splits.fit.images, splits.validation.images),
            logits(splits.fit.texts, splits.validation.texts),
        )


def final_classifiers(
    splits: TrainingSplits, image_penalty: float, text_penalty: float
) -> tuple[Classifier, Classifier]:
    """Fit the classifiers of images and texts on `splits.final`, for the chosen C."""
    final = splits.final
    (images,) = fit_classifiers(final.images, final.labels, [image_penalty])
    (texts,) = fit_classifiers(final.texts, final.labels, [text_penalty])
    return images, texts

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from cmr_hub.baselines.classifier import PENALTIES, ValidationLogits, fit_classifiers
from cmr_hub.baselines.label import LabelBaseline
from cmr_hub.baselines.linear import scale
from cmr_hub.baselines.posterior import PosteriorBaseline
from cmr_hub.errors import TrainingError
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits


def oracle(rows, labels, penalty, asked, temperature=1.0):
    """Posteriors by scikit-learn alone, on the scaled rows."""
    mean = rows.astype(float).mean(0)
    unit = 10 / np.sqrt(((rows - mean) ** 2).sum(1).mean())
    model = LogisticRegression(C=penalty, max_iter=10_000, tol=1e-9)
    model.fit((rows - mean) * unit, labels)
    logits = model.decision_function((asked - mean) * unit)
    if logits.ndim == 1:
        logits = np.stack([-logits / 2, logits / 2], axis=1)
    return softmax(logits / temperature, axis=1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("dims", [(12, 9), (80, 90)])
def test_classifiers_are_scikit_learns_on_the_scaled_rows(pairs, classes, dims):
    options = {"classes": classes, "image_dim": dims[0], "text_dim": dims[1]}
    train, asked = pairs(40, 0, **options), pairs(11, 1, **options)
    for classifier, penalty in zip(
        fit_classifiers(train.images, train.labels, PENALTIES[:5]), PENALTIES, strict=False
    ):
        posteriors = oracle(train.images, train.labels, penalty, asked.images, temperature=0.5)
        expected = posteriors / np.linalg.norm(posteriors, axis=1, keepdims=True)
        found = classifier.projector(temperature=0.5).embed(asked.images)
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_posterior_chooses_on_validation_and_learns_from_all(make_splits, pairs):
    splits = make_splits(noise=1.0)
    fitted = PosteriorBaseline().fit(splits, 0, validation_map)
    asked = pairs(30, 5, noise=1.0)
    for part, embedder in (("image", fitted.images), ("text", fitted.texts)):
        posteriors = oracle(
            getattr(splits.final, part + "s"),
            splits.final.labels,
            fitted.settings[part + "_C"],
            getattr(asked, part + "s"),
            fitted.settings[part + "_temperature"],
        )
        expected = posteriors / np.linalg.norm(posteriors, axis=1, keepdims=True)
        found = embedder.embed(getattr(asked, part + "s"))
        np.testing.assert_allclose(found, expected, atol=1e-2)


def test_validation_logits_are_those_of_the_projectors(make_splits):
    splits = make_splits()
    logits = ValidationLogits.fit(splits)
    for classifier, penalty in zip(
        fit_classifiers(splits.fit.texts, splits.fit.labels, PENALTIES), PENALTIES, strict=True
    ):
        posteriors = softmax(logits.texts[penalty], axis=1)
        unit = posteriors / np.linalg.norm(posteriors, axis=1, keepdims=True)
        np.testing.assert_allclose(
            classifier.projector().embed(splits.validation.texts), unit, atol=1e-5
        )
    rows = scale(classifier.view.scaling, splits.validation.texts)
    assert logits.texts[1.0].shape == (len(rows), 4)


def test_label_is_the_most_likely_class(make_splits, pairs):
    splits = make_splits(noise=1.0)
    fitted = LabelBaseline().fit(splits, 0, validation_map)
    asked = pairs(30, 5, noise=1.0)
    predicted = oracle(
        splits.final.texts, splits.final.labels, fitted.settings["text_C"], asked.texts
    ).argmax(1)
    np.testing.assert_array_equal(fitted.texts.embed(asked.texts), np.eye(4)[predicted])


@pytest.mark.parametrize("kind", [PosteriorBaseline, LabelBaseline])
def test_a_class_without_training_pairs_is_no_trouble(kind, make_splits):
    splits = make_splits()
    kept = np.flatnonzero(splits.fit.labels != 1)
    fit = splits.fit.subset(kept)
    fitted = kind().fit(TrainingSplits(fit, splits.validation, None), 0, validation_map)
    assert fitted.images.embed(fit.images).shape == (len(fit), 3)


@pytest.mark.parametrize("kind", [PosteriorBaseline, LabelBaseline])
def test_one_class_is_refused(kind, make_splits):
    fit = make_splits().fit
    one = PairedFeatures(fit.images, fit.texts, np.zeros_like(fit.labels), 4)
    with pytest.raises(TrainingError, match="two classes"):
        kind().fit(TrainingSplits(one, one, None), 0, validation_map)

"""What holds for every baseline."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cmr_hub.baselines import BASELINES, baseline
from cmr_hub.datasets import FeatureDataset
from cmr_hub.errors import TrainingError, UnknownNameError
from cmr_hub.experiments.run import run_experiment
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.training.data import PairedFeatures, TrainingSplits

every = pytest.mark.parametrize("name", list(BASELINES))
learning = pytest.mark.parametrize("name", [name for name in BASELINES if name != "random"])
saved = ("cca", "pls", "posterior", "label", "posterior-cca")


def dataset(pairs, test_seed=3, train=80, test=40, **options):
    known, asked = pairs(train, 1, **options), pairs(test, test_seed, **options)
    return FeatureDataset(
        name="made-up",
        protocol="p",
        ids=tuple(map(str, range(train + test))),
        labels=np.concatenate([known.labels, asked.labels]),
        classes=tuple(map(str, range(known.n_classes))),
        splits=np.repeat(["train", "test"], [train, test]),
        image_features=np.concatenate([known.images, asked.images]),
        text_features=np.concatenate([known.texts, asked.texts]),
    )


def checked(fitted, rows):
    """Both embeddings of these pairs, unit vectors of one space."""
    embeddings = fitted.images.embed(rows.images), fitted.texts.embed(rows.texts)
    for vectors in embeddings:
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embeddings[0].shape == embeddings[1].shape
    return embeddings


@every
def test_the_name_is_the_registered_one(name):
    assert baseline(name).name == name


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match="posterior"):
        baseline("ccca")


@learning
def test_classes_that_show_are_found(name, make_splits, pairs):
    fitted = baseline(name).fit(make_splits(), 0, validation_map)
    asked = pairs(60, 3)
    assert validation_map(*checked(fitted, asked), asked.labels) > 0.8  # chance: a quarter


@every
@pytest.mark.parametrize("dims", [(3, 2), (150, 200)])
def test_more_pairs_than_dimensions_and_fewer(name, dims, make_splits, pairs):
    options = {"image_dim": dims[0], "text_dim": dims[1]}
    fitted = baseline(name).fit(make_splits(**options), 0, validation_map)
    checked(fitted, pairs(30, 3, **options))


@every
def test_two_classes_of_few_pairs(name, make_splits, pairs):
    fitted = baseline(name).fit(make_splits(4, 2, classes=2), 0, validation_map)
    checked(fitted, pairs(5, 3, classes=2))


@every
def test_features_that_never_vary(name, make_splits, pairs):
    def spoiled(rows):
        images, texts = rows.images.copy(), rows.texts.copy()
        images[:, 3], texts[:, :2] = 1e4 / 3, 0
        return PairedFeatures(images, texts, rows.labels, rows.n_classes)

    splits = make_splits()
    splits = TrainingSplits(spoiled(splits.fit), spoiled(splits.validation), None)
    fitted = baseline(name).fit(splits, 0, validation_map)
    asked = spoiled(pairs(40, 3))
    found = validation_map(*checked(fitted, asked), asked.labels)
    assert name == "random" or found > 0.8


@learning
def test_rows_that_are_all_the_same_are_refused(name, make_splits):
    fit = make_splits().fit
    same = PairedFeatures(np.full_like(fit.images, 0.1), fit.texts, fit.labels, 4)
    with pytest.raises(TrainingError, match="the same features"):
        baseline(name).fit(TrainingSplits(same, same, None), 0, validation_map)


@every
def test_the_same_seed_gives_the_same_to_the_bit(name, make_splits, pairs):
    asked = pairs(20, 3)
    first, second = (
        checked(baseline(name).fit(make_splits(), 5, validation_map), asked) for _ in "ab"
    )
    np.testing.assert_array_equal(first, second)


@learning
def test_only_validation_pairs_choose_the_settings(name, make_splits):
    splits = make_splits()
    asked = []

    def score(images, texts, labels):
        np.testing.assert_array_equal(labels, splits.validation.labels)
        assert len(images) == len(texts) == len(labels)
        asked.append(validation_map(images, texts, labels))
        return asked[-1]

    settings = baseline(name).fit(splits, 0, score).settings
    assert settings
    assert len(asked) > 1

    # Another set of pairs to learn from at last changes no choice.
    unrelated = make_splits(len(splits.final), noise=3.0).fit
    other = TrainingSplits(splits.fit, splits.validation, unrelated)
    assert baseline(name).fit(other, 0, validation_map).settings == settings


# What `posterior-cca` is chosen by has a test of its own.
@pytest.mark.parametrize("name", sorted(BASELINES.keys() - {"random", "posterior-cca"}))
def test_what_was_scored_is_what_comes_out(name, make_splits):
    """Without more pairs to learn from, the finished method reaches the score it was chosen by."""
    splits = make_splits(noise=1.2)
    splits = TrainingSplits(splits.fit, splits.validation, None)
    scores = []

    def score(*embeddings):
        scores.append(validation_map(*embeddings))
        return scores[-1]

    fitted = baseline(name).fit(splits, 0, score)
    embeddings = checked(fitted, splits.validation)
    found = validation_map(*embeddings, splits.validation.labels)
    assert abs(found - max(scores)) < 2e-3


@every
def test_test_pairs_change_nothing_that_was_learnt(name, pairs):
    first, second = (
        run_experiment(dataset(pairs, test_seed=seed), baseline(name), 0) for seed in (3, 4)
    )
    assert first.record.settings == second.record.settings
    json.dumps(first.record.to_dict(), allow_nan=False)
    if name in saved:
        assert first.model.image.projector.embed(pairs(9, 5).images).tolist() == (
            second.model.image.projector.embed(pairs(9, 5).images).tolist()
        )


@every
def test_those_that_are_projectors_are_saved_and_read_back(name, pairs, tmp_path):
    found = run_experiment(dataset(pairs), baseline(name), 0)
    if name not in saved:
        assert found.model is None
        return
    found.model.save_pretrained(tmp_path / "model")
    read = CrossModalModel.from_pretrained(tmp_path / "model")
    asked = pairs(40, 3)
    np.testing.assert_array_equal(
        read.image.projector.embed(asked.images), found.test_embeddings[0]
    )
    np.testing.assert_array_equal(read.text.projector.embed(asked.texts), found.test_embeddings[1])
    assert read.training["settings"] == found.record.settings


@every
def test_whether_it_gives_a_model_is_known_before(name, make_splits):
    fitted = baseline(name).fit(make_splits(), 0, validation_map)
    pair = isinstance(fitted.images, Projector) and isinstance(fitted.texts, Projector)
    assert pair == baseline(name).is_projection == (name in saved)

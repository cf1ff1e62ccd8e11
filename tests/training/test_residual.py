"""Projectors that start as the identity: the start is an epoch like any other, the 0th."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.errors import TrainingError
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training import trainer
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import PRESETS
from cmr_hub.training.snapshots import Snapshots
from cmr_hub.training.trainer import train_projectors


def shared(n, seed):
    """Both sides in one space of 8 dimensions."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    centres = np.random.default_rng(99).normal(size=(4, 8))
    images, texts = centres[labels] + generator.normal(size=(2, n, 8))
    return PairedFeatures(images.astype(np.float32), texts.astype(np.float32), labels, 4)


@pytest.fixture
def splits():
    return TrainingSplits(shared(40, 1), shared(16, 2), shared(56, 3))


@pytest.fixture
def preset():
    return replace(PRESETS["adapter"], epochs=4, patience=4, batch_size=16, learning_rate=1e-3)


def scripted(*scores):
    remaining = list(scores)
    return lambda *embeddings: remaining.pop(0)


def unit(rows):
    return rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


def is_zero_shot(trained, pairs):
    return np.allclose(
        trained.image_projector.embed(pairs.images), unit(pairs.images), atol=1e-6
    ) and np.allclose(trained.text_projector.embed(pairs.texts), unit(pairs.texts), atol=1e-6)


def test_epoch_0_is_the_features(splits, preset):
    shown = []

    def score(images, texts, labels):
        shown.append((images.copy(), texts.copy()))
        return float(len(shown))

    test = shared(12, 5)
    watch = Snapshots(test, [str(n) for n in range(12)])
    train_projectors(replace(splits, refit=None), preset, 0, score, snapshots=watch)
    assert len(shown) == 1 + preset.epochs
    for rows, features in zip(
        (*shown[0], *watch.stages[0]),
        (splits.validation.images, splits.validation.texts, test.images, test.texts),
        strict=True,
    ):
        np.testing.assert_allclose(rows, unit(features), atol=1e-6)
    assert not np.allclose(shown[1][0], shown[0][0], atol=1e-6)


@pytest.mark.parametrize("refit", [True, False])
def test_kept_where_no_epoch_is_better(splits, preset, refit):
    own = splits if refit else replace(splits, refit=None)
    trained = train_projectors(own, preset, 0, scripted(0.5, 0.1, 0.5, 0.4, 0.3))
    assert trained.epochs == 0
    assert is_zero_shot(trained, shared(9, 7))
    assert [(row["phase"], row["epoch"]) for row in trained.history] == [
        ("select", epoch) for epoch in (1, 2, 3, 4)
    ]


def test_left_where_an_epoch_is_better(splits, preset):
    trained = train_projectors(splits, preset, 0, scripted(0.5, 0.1, 0.51, 0.4, 0.3))
    assert trained.epochs == 2
    assert not is_zero_shot(trained, shared(9, 7))
    assert sum(row["phase"] == "final" for row in trained.history) == 2


def test_patience_counts_from_it(splits, preset):
    trained = train_projectors(splits, replace(preset, patience=2), 0, scripted(0.5, 0.1, 0.2))
    assert trained.epochs == 0
    assert len(trained.history) == 2


def test_other_presets_have_no_epoch_0(splits, preset):
    plain = replace(preset, residual=False, dim=8)
    trained = train_projectors(splits, plain, 0, scripted(-0.4, -0.1, -0.2, -0.3))
    assert trained.epochs == 2


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_it_is_remembered(splits, preset, tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0.0)
    write, written = trainer.write_checkpoint, []

    def write_and_stop(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "write_checkpoint", write_and_stop)
    scores = [0.5, 0.1, 0.2, 0.3, 0.4]
    with pytest.raises(KeyboardInterrupt):
        train_projectors(splits, preset, 0, scripted(*scores), checkpoints=tmp_path)
    rest = scripted(*scores[1 + stop_after :])
    trained = train_projectors(splits, preset, 0, rest, checkpoints=tmp_path)
    assert trained.epochs == 0
    assert is_zero_shot(trained, shared(9, 7))
    # Once more there is nothing left to do but to read.
    again = train_projectors(splits, preset, 0, scripted(), checkpoints=tmp_path)
    assert again.epochs == 0
    assert again.history == trained.history


def test_features_of_two_spaces_are_refused_before_training(splits, preset):
    def never(*arguments):
        raise AssertionError("validation was asked")

    shorter = replace(splits.fit, texts=splits.fit.texts[:, :5])
    with pytest.raises(
        TrainingError, match=r"dual encoder.*these features have 8 and 5 dimensions"
    ):
        train_projectors(replace(splits, fit=shorter), preset, 0, never)


@pytest.mark.parametrize("labelled", [True, False])
def test_learns_with_labels_and_without(labelled):
    """Texts lie in a rotated copy of the images' space, which a linear adapter can turn back."""
    generator = np.random.default_rng(0)
    turned = np.linalg.qr(np.eye(8) + 0.8 * generator.normal(size=(8, 8)))[0]

    def pairs(n, seed):
        own = shared(n, seed)
        images = np.random.default_rng(seed).normal(size=(n, 8)) if not labelled else own.images
        noise = 0.1 * np.random.default_rng(seed + 50).normal(size=(n, 8))
        texts = (images @ turned + noise).astype(np.float32)
        if labelled:
            return replace(own, texts=texts)
        return PairedFeatures(images.astype(np.float32), texts, np.full(n, -1), 0)

    own = TrainingSplits(pairs(200, 1), pairs(60, 2), refit=None)
    preset = replace(PRESETS["adapter"], epochs=30, learning_rate=3e-3)
    trained = train_projectors(own, preset, 0, validation_map)
    test = pairs(60, 3)
    before = validation_map(unit(test.images), unit(test.texts), test.labels)
    after = validation_map(
        trained.image_projector.embed(test.images),
        trained.text_projector.embed(test.texts),
        test.labels,
    )
    assert trained.epochs > 0
    assert after > before + 0.2


def test_same_seed_same_bits(splits, preset):
    first, second = (train_projectors(splits, preset, 3, validation_map) for _ in range(2))
    for name, value in first.image_projector.state_dict().items():
        assert torch.equal(value, second.image_projector.state_dict()[name])

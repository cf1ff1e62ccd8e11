"""Small separable pairs, and a preset that learns them in a second."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import Preset

CLASSES = 4


def make_pairs(n: int, seed: int, noise: float = 0.6) -> PairedFeatures:
    """Pairs around one centre a class and modality; the centres are always the same."""
    centres = np.random.default_rng(99)
    image_centres = centres.normal(size=(CLASSES, 12))
    text_centres = centres.normal(size=(CLASSES, 9))
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    images = image_centres[labels] + noise * generator.normal(size=(n, 12))
    texts = text_centres[labels] + noise * generator.normal(size=(n, 9))
    return PairedFeatures(
        images.astype(np.float32), texts.astype(np.float32), labels.astype(np.int64), CLASSES
    )


@pytest.fixture
def pairs() -> Callable[..., PairedFeatures]:
    return make_pairs


@pytest.fixture
def splits() -> TrainingSplits:
    fit, validation = make_pairs(40, seed=1), make_pairs(16, seed=2)
    refit = PairedFeatures(
        np.concatenate([fit.images, validation.images]),
        np.concatenate([fit.texts, validation.texts]),
        np.concatenate([fit.labels, validation.labels]),
        CLASSES,
    )
    return TrainingSplits(fit, validation, refit)


@pytest.fixture
def preset() -> Preset:
    return Preset(
        name="tiny",
        objective={"label": {"weight": 0.5}, "triplet": {}, "adversarial": {"weight": 0.1}},
        image_hidden=(16,),
        text_hidden=(16,),
        dim=8,
        dropout=(0.1, 0.2),
        output="sphere",
        radius=5.0,
        learning_rate=1e-2,
        weight_decay=1e-3,
        batch_size=16,
        epochs=6,
        patience=6,
    )

"""Made-up pairs: classes that show in both modalities, through maps of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cmr_hub.training.data import PairedFeatures, TrainingSplits


def make_pairs(
    n: int,
    seed: int,
    *,
    classes: int = 4,
    image_dim: int = 12,
    text_dim: int = 9,
    noise: float = 0.5,
) -> PairedFeatures:
    """n pairs, noise of a shared latent point and of each modality around one centre a class."""
    fixed = np.random.default_rng(99)
    centres = fixed.normal(size=(classes, 6))
    maps = fixed.normal(size=(6, image_dim)), fixed.normal(size=(6, text_dim))
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    latent = centres[labels] + noise * generator.normal(size=(n, 6))
    images, texts = (
        (latent @ map_ + noise * generator.normal(size=(n, map_.shape[1]))).astype(np.float32)
        for map_ in maps
    )
    return PairedFeatures(images, texts, labels.astype(np.int64), classes)


def joined(a: PairedFeatures, b: PairedFeatures) -> PairedFeatures:
    return PairedFeatures(
        np.concatenate([a.images, b.images]),
        np.concatenate([a.texts, b.texts]),
        np.concatenate([a.labels, b.labels]),
        a.n_classes,
    )


@pytest.fixture
def pairs() -> Callable[..., PairedFeatures]:
    return make_pairs


@pytest.fixture
def make_splits() -> Callable[..., TrainingSplits]:
    def make(fit: int = 60, validation: int = 24, **options: object) -> TrainingSplits:
        known, held_out = make_pairs(fit, 1, **options), make_pairs(validation, 2, **options)
        return TrainingSplits(known, held_out, joined(known, held_out))

    return make

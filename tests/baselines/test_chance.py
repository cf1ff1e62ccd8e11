from __future__ import annotations

import numpy as np

from cmr_hub.baselines.chance import RandomBaseline, RandomEmbedder
from cmr_hub.metrics.retrieval import mean_average_precision
from cmr_hub.training.data import TrainingSplits


def test_map_is_that_of_shuffled_rankings(pairs):
    data = pairs(100, 0)
    found = []
    for seed in range(20):
        fitted = RandomBaseline().fit(TrainingSplits(data, data, None), seed, lambda *_: 0.0)
        images, texts = fitted.images.embed(data.images), fitted.texts.embed(data.texts)
        found.append(mean_average_precision(images, texts, data.labels, data.labels).value)
    generator = np.random.default_rng(0)
    expected = []
    for _ in range(2000):
        relevant = generator.permutation(np.arange(100) < 25)
        expected.append(np.mean(np.arange(1, 26) / (np.flatnonzero(relevant) + 1)))
    assert abs(np.mean(found) - np.mean(expected)) < 0.005


def test_an_item_has_one_vector_wherever_it_stands(pairs):
    rows = pairs(10, 0).images
    embedder = RandomEmbedder(0, 0)
    np.testing.assert_array_equal(embedder.embed(rows)[3:], embedder.embed(rows[3:]))
    assert abs(embedder.embed(rows) @ embedder.embed(rows).T - np.eye(10)).max() < 0.6


def test_seeds_and_modalities_have_nothing_in_common(pairs):
    rows = pairs(10, 0).images
    first = RandomEmbedder(0, 0).embed(rows)
    for other in (RandomEmbedder(0, 1), RandomEmbedder(1, 0)):
        assert abs((first * other.embed(rows)).sum(1)).max() < 0.6

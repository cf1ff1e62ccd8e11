from __future__ import annotations

import math

import numpy as np
import pytest

from cmr_hub.baselines.paired_neighbours import (
    Anchors,
    NeighbourEmbedder,
    PairedNeighboursBaseline,
)
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits


@pytest.mark.parametrize(("neighbours", "power"), [(1, 1.0), (5, 2.0), (7, 0.0), (500, 0.5)])
def test_equals_the_plain_loop(pairs, neighbours, power):
    train, asked = pairs(40, 0).images, pairs(6, 1).images
    mean = train.astype(float).mean(0)
    expected = np.zeros((6, 40))
    for row, query in enumerate(asked - mean):
        cosines = [
            query @ anchor / math.sqrt((query @ query) * (anchor @ anchor))
            for anchor in train - mean
        ]
        for i in sorted(range(40), key=lambda i: -cosines[i])[:neighbours]:
            expected[row, i] = max(cosines[i], 1e-7) ** power
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = NeighbourEmbedder(Anchors.fit(train), neighbours, power).embed(asked)
    np.testing.assert_allclose(found, expected, atol=1e-3 if power == 0.5 else 1e-5)


def test_a_text_is_found_through_the_pair_alone():
    """Nothing in the features tells what belongs together, only the training pairs do."""
    directions = np.eye(8, dtype=np.float32)
    partner = np.random.default_rng(0).permutation(8)
    train = PairedFeatures(directions, directions[partner], np.arange(8), 8)
    fitted = PairedNeighboursBaseline().fit(TrainingSplits(train, train, None), 0, validation_map)
    scores = fitted.images.embed(directions) @ fitted.texts.embed(directions).T
    np.testing.assert_array_equal(scores.argmax(1), partner)

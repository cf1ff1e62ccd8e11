"""What chooses epochs and settings by single captions."""

from __future__ import annotations

import numpy as np
import pytest

from cmr_hub.metrics.validation import CaptionScore


def captions(items, whole=None, sources=None):
    items = np.array(items)
    none = np.zeros(len(items), dtype=np.int64)
    return CaptionScore(
        items,
        none.astype(bool) if whole is None else np.array(whole),
        none if sources is None else np.array(sources),
    )


def test_captions_among_the_first_ten():
    """Against a plain loop, on 120 pictures of two captions each."""
    generator = np.random.default_rng(0)
    items = np.repeat(np.arange(120), 2)
    pictures = generator.normal(size=(120, 8)).astype(np.float32)
    texts = (pictures[items] + 2 * generator.normal(size=(240, 8))).astype(np.float32)
    found = captions(items)(pictures[items], texts, np.full(240, -1))
    hits = []
    for text, item in zip(texts, items, strict=True):
        order = np.argsort(-(pictures @ text))
        hits.append(item in order[:10])
    assert 0.2 < found < 0.8
    assert found == pytest.approx(np.mean(hits))


@pytest.mark.parametrize(("count", "depth"), [(5, 1), (11, 2), (99, 10), (300, 10)])
def test_of_few_pictures_the_first_tenth(count, depth):
    eye = np.eye(count, dtype=np.float32)
    # The own picture comes in place `depth`, then in the place after.
    for place, expected in ((depth, 1.0), (depth + 1, 0.0)):
        texts = eye.copy()
        for row in range(count):
            for step in range(1, place):
                texts[row, (row + step) % count] = 2.0
        score = captions(range(count))
        assert score(eye, texts, np.full(count, -1)) == expected


def test_with_labels_class_map_counts_as_much_and_each_dataset_alike():
    # Of dataset 0 three pictures without label, of dataset 1 two labelled ones.
    score = captions(
        [0, 1, 2, 7, 7, 9, 9],
        [False, False, False, False, True, False, True],
        [0, 0, 0, 1, 1, 1, 1],
    )
    eye = np.eye(7, dtype=np.float32)
    images = eye[[0, 1, 2, 3, 3, 4, 4]]
    labels = np.array([-1, -1, -1, 0, 0, 1, 1])
    assert score(images, images, labels) == pytest.approx(1.0)
    # Turned round, of two pictures the wrong one comes first.
    turned = eye[[0, 1, 2, 4, 4, 3, 3]]
    assert score(images, turned, labels) == pytest.approx((1 + (0 + 0.5) / 2) / 2)

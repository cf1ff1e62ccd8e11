"""Views of pictures and their features."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.feature_cache import FeatureCache, image_key
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.experiments.pairs import paired_features
from cmr_hub.training.picture_views import PictureView


def gradient(width=40, height=30):
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))


def test_the_first_view_is_the_mirrored_picture():
    picture = gradient()
    found = PictureView(1)(picture, b"key")
    np.testing.assert_array_equal(np.array(found), np.array(picture)[:, ::-1])


@pytest.mark.parametrize("number", [2, 3, 4])
def test_the_others_are_boxes_of_most_of_it(number):
    picture, shares, mirrored = gradient(400, 300), [], []
    for key in range(40):
        found = PictureView(number)(picture, bytes([key + 1]))
        shares.append(found.width * found.height / (400 * 300))
        assert found.width / found.height == pytest.approx(4 / 3, abs=0.03)
        row = np.array(found)[0, :, 0].astype(int)
        mirrored.append(row[0] > row[-1])
        again = PictureView(number)(picture, bytes([key + 1]))
        assert again.tobytes() == found.tobytes()
    assert 0.58 < min(shares) < 0.7 < 0.85 < max(shares) < 0.96
    assert 0.2 < np.mean(mirrored) < 0.8


def test_a_tiny_picture_has_views():
    assert PictureView(2)(Image.new("RGB", (1, 1)), b"x").size >= (1, 1)


def test_features_of_views(colour_folder, mobilenet, tmp_path):
    part = load_dataset("folder", colour_folder).split("test")
    words = text_encoder("bow").fit(part.sentences)
    cache = FeatureCache(tmp_path)
    pairs = paired_features(part, mobilenet, words, cache, views=3)
    assert pairs.images.shape == (12, 3, 1280)
    np.testing.assert_array_equal(pairs.images[:, 0], cache.encode(mobilenet, part.images))
    for number in (1, 2):
        view = PictureView(number)
        seen = [view(read_image(path), image_key(path)) for path in part.images]
        np.testing.assert_allclose(pairs.images[:, number], mobilenet.encode(seen), atol=1e-4)
    again = paired_features(part, mobilenet, words, FeatureCache(tmp_path), views=3)
    np.testing.assert_array_equal(again.images, pairs.images)

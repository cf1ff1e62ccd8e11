"""Concatenated image encoders, compared with their parts."""

from __future__ import annotations

import numpy as np
import pytest

from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.concat import ConcatImageEncoder, image_encoders
from cmr_hub.errors import CMRError, UnknownNameError


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def both(mobilenet_file):
    weights = dict.fromkeys(("mobilenet_v2", "mobilenet_v2_fine"), mobilenet_file)
    return image_encoders("mobilenet_v2+mobilenet_v2_fine", weights)


def test_rows_are_those_of_the_parts_at_the_length_of_the_first(both, pictures, tmp_path):
    rows = both.encode(pictures)
    first, second = (part.encode(pictures) for part in both.parts)
    assert both.dim == rows.shape[1] == first.shape[1] + second.shape[1]
    assert (rows[:, : first.shape[1]] == first).all()
    scale = np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert rows[:, first.shape[1] :] == pytest.approx(second * scale[:, None], rel=1e-5)
    assert FeatureCache(tmp_path).encode(both, pictures) == pytest.approx(rows, rel=1e-6)


def test_a_row_of_zeros_stays_one(both):
    zeros, ones = np.zeros((1, 2), np.float32), np.ones((1, 3), np.float32)
    assert both.joined([zeros, ones]).tolist() == [[0.0] * 5]
    assert both.joined([ones, zeros]).tolist() == [[1.0] * 3 + [0.0] * 2]


def test_its_fingerprint_changes_with_each_part(both):
    other = ConcatImageEncoder(both.parts[::-1])
    assert len({both.fingerprint, other.fingerprint, both.parts[0].fingerprint}) == 3
    assert both.weights_sha256 != other.weights_sha256


def test_one_name_is_one_encoder(mobilenet_file):
    encoder = image_encoders("mobilenet_v2", {"mobilenet_v2": mobilenet_file})
    assert encoder.fingerprint == image_encoder("mobilenet_v2", mobilenet_file).fingerprint
    with pytest.raises(UnknownNameError, match="nothing"):
        image_encoders("mobilenet_v2+nothing", {"mobilenet_v2": mobilenet_file})


def test_it_cannot_be_fine_tuned_or_run_as_one_network(both):
    with pytest.raises(CMRError, match="cannot be fine-tuned"):
        both.cut(1)
    with pytest.raises(CMRError, match="parts"):
        both.forward(None)

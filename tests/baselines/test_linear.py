from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from cmr_hub.baselines.linear import fit_scaling, linear_projector, scale
from cmr_hub.errors import TrainingError

generator = np.random.default_rng(0)
ROWS = generator.normal(3, 2, size=(20, 7)).astype(np.float32)
WEIGHT, BIAS = generator.normal(size=(7, 4)), generator.normal(size=4)


@pytest.mark.parametrize("output", ["linear", "softmax"])
def test_is_the_affine_map(output):
    centred = ROWS - ROWS.astype(float).mean(0)
    scaled = 10 * centred / np.sqrt((centred**2).sum(1).mean())
    expected = scaled @ WEIGHT + BIAS
    if output == "softmax":
        expected = softmax(expected, axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    projector = linear_projector(fit_scaling(ROWS), WEIGHT, BIAS, output=output)
    np.testing.assert_allclose(projector.embed(ROWS), expected, atol=2e-6)
    np.testing.assert_allclose(scale(fit_scaling(ROWS), ROWS), scaled, atol=2e-6)


def test_draws_no_random_numbers():
    before = torch.get_rng_state()
    linear_projector(fit_scaling(ROWS), WEIGHT, BIAS)
    assert torch.equal(before, torch.get_rng_state())


def test_refuses_rows_that_are_all_the_same():
    with pytest.raises(TrainingError, match="the same features"):
        fit_scaling(np.full((5, 3), 0.1, dtype=np.float32))

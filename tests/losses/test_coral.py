from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from cmr_hub.losses.coral import DeepCoralLoss


def covariance(x: Any) -> list[list[float]]:
    size, dim = x.shape
    return [
        [
            (sum(x[n, i] * x[n, j] for n in range(size)) - sum(x[:, i]) * sum(x[:, j]) / size)
            / (size - 1)
            for j in range(dim)
        ]
        for i in range(dim)
    ]


def test_equals_a_plain_loop(batch: Any) -> None:
    v, w, _ = batch.unit_arrays()
    gap = np.array(covariance(v)) - np.array(covariance(w))
    expected = sum(x**2 for row in gap for x in row) / (4 * 6**2)
    assert math.isclose(DeepCoralLoss()(*batch).item(), expected, rel_tol=1e-10)


def test_pairing_and_sign_do_not_matter_but_directions_do(batch: Any) -> None:
    images, _, labels = batch
    loss = DeepCoralLoss()
    assert loss(images, images.flip(0), labels).item() < 1e-20
    assert loss(images, -images, labels).item() < 1e-20
    assert loss(images, images.roll(1, 1), labels).item() > 1e-5
    assert loss(images, 10 * images, labels).item() < 1e-20


def test_float32_equal_covariances_give_no_noise() -> None:
    z = torch.randn(64, 32)
    assert 0 <= DeepCoralLoss()(z, z.flip(0), torch.zeros(64).long()).item() < 1e-12

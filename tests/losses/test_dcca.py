from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.linalg import fractional_matrix_power, subspace_angles

from cmr_hub.losses.dcca import DCCALoss


def test_equals_the_equation(batch: Any) -> None:
    v, w, _ = batch.arrays()
    s = np.cov(v.T, w.T)
    ridge = 0.05 * np.eye(6)
    roots = [fractional_matrix_power(block + ridge, -0.5) for block in (s[:6, :6], s[6:, 6:])]
    expected = -np.linalg.svd(roots[0] @ s[:6, 6:] @ roots[1], compute_uv=False).sum()
    assert math.isclose(DCCALoss(0.05)(*batch).item(), expected, rel_tol=1e-10)


def test_without_ridge_it_is_the_sum_of_the_canonical_correlations(batch: Any) -> None:
    v, w, _ = batch.arrays()
    angles = subspace_angles(v - v.mean(0), w - w.mean(0))
    value = DCCALoss(1e-12)(*batch).item()
    assert math.isclose(value, -np.cos(angles).sum(), rel_tol=1e-8)


def test_linear_maps_of_one_another_are_perfectly_correlated(batch: Any) -> None:
    images, _, labels = batch
    mixed = images @ torch.randn(6, 6, dtype=torch.float64)
    assert math.isclose(DCCALoss(1e-12)(images, mixed, labels).item(), -6, rel_tol=1e-6)


def test_gradient_is_finite_in_batches_smaller_than_the_space() -> None:
    images, texts = torch.randn(2, 4, 20).unbind()
    images.requires_grad_()
    DCCALoss()(images, texts, torch.zeros(4).long()).backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().max() < 100

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from cmr_hub.losses.correlation import PearsonLoss


def test_equals_scipy(batch: Any) -> None:
    v, w, _ = batch.arrays()
    expected = 1 - np.mean([pearsonr(v[:, k], w[:, k]).statistic for k in range(6)])
    assert math.isclose(PearsonLoss()(*batch).item(), expected, rel_tol=1e-12)


def test_known_values(batch: Any) -> None:
    images, _, labels = batch
    loss = PearsonLoss()
    torch.testing.assert_close(loss(images, 3 * images + 5, labels).item(), 0.0)
    torch.testing.assert_close(loss(images, -images, labels).item(), 2.0)


@pytest.mark.parametrize("value", [0.1, 3.7, -1e4, 0.0])
def test_a_constant_dimension_has_no_gradient(value: float) -> None:
    """In float32 a constant differs from its mean by rounding, which must not be blown up."""
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randn(2, 63, 2, generator=generator)
    images[:, 1] = value
    images.requires_grad_()
    texts.requires_grad_()
    loss = PearsonLoss()(images, texts, torch.zeros(63).long())
    loss.backward()
    assert images.grad is not None
    assert texts.grad is not None
    assert images.grad[:, 1].abs().max() == 0
    assert texts.grad[:, 1].abs().max() < 1e-6
    assert images.grad.abs().max() < 1


def test_constant_dimension_counts_as_uncorrelated() -> None:
    images = torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    assert PearsonLoss()(images, images, torch.zeros(3).long()).item() == 0.5

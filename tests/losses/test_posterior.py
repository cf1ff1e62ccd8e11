"""The posterior loss against a plain loop."""

from __future__ import annotations

import math

import pytest
import torch

from cmr_hub.errors import CMRError
from cmr_hub.losses.posterior import PosteriorLoss


def test_equals_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 5, generator=generator, dtype=torch.float64).softmax(1)
    texts = torch.rand(6, 5, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    expected = sum(
        -math.log(images[i, y]) - math.log(texts[i, y]) for i, y in enumerate(labels.tolist())
    ) / (2 * len(labels))
    assert float(PosteriorLoss(5)(images, texts, labels)) == pytest.approx(expected, rel=1e-12)


def test_further_columns_are_not_classes() -> None:
    rows = torch.tensor([[0.25, 0.75]])
    padded = torch.cat([rows, torch.tensor([[0.6, 0.0]])], dim=1)
    label = torch.tensor([1])
    loss = PosteriorLoss(2)
    assert loss(padded, padded, label) == loss(rows, rows, label)


def test_a_posterior_of_zero_is_finite() -> None:
    rows = torch.tensor([[1.0, 0.0]], requires_grad=True)
    value = PosteriorLoss(2)(rows, rows, torch.tensor([1]))
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_too_few_columns() -> None:
    with pytest.raises(CMRError, match="needs 3 posteriors per row, not 2"):
        PosteriorLoss(3)(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([0]))

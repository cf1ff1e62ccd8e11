"""One batch of random rows, as tensors for the losses and as arrays for the plain loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor


class Batch(NamedTuple):
    images: Tensor
    texts: Tensor
    labels: Tensor

    def arrays(self) -> tuple[Any, Any, list[int]]:
        return self.images.detach().numpy(), self.texts.detach().numpy(), self.labels.tolist()

    def unit_arrays(self) -> tuple[Any, Any, list[int]]:
        v, w, y = self.arrays()
        v = np.array([row / np.sqrt(sum(x * x for x in row)) for row in v])
        w = np.array([row / np.sqrt(sum(x * x for x in row)) for row in w])
        return v, w, y


@pytest.fixture
def batch() -> Batch:
    """12 pairs of 6 dimensions in 4 classes (of 5, 4, 2 and 1 rows), float64."""
    generator = torch.Generator().manual_seed(7)
    images, texts = (
        torch.randn(12, 6, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(2)
    )
    return Batch(images, texts, torch.tensor([0, 1, 2, 0, 3, 1, 0, 2, 1, 0, 1, 0]))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cmr_hub.errors import CMRError
from cmr_hub.losses.sdml import SDMLLoss


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = SDMLLoss(6, 4).double()
    directions = loss.directions.numpy()
    v, w, y = batch.unit_arrays()
    total = 0.0
    for z, label in [*zip(v, y, strict=True), *zip(w, y, strict=False)]:
        gaps = [sum(directions[:, k] * z) - (k == label) for k in range(4)]
        total += math.sqrt(sum(g * g for g in gaps)) / len(y)
    assert math.isclose(loss(*batch).item(), total, rel_tol=1e-12)


def test_rows_on_their_directions_cost_nothing(batch: Any) -> None:
    loss = SDMLLoss(6, 4).double()
    z = loss.directions.T[batch.labels]
    assert loss(z, 5 * z, batch.labels).item() < 1e-6


def test_modalities_are_trained_apart(batch: Any) -> None:
    loss = SDMLLoss(6, 4).double()
    gradients = [
        torch.autograd.grad(loss(batch.images, texts, batch.labels), batch.images)[0]
        for texts in (batch.texts, batch.texts.flip(0))
    ]
    assert torch.equal(*gradients)
    assert not list(loss.parameters())


def test_too_small_a_space_is_told() -> None:
    with pytest.raises(CMRError, match="at least 5"):
        SDMLLoss(4, 5)

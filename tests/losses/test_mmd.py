from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

from cmr_hub.losses.mmd import MMDLoss


@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_equals_a_plain_loop(batch: Any, spread: float) -> None:
    centre = torch.linspace(1, 2, 6, dtype=torch.float64)
    batch = batch._replace(
        images=centre + spread * batch.images, texts=centre + spread * batch.texts
    )
    v, w, _ = batch.unit_arrays()
    joint = [*v, *w]
    h = np.mean([sum((a - b) ** 2) for a, b in permutations(joint, 2)])

    def k(a: Any, b: Any) -> float:
        return sum(math.exp(-sum((a - b) ** 2) / (c * h)) for c in (0.25, 0.5, 1, 2, 4)) / 5

    size = len(v)
    within = sum(k(x[i], x[j]) for x in (v, w) for i in range(size) for j in range(size) if i != j)
    between = sum(k(a, b) for a in v for b in w)
    expected = within / (size * (size - 1)) - 2 * between / size**2
    assert math.isclose(MMDLoss()(*batch).item(), expected, rel_tol=1e-10)


def test_unbiased_where_the_distributions_are_one() -> None:
    loss, labels = MMDLoss(), torch.zeros(16).long()
    values = [loss(torch.randn(16, 4), torch.randn(16, 4), labels).item() for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert min(values) < 0 < max(values)


def test_grows_with_the_distance_of_the_distributions() -> None:
    z, labels = torch.randn(2, 40, 4), torch.zeros(40).long()
    near, far = (MMDLoss()(z[0] + shift, z[1] - shift, labels).item() for shift in (0.3, 3.0))
    assert 0.01 < near < far


def test_gradient_is_the_derivative_for_a_given_bandwidth(
    batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MMDLoss, "bandwidth", lambda self, distance: torch.tensor(1.7))
    assert torch.autograd.gradcheck(MMDLoss(), tuple(batch))


def test_bandwidth_is_not_trained(batch: Any) -> None:
    distance = batch.images.square()[:6, :6]
    assert not MMDLoss().bandwidth(distance).requires_grad

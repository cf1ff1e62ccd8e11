from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from cmr_hub.losses.dcca_ey import DCCAEYLoss


def test_equals_the_equation(batch: Any) -> None:
    v, w, _ = batch.arrays()
    s = np.cov(v.T, w.T)
    s11, s12, s22 = s[:6, :6], s[:6, 6:], s[6:, 6:]
    c, variance = (s11 + s12 + s12.T + s22) / 2, (s11 + s22) / 2
    expected = -2 * sum(c[k, k] for k in range(6)) + sum(x**2 for row in variance for x in row)
    assert math.isclose(DCCAEYLoss()(*batch).item(), expected, rel_tol=1e-12)


def test_canonical_variates_are_a_stationary_point_of_known_value() -> None:
    generator = torch.Generator().manual_seed(1)
    x, noise = torch.randn(2, 50, 4, dtype=torch.float64, generator=generator).unbind()
    y = x @ torch.randn(4, 4, dtype=torch.float64, generator=generator) + 2 * noise
    x, y = x - x.mean(0), y - y.mean(0)
    # Canonical directions by whitening with QR, then the SVD.
    (qx, rx), (qy, ry) = torch.linalg.qr(x), torch.linalg.qr(y)
    u, correlations, vt = torch.linalg.svd(qx.T @ qy)
    scale = math.sqrt(49) * (1 + correlations).sqrt()
    maps = [
        (torch.linalg.inv(r) @ turn * scale).requires_grad_() for r, turn in ((rx, u), (ry, vt.T))
    ]
    value = DCCAEYLoss()(x @ maps[0], y @ maps[1], torch.zeros(50).long())
    assert math.isclose(value.item(), -(1 + correlations).square().sum().item(), rel_tol=1e-10)
    for gradient in torch.autograd.grad(value, maps):
        assert gradient.abs().max() < 1e-9

"""A cheap correlation loss: Pearson's coefficient of each dimension."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss, zero_loss
from cmr_hub.losses.unit import SMALLEST_NORM

_CONSTANT: Final = 1e-5
"""Norm of the centred values, relative to the norm of the values, that is only rounding error."""


class PearsonLoss(Loss):
    """One minus the mean correlation of the pairs over the dimensions.

    Equation:
        L = 1 − meanₖ r(V[:, k], W[:, k]),  r(x, y) = ⟨x − x̄, y − ȳ⟩ / (‖x − x̄‖ ‖y − ȳ‖)

        r is zero, without gradient, for a dimension that is constant in the batch. The test is
        ‖x − x̄‖ ≤ 1e-5 ‖x‖, because in float32 a constant minus its mean is not exactly zero.

    Inputs:
        images, texts: (B, d), not normalised (r does not depend on the scale). labels: ignored.
        With B = 1 the loss is zero.

    References:
        Chandar et al., Correlational Neural Networks, Neural Computation 2016, arXiv 1504.07225.
        (The "correlation loss" of Corr-AE, Feng et al. 2014, is a different one: mean ‖v − w‖².)

    When to prefer:
        When pairs matter and batches are small. All dimensions may learn the same thing, which
        `DCCALoss` and `DCCAEYLoss` prevent.
    """

    takes_unlabelled = True

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        if len(images) < 2:
            return zero_loss(images, texts)
        v, w = (_standardised(z) for z in (images, texts))
        return 1 - (v * w).sum(0).mean()


def _standardised(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    norm = torch.linalg.vector_norm(centred, dim=0)
    varies = norm > _CONSTANT * torch.linalg.vector_norm(z, dim=0) + SMALLEST_NORM
    return torch.where(varies, centred, 0.0) / torch.where(varies, norm, 1.0)

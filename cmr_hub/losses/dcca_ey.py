"""DCCA for mini-batches: the Eckart-Young form, without matrix inverses."""

from __future__ import annotations

import math

from torch import Tensor

from cmr_hub.losses.base import Loss, zero_loss


class DCCAEYLoss(Loss):
    """An unconstrained loss whose minimum over linear maps is at the canonical directions.

    Equation:
        L = −2 tr(C) + ‖V‖_F²,  C = ½(S₁₁ + S₁₂ + S₂₁ + S₂₂),  V = ½(S₁₁ + S₂₂)

        S are the covariances of images and texts (over B − 1). At the minimum the dimensions are
        the canonical variates and L = −Σₖ (1 + ρₖ)², ρ the canonical correlations.

    Inputs:
        images, texts: (B, d), not normalised, because the loss determines their scale. labels:
        ignored. With B = 1 the loss is zero.

    References:
        Chapman, Wells and Aguila, Unconstrained Stochastic CCA: Unifying Multiview and
        Self-Supervised Learning, ICLR 2024, arXiv 2310.01012.

    When to prefer:
        To `DCCALoss` whenever batches are not much larger than d: without inverses, its gradient
        is stable in small batches.
    """

    takes_unlabelled = True

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        size = len(images)
        if size < 2:
            return zero_loss(images, texts)
        v, w = ((z - z.mean(0)) / math.sqrt(size - 1) for z in (images, texts))
        reward = (v + w).square().sum()
        covariance = (v.T @ v + w.T @ w) / 2
        return covariance.square().sum() - reward

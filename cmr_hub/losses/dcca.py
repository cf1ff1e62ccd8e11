"""Deep canonical correlation analysis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss, require_positive, zero_loss


class DCCALoss(Loss):
    """Minus the sum of the canonical correlations of the batch.

    Equation:
        L = −‖T‖_*,  T = (S₁₁ + rI)^−½ S₁₂ (S₂₂ + rI)^−½

        S are the covariances of images and texts (over B − 1), ‖·‖_* the sum of the singular
        values. T is computed as L₁⁻¹ S₁₂ L₂⁻ᵀ with the Cholesky factors L of S + rI, which differs
        from T only by rotations and has a finite gradient if eigenvalues coincide. The computation
        is always in float64, because a small r needs double precision.

    Args:
        ridge: r.

    Inputs:
        images, texts: (B, d), not normalised. labels: ignored. With B = 1 the loss is zero.

    References:
        Andrew et al., Deep Canonical Correlation Analysis, ICML 2013.

    When to prefer:
        With large batches: it needs B ≫ d. With B ≤ d all correlations of a batch are near one for
        any data, and nothing is learnt: use `DCCAEYLoss` or `PearsonLoss`. Each step decomposes a
        d × d matrix: keep d in the tens.
    """

    takes_unlabelled = True

    def __init__(self, ridge: float = 1e-3) -> None:
        super().__init__()
        require_positive(ridge=ridge)
        self.ridge = ridge

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        size, dim = images.shape
        if size < 2:
            return zero_loss(images, texts)
        v, w = ((z - z.mean(0)).double() / math.sqrt(size - 1) for z in (images, texts))
        ridge = self.ridge * torch.eye(dim, dtype=v.dtype, device=v.device)
        left, right = (torch.linalg.cholesky(z.T @ z + ridge) for z in (v, w))
        whitened = torch.linalg.solve_triangular(left, v.T @ w, upper=False)
        whitened = torch.linalg.solve_triangular(right, whitened.T, upper=False)
        correlations: Tensor = torch.linalg.svdvals(whitened)
        return -correlations.sum().to(images.dtype)

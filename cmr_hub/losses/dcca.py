"""Deep canonical correlation analysis: all correlations of the two modalities at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss, nothing, require_positive


class DCCALoss(Loss):
    """Minus the sum of the canonical correlations of the batch.

    Equation:
        L = −‖T‖_*,  T = (S₁₁ + rI)^−½ S₁₂ (S₂₂ + rI)^−½

        S are the covariances of images and texts (over B − 1), ‖·‖_* the sum of the singular
        values. It is computed as L₁⁻¹ S₁₂ L₂⁻ᵀ with the Cholesky factors L of S + rI, which
        differs from T by rotations only and has a finite gradient where eigenvalues coincide.
        In float64 whatever the input: small r and single precision do not go together.

    Args:
        ridge: r.

    Inputs:
        images, texts: (B, d), used as they are. labels: not looked at. With B = 1 the loss is
        zero.

    References:
        Andrew et al., Deep Canonical Correlation Analysis, ICML 2013.

    When to prefer:
        With full batches: it needs B ≫ d. With B ≤ d the batch's correlations are all near one
        whatever the data, and nothing is learnt: take `DCCAEYLoss` or `PearsonLoss`. Each step
        decomposes a d × d matrix: keep d in the tens.
    """

    takes_unlabelled = True

    def __init__(self, ridge: float = 1e-3) -> None:
        super().__init__()
        require_positive(ridge=ridge)
        self.ridge = ridge

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        size, dim = images.shape
        if size < 2:
            return nothing(images, texts)
        v, w = ((z - z.mean(0)).double() / math.sqrt(size - 1) for z in (images, texts))
        ridge = self.ridge * torch.eye(dim, dtype=v.dtype, device=v.device)
        left, right = (torch.linalg.cholesky(z.T @ z + ridge) for z in (v, w))
        half = torch.linalg.solve_triangular(left, v.T @ w, upper=False)
        whole = torch.linalg.solve_triangular(right, half.T, upper=False)
        correlations: Tensor = torch.linalg.svdvals(whole)
        return -correlations.sum().to(images.dtype)

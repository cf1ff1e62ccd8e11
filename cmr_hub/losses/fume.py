"""FUME: fuzzy multimodal learning for trusted cross-modal retrieval."""

from __future__ import annotations

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.multimodal_contrastive import multimodal_contrastive
from cmr_hub.losses.orthonormal import orthonormal
from cmr_hub.losses.targets import multi_hot
from cmr_hub.losses.unit import unit


class FUMELoss(Loss):
    """Distance of fuzzy class credibilities from the label, plus a contrastive loss of the pairs.

    Equation:
        L = Σ over both modalities of mean ‖r − y‖₂ + α L_c
        μ = relu(Pᵀz), the memberships, P (dim × n_classes, PᵀP = I) fixed;
        rₖ = ½(μₖ + νₖ), the credibility: νₖ = 1 − max_{j≠y} μⱼ for k = y, else 1 − μ_y;
        L_c = `multimodal_contrastive` with τ = 1.

    Args:
        dim: dimensions of the common space, at least n_classes (equal to it in the paper's code).
        n_classes: number of classes.
        alpha: α; the authors' code has 10 for Pascal Sentence and .05 for Wikipedia.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: (B,), or (B, n_classes) multi-hot: then
        j ≠ y are the other classes, and μ_y is the largest μ of the classes of the item (the paper
        has one class per item).

    References:
        Duan et al., Fuzzy Multimodal Learning for Trusted Cross-Modal Retrieval, CVPR 2025.
        Included: the training objective. Not included: the uncertainty of a result (entropy of the
        credibilities) and its fusion over query and hit, which are not part of training.

    When to prefer:
        As a strong complete objective, without other terms.
    """

    directions: Tensor

    def __init__(self, dim: int, n_classes: int, alpha: float = 1.0) -> None:
        super().__init__()
        require_positive(alpha=alpha)
        self.alpha = alpha
        self.register_buffer("directions", orthonormal(dim, n_classes))

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        v, w = unit(images), unit(texts)
        membership = (torch.cat([v, w]) @ self.directions).relu()
        target = multi_hot(labels, membership.shape[1]).to(membership.dtype).repeat(2, 1)
        own = (membership * target).amax(1, keepdim=True)
        rival = (membership * (1 - target)).amax(1, keepdim=True)
        necessity = 1 - torch.where(target.bool(), rival, own)
        credibility = (membership + necessity) / 2
        distance: Tensor = torch.linalg.vector_norm(credibility - target, dim=1)
        return distance.sum() / len(v) + self.alpha * multimodal_contrastive(v, w, temperature=1.0)

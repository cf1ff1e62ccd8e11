"""DSCMR: deep supervised cross-modal retrieval."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import softplus

from cmr_hub.losses.base import Loss
from cmr_hub.losses.targets import multi_hot
from cmr_hub.losses.unit import unit


class DSCMRLoss(Loss):
    """Discrimination in the label space and in the common space, plus the distance of the pairs.

    Equation:
        L = J₁ + 10⁻³ J₂ + 0.1 J₃
        J₁ = mean ‖p_v − y‖₂ + mean ‖p_w − y‖₂, p a shared linear classifier, y the one-hot or
        multi-hot label;
        J₂ = the sum over (V, V), (V, W), (W, W) of mean_{ij} [log(1 + e^θ) − S_ij θ], θ half the
        cosine of the two rows, S_ij = 1 if they share a class, else 0;
        J₃ = mean ‖v − w‖₂. The norms are not squared.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.

    Inputs:
        images, texts: (B, dim), normalised only for the cosine. labels: (B,), or (B, n_classes)
        multi-hot.

    References:
        Zhen et al., Deep Supervised Cross-Modal Retrieval, CVPR 2019, equations 3 to 7 (the
        weights are the paper's; its net is d → 2048 ReLU → a layer of 1024 shared by both).

    When to prefer:
        As a strong complete objective, without other terms.
    """

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, n_classes)

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        y = multi_hot(labels, self.classifier.out_features).to(images.dtype)
        v, w = unit(images), unit(texts)
        theta = torch.stack([v @ v.T, v @ w.T, w @ w.T]) / 2
        predictions = torch.stack([self.classifier(images), self.classifier(texts)])
        discrimination: Tensor = vector_norm(predictions - y, dim=2).mean(1).sum()
        likelihood = (softplus(theta) - (y @ y.T > 0) * theta).mean((1, 2)).sum()
        invariance: Tensor = vector_norm(images - texts, dim=1).mean()
        return discrimination + 1e-3 * likelihood + 0.1 * invariance

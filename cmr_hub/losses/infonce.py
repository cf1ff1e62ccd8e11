"""InfoNCE, CLIP's loss: find the own partner among the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.unit import unit


class InfoNCELoss(Loss):
    """Each row's own partner against all others of the other modality.

    Equation:
        L = ½ meanᵢ [−log e^{s_ii/τ} / Σⱼ e^{s_ij/τ} − log e^{s_ii/τ} / Σⱼ e^{s_ji/τ}]

        s_ij is the cosine of image i and text j.

    Args:
        temperature: τ, fixed (CLIP learns it, starting at .07).

    Inputs:
        images, texts: (B, d), normalised inside. labels: not looked at.

    References:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018,
        arXiv 1807.03748. Radford et al., CLIP, ICML 2021, arXiv 2103.00020.

    When to prefer:
        When the answer sought is the own partner (Recall@K) or there are no labels. It pushes
        apart rows of one class; `SupConLoss` does not.
    """

    takes_unlabelled = True

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        similarity = unit(images) @ unit(texts).T / self.temperature
        own = torch.arange(len(images), device=images.device)
        return cross_entropy(torch.cat([similarity, similarity.T]), own.repeat(2))

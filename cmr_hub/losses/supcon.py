"""Supervised contrastive learning between the modalities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.targets import same_class
from cmr_hub.losses.unit import unit


class SupConLoss(Loss):
    """Contrast of each row with the other modality, with rows of its class as positives.

    Equation:
        L = mean over the 2B anchors i of −1/|P(i)| Σ_{p∈P(i)} log[e^{s_ip/τ} / Σ_a e^{s_ia/τ}]

        s is the cosine, a runs over the other modality, P(i) are its rows of i's class, including
        i's partner. For a row without a label, P(i) is only its partner.

    Args:
        temperature: τ; .05 to .1 is usual.

    Inputs:
        images, texts: (B, d), normalised inside. labels: (B,), −1 for none; or
        (B, classes) multi-hot: rows of i's class are those that share one with it.

    References:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362,
        equation 2, with the positives and the denominator taken from the other modality.

    When to prefer:
        When relevance means "same class" and batches have several rows per class; with one row per
        class, or without labels, it equals `InfoNCELoss`.
    """

    takes_unlabelled = True

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        same = same_class(labels).to(images.dtype)
        positives = same / same.sum(1, keepdim=True)
        similarity = unit(images) @ unit(texts).T / self.temperature
        both = torch.cat([similarity, similarity.T])
        return cross_entropy(both, torch.cat([positives, positives]))

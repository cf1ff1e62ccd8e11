"""CMPM: cross-modal projection matching."""

from __future__ import annotations

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss
from cmr_hub.losses.targets import same_class
from cmr_hub.losses.unit import unit

EPSILON = 1e-8


class CMPMLoss(Loss):
    """KL divergence between the matching probabilities of a batch and those of its labels.

    Equation:
        L = meanᵢ KL(pᵢ ‖ qᵢ + ε) for images over texts, plus the same for texts over images
        p_ij = softmaxⱼ(vᵢ · wⱼ / ‖wⱼ‖),  q_ij = [yᵢ = yⱼ] / Σₖ [yᵢ = yₖ],  ε = 10⁻⁸

    Inputs:
        images, texts: (B, d); only the side projected on is normalised, because the length of the
        anchor is its confidence. labels: (B,), where a row with −1 (no label) matches only its
        partner; or (B, classes) multi-hot, where [yᵢ = yⱼ] means that they share a class.

    References:
        Zhang and Lu, Deep Cross-Modal Projection Learning for Image-Text Matching, ECCV 2018,
        equations 2 to 5 (the projection classification loss CMPC is not part of it).

    When to prefer:
        As a contrastive loss without temperature or margin. Because ε is so small, probability on
        a wrong row costs up to 18 nats: it penalises false matches most.
    """

    takes_unlabelled = True

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        same = same_class(labels).to(images.dtype)
        target = (same / same.sum(1, keepdim=True) + EPSILON).log()
        projections = torch.stack([images @ unit(texts).T, texts @ unit(images).T])
        log_p = projections.log_softmax(2)
        return (log_p.exp() * (log_p - target)).sum(2).mean(1).sum()

"""MRL: multimodal robust learning with noisy labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmr_hub.errors import CMRError, shown
from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.multimodal_contrastive import multimodal_contrastive
from cmr_hub.losses.targets import soft_targets
from cmr_hub.losses.unit import unit


class MRLLoss(Loss):
    """Robust clustering, in which doubtful labels hardly count, plus a contrastive loss of pairs.

    Equation:
        L = β L_r + (1 − β) L_c
        L_r = 1/B Σ_{z∈V∪W} log(1 − p(y|z)),  p(k|z) = softmaxₖ(⟨c_k, z⟩ / τ)
        L_c = `multimodal_contrastive`

        c_k are learnt unit centres. L_r is unbounded below as p → 1; τ = 1 on unit vectors keeps p
        away from 1. L is often negative.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes, at least two.
        beta: β in [0, 1]; the paper recommends .5 to .8 on Wikipedia.
        temperature: τ of both parts.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: (B,), or (B, n_classes) multi-hot: L_r
        is then averaged over the classes of an item (the paper has one class per item).

    References:
        Hu et al., Learning Cross-Modal Retrieval with Noisy Labels, CVPR 2021, equations 5, 7, 8.
        Included: both losses and the orthogonal initialisation of the centres. Not included: noisy
        labels; centres are normalised in the forward pass, not overwritten at each step.

    When to prefer:
        When labels are unreliable.
    """

    def __init__(
        self, dim: int, n_classes: int, beta: float = 0.7, temperature: float = 1.0
    ) -> None:
        super().__init__()
        require_positive(temperature=temperature)
        if not 0 <= beta <= 1:
            raise CMRError(f"beta must lie in [0, 1], not {shown(beta)}")
        if n_classes < 2:
            raise CMRError("MRL needs at least two classes, because it contrasts them")
        self.beta = beta
        self.temperature = temperature
        self.centres = nn.Parameter(nn.init.orthogonal_(torch.empty(n_classes, dim)))

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        v, w = unit(images), unit(texts)
        logits = torch.cat([v, w]) @ unit(self.centres).T / self.temperature
        weights: Tensor | float = 1.0
        if labels.ndim == 1:
            classes = labels.repeat(2)
        else:
            rows, classes = labels.repeat(2, 1).nonzero(as_tuple=True)
            weights = soft_targets(labels, images).repeat(2, 1)[rows, classes]
            logits = logits[rows]
        others = logits.scatter(1, classes[:, None], -torch.inf)
        # log(1 − p) as a difference of two logsumexps, which is accurate if p is near one.
        clustering = (weights * (others.logsumexp(1) - logits.logsumexp(1))).sum() / len(v)
        contrast = multimodal_contrastive(v, w, self.temperature)
        return self.beta * clustering + (1 - self.beta) * contrast

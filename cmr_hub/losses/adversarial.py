"""The adversarial loss: a modality classifier behind a gradient reversal layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, require_positive


class _GradientReversal(Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def gradient_reversal(z: Tensor, strength: float) -> Tensor:
    """Apply R_λ(z) = z with ∂R_λ/∂z = −λI.

    Args:
        z: tensor of any shape.
        strength: λ ≥ 0; with 0 there is no gradient.

    References:
        Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015,
        arXiv 1409.7495.
    """
    result: Tensor = _GradientReversal.apply(z, strength)  # type: ignore[no-untyped-call]
    return result


class AdversarialLoss(Loss):
    """Train a classifier D to distinguish images from texts, and the projectors to confuse it.

    Equation:
        L = mean over the 2B rows z of CE(D(R_λ(z)), modality of z)

        R_λ is the identity forward and multiplies the gradient by −λ backward, so that a single
        minimisation trains D and, against it, the projectors. During training
        λ(p) = 2 / (1 + e^(−10p)) − 1, p from 0 to 1, set by `schedule`; zero before it is called.

    Args:
        dim: dimensions of the common space.
        hidden: widths of D's hidden layers (with ReLU). Default: dim/2 and dim/4 as in ACMR.

    Inputs:
        images, texts: (B, dim), not normalised. labels: ignored.

    Logs:
        modality_accuracy: accuracy of D; .5, like a loss near ln 2, means either that D has learnt
        nothing or that the modalities are mixed.
        lambda: λ.

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, arXiv 1505.07818.
        Wang et al., Adversarial Cross-Modal Retrieval (ACMR), ACM MM 2017.

    When to prefer:
        When the two modalities are separated although both are well classified. At high learning
        rates it tends to diverge; `MMDLoss` has the same aim without adversarial training.
    """

    takes_unlabelled = True

    def __init__(self, dim: int, hidden: Sequence[int] | None = None) -> None:
        super().__init__()
        if hidden is None:
            hidden = (max(dim // 2, 1), max(dim // 4, 1))
        for width in hidden:
            require_positive(hidden=width)
        widths = [dim, *hidden]
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.modality_classifier = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
        self.strength = 0.0

    def schedule(self, progress: float) -> None:
        self.strength = 2 / (1 + math.exp(-10 * progress)) - 1

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        logits = self.modality_classifier(
            gradient_reversal(torch.cat([images, texts]), self.strength)
        )
        modality = torch.arange(2, device=labels.device).repeat_interleave(len(labels))
        self.logs = {
            "modality_accuracy": (logits.detach().argmax(1) == modality).to(logits.dtype).mean(),
            "lambda": logits.new_tensor(self.strength),
        }
        return cross_entropy(logits, modality)

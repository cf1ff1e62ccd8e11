"""CosFace: a cosine classifier with a margin, whose prototypes both modalities share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.errors import CMRError, shown
from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.targets import multi_hot, soft_targets
from cmr_hub.losses.unit import unit


class CosFaceLoss(Loss):
    """Cross-entropy of cosines to learnt class prototypes, with a margin for the true class.

    Equation:
        L = mean over i of ℓ(vᵢ) + ℓ(wᵢ),  ℓ(z) = CE(σ (s(z, c_k) − m [k = y])ₖ, y)

        s is the cosine, c_k the prototype of class k, the same for images and texts.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.
        scale: σ. margin: m, in cosine. The defaults are the paper's, for tens of thousands of
            faces; for tens of classes, prefer σ of 10 to 30 and m of 0 to .2.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: (B,), or (B, n_classes) multi-hot: the
        margin applies to every class of an item, and the target of CE has equal parts of them (the
        paper has one class per item).

    References:
        Wang et al., CosFace: Large Margin Cosine Loss, CVPR 2018, arXiv 1801.09414, equation 4.

    When to prefer:
        To `LabelLoss` when vectors are compared by cosine: classes become directions shared by
        both modalities.
    """

    def __init__(self, dim: int, n_classes: int, scale: float = 64.0, margin: float = 0.35) -> None:
        super().__init__()
        require_positive(scale=scale)
        if not 0 <= margin < 1:
            raise CMRError(f"margin must lie in [0, 1), not {shown(margin)}")
        self.scale = scale
        self.margin = margin
        self.prototypes = nn.Parameter(torch.randn(n_classes, dim))

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        prototypes = unit(self.prototypes)
        margins = self.margin * multi_hot(labels, len(prototypes)).to(images.dtype)
        v, w = (self.scale * (unit(z) @ prototypes.T - margins) for z in (images, texts))
        targets = soft_targets(labels, images)
        return cross_entropy(v, targets) + cross_entropy(w, targets)

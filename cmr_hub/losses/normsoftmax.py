"""NormSoftmax: a cosine classifier, CosFace without a margin."""

from __future__ import annotations

from cmr_hub.losses.cosface import CosFaceLoss


class NormSoftmaxLoss(CosFaceLoss):
    """Cross-entropy of the scaled cosines to class prototypes shared by both modalities.

    Equation:
        L = mean over i of ℓ(vᵢ) + ℓ(wᵢ),  ℓ(z) = CE((σ s(z, c_k))ₖ, y)

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.
        scale: σ, the inverse of the paper's temperature .05.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: see `CosFaceLoss`.

    References:
        Zhai and Wu, Classification is a Strong Baseline for Deep Metric Learning, BMVC 2019,
        arXiv 1811.12649.

    When to prefer:
        As the simplest prototype loss; use `CosFaceLoss` to separate classes further.
    """

    def __init__(self, dim: int, n_classes: int, scale: float = 20.0) -> None:
        super().__init__(dim, n_classes, scale=scale, margin=0.0)

"""Deep CORAL: align the covariances of the two modalities."""

from __future__ import annotations

from torch import Tensor

from cmr_hub.losses.base import Loss, zero_loss
from cmr_hub.losses.unit import unit


class DeepCoralLoss(Loss):
    """Squared Frobenius distance between the covariances of images and texts.

    Equation:
        L = ‖C_V − C_W‖_F² / (4d²),  C_X = (XᵀX − (1ᵀX)ᵀ(1ᵀX) / B) / (B − 1)

    Inputs:
        images, texts: (B, d), normalised inside (the paper uses raw activations; on unit vectors
        the loss matches the cosine of the search and cannot decrease by shrinking).
        labels: ignored. With B = 1 the loss is zero.

    References:
        Sun and Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV 2016
        workshops, arXiv 1607.01719.

    When to prefer:
        As a cheap, smooth third term. It ignores means and pairs, and is tiny on unit vectors: use
        a weight of 1e2 to 1e4.
    """

    takes_unlabelled = True

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        size, dim = images.shape
        if size < 2:
            return zero_loss(images, texts)
        gap = unit(images).T.cov() - unit(texts).T.cov()
        return gap.square().sum() / (4 * dim**2)

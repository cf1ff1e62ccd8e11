"""Maximum mean discrepancy between the images and the texts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss, zero_loss
from cmr_hub.losses.unit import unit


class MMDLoss(Loss):
    """Unbiased estimate of the distance of two distributions under five Gaussian kernels.

    Equation:
        L = Σ_{i≠j} [k(vᵢ, vⱼ) + k(wᵢ, wⱼ)] / (B(B−1)) − 2 mean_{ij} k(vᵢ, wⱼ)
        k(a, b) = mean over c ∈ {¼, ½, 1, 2, 4} of exp(−‖a − b‖² / (c h))

        h is the mean squared distance between different rows of the joint batch, detached (the
        usual median is zero as soon as half of the rows repeat). L may be negative.

    Inputs:
        images, texts: (B, d), normalised inside: the loss matches the cosine of the search and
        cannot decrease by shrinking. labels: ignored. With B = 1 the loss is zero.

    References:
        Gretton et al., A Kernel Two-Sample Test, JMLR 2012, equation 3.
        Long et al., Learning Transferable Features with Deep Adaptation Networks, ICML 2015,
        arXiv 1502.02791.

    When to prefer:
        Instead of `AdversarialLoss` to avoid adversarial training. It ignores pairs and classes:
        use it only together with a term that does not.
    """

    takes_unlabelled = True

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        size = len(images)
        if size < 2:
            return zero_loss(images, texts)
        joint = torch.cat([unit(images), unit(texts)])
        kernel = self.kernel(joint)
        within = kernel[:size, :size] + kernel[size:, size:]
        return (within.sum() - within.trace()) / (size * (size - 1)) - 2 * kernel[
            :size, size:
        ].mean()

    def kernel(self, rows: Tensor) -> Tensor:
        """Return the (N, N) kernel values k of all pairs of rows."""
        squares = rows.square().sum(1)
        distance = (squares[:, None] + squares - 2 * rows @ rows.T).clamp_min(0)
        # One exponential is enough for all five kernels, because halving c squares the Gaussian.
        gaussian = torch.exp(-distance / (4 * self.bandwidth(distance)))
        total = gaussian
        for _ in range(4):
            gaussian = gaussian.square()
            total = total + gaussian
        return total / 5

    def bandwidth(self, distance: Tensor) -> Tensor:
        """Return h of (N, N) squared distances, at least 1e-6, the rounding error of float32."""
        return (distance.detach().sum() / (len(distance) * (len(distance) - 1))).clamp_min(1e-6)

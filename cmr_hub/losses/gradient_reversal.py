"""The gradient reversal layer R_λ: identity forward, −λ times the gradient backward."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


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

"""Batch norms made part of the convolutions before them, for inference."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Copies a network with each batch norm folded into the convolution right before it.

    A convolution with weights W and bias b, and after it a batch norm with mean μ, variance σ²,
    weight γ and bias β, are one convolution with the weights W · γ / √(σ² + ε) and the bias
    (b − μ) · γ / √(σ² + ε) + β. That is done wherever the two follow each other in an
    `nn.Sequential`, at any depth; what stands elsewhere, or keeps no mean and variance, stays.

    torch's own `torch.fx` does the same by tracing, during which it replaces
    `nn.Module.__call__` for the whole process: other threads then fail.

    Args:
        network: is not changed.

    Returns:
        The copy, in evaluation mode.
    """
    copied = copy.deepcopy(network).eval()
    # As a list: folding takes modules away.
    for module in list(copied.modules()):
        # A subclass with a `forward` of its own need not run its children one after the other.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _fold_children(module)
    return copied


def _fold_children(layers: nn.Sequential) -> None:
    for place in reversed(range(1, len(layers))):
        convolution, norm = layers[place - 1], layers[place]
        if (
            isinstance(convolution, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
            and norm.track_running_stats
        ):
            layers[place - 1] = fuse_conv_bn_eval(convolution, norm)
            del layers[place]

"""Fold batch norms into the preceding convolutions for inference."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy of a network with each batch norm folded into the convolution before it.

    A convolution with weights W and bias b, followed by a batch norm with mean μ, variance σ²,
    weight γ and bias β, equals one convolution with the weights W · γ / √(σ² + ε) and the bias
    (b − μ) · γ / √(σ² + ε) + β. Only pairs that follow each other in an `nn.Sequential`, at any
    depth, are folded, and only batch norms that store a mean and a variance.

    `torch.fx` does the same by tracing, but meanwhile replaces `nn.Module.__call__` for the whole
    process, so that other threads fail.

    Args:
        network: The network, which is not modified.

    Returns:
        The copy, in evaluation mode.
    """
    copied = copy.deepcopy(network).eval()
    # A list, because folding removes modules.
    for layers in list(copied.modules()):
        # A subclass with another `forward` may not run its children in order.
        if not isinstance(layers, nn.Sequential) or (
            type(layers).forward is not nn.Sequential.forward
        ):
            continue
        for index in reversed(range(1, len(layers))):
            convolution, norm = layers[index - 1], layers[index]
            if (
                isinstance(convolution, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and norm.track_running_stats
            ):
                layers[index - 1] = fuse_conv_bn_eval(convolution, norm)
                del layers[index]
    return copied

"""Proxy-Anchor: learnt class proxies as anchors for all rows of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.targets import multi_hot
from cmr_hub.losses.unit import unit


class ProxyAnchorLoss(Loss):
    """Attract the rows of a class to its proxy and repel the others, the hardest ones most.

    Equation:
        L = 1/|P⁺| Σ_{p∈P⁺} log(1 + Σ_{x∈X_p⁺} e^{−α(s(x,p)−δ)})
          + 1/|P|  Σ_{p∈P}  log(1 + Σ_{x∈X_p⁻} e^{α(s(x,p)+δ)})

        P are all proxies, P⁺ those whose class is in the batch, X_p⁺ the rows, images and texts
        alike, of p's class, X_p⁻ the others, s the cosine.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.
        alpha: α. delta: δ.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: (B,), or (B, n_classes) multi-hot: a row
        is in X_p⁺ of each of its classes.

    References:
        Kim et al., Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, arXiv 2003.13911,
        equation 4; proxies shared by two modalities as in PAN, Zeng et al., SIGIR 2021.

    When to prefer:
        When batches have many rows per class, of which the hardest should count most.
    """

    def __init__(self, dim: int, n_classes: int, alpha: float = 32.0, delta: float = 0.1) -> None:
        super().__init__()
        require_positive(alpha=alpha, delta=delta)
        self.alpha = alpha
        self.delta = delta
        self.proxies = nn.Parameter(torch.empty(n_classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        cosine = unit(torch.cat([images, texts])) @ unit(self.proxies).T
        own = multi_hot(labels, len(self.proxies)).bool().repeat(2, 1)
        pull = _log_one_plus_sum(-self.alpha * (cosine - self.delta), own)
        push = _log_one_plus_sum(self.alpha * (cosine + self.delta), ~own)
        return pull.sum() / own.any(0).sum() + push.mean()


def _log_one_plus_sum(exponents: Tensor, chosen: Tensor) -> Tensor:
    """Return log(1 + Σ exp) over the chosen rows of each column; zero if none is chosen."""
    exponents = exponents.masked_fill(~chosen, -torch.inf)
    return torch.cat([exponents, exponents.new_zeros(1, exponents.shape[1])]).logsumexp(0)

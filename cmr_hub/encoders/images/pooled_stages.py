"""Several stages of one network, each pooled, and its classes, as one row of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LEAST = 1e-6  # at zero the slope of the root has no end


class PooledStages(nn.Module):
    """(B, C, H, W) activations → (B, d) rows: roots of means, and class posteriors.

    First the signed roots of the mean of every channel of every stage, then
    softmax(classifier(m) / T), m the means of the last stage.

    Args:
        stages: one after the other; the channels of the last one come first.
        classifier: of the network.
        temperature: T.
    """

    def __init__(
        self, stages: Sequence[nn.Module], classifier: nn.Module, temperature: float
    ) -> None:
        super().__init__()
        self.stages, self.classifier = nn.ModuleList(stages), classifier
        self.temperature = temperature

    def forward(self, activations: Tensor) -> Tensor:
        means = []
        for stage in self.stages:
            activations = stage(activations)
            means.append(activations.mean((2, 3)))
        rows = torch.cat([means[-1], *means[:-1]], dim=1)
        roots = rows.sign() * (rows.abs() + _LEAST).sqrt()
        posteriors = (self.classifier(means[-1]) / self.temperature).softmax(1)
        return torch.cat([roots, posteriors], dim=1)

"""Pool several stages of a network, and its class posteriors, into one feature row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LEAST = 1e-6  # the slope of the root is infinite at zero


class PooledStages(nn.Module):
    """Map (B, C, H, W) activations to (B, d) rows: roots of means, and class posteriors.

    A row consists of the signed roots of the mean of every channel of every stage, and of
    softmax(classifier(m) / T), where m are the means of the last stage.

    Args:
        stages: Stages, applied in order; the channels of the last stage come first.
        classifier: Classification layer of the network.
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

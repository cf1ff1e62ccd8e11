"""The posterior loss: cross-entropy of outputs that are class posteriors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from cmr_hub.errors import CMRError
from cmr_hub.losses.base import Loss
from cmr_hub.losses.targets import soft_targets

# The resolution of float32 at 1: smaller posteriors are not distinguishable from zero, and the
# slope 1/p of the logarithm would dominate the batch.
_SMALLEST = torch.finfo(torch.float32).eps


class PosteriorLoss(Loss):
    """Negative log-likelihood of the class under each modality's own posterior.

    Equation:
        L = ½ meanᵢ [−log v_{i,yᵢ} − log w_{i,yᵢ}]

    Args:
        n_classes: number of classes C.

    Inputs:
        images, texts: (B, d), d ≥ C, whose first C columns are posteriors of a projector with
        output "softmax" or "posterior-…". labels: (B,), or (B, n_classes) multi-hot: the mean
        over the classes of an item.

    Raises:
        CMRError: there are fewer columns than classes.

    References:
        Rasiwasia et al., A New Approach to Cross-Modal Multimedia Retrieval, ACM MM 2010
        (semantic matching: both modalities into the space of class posteriors).

    When to prefer:
        When relevance means "same class": modalities share only the classes, so each is trained
        independently, and the dimensions of the common space are interpretable as classes.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        if images.shape[1] < self.n_classes:
            raise CMRError(
                f"the posterior loss needs {self.n_classes} posteriors per row, not "
                f"{images.shape[1]}: use a projector with a posterior output"
            )

        def likelihood(rows: Tensor) -> Tensor:
            posterior = rows[:, : self.n_classes].clamp_min(_SMALLEST)
            if labels.ndim == 1:
                return nll_loss(posterior.log(), labels)
            return -(soft_targets(labels, rows) * posterior.log()).sum(1).mean()

        return (likelihood(images) + likelihood(texts)) / 2

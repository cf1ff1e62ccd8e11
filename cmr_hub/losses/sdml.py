"""SDML: map every modality to fixed class directions."""

from __future__ import annotations

import torch
from torch import Tensor

from cmr_hub.losses.base import Loss
from cmr_hub.losses.orthonormal import orthonormal
from cmr_hub.losses.targets import multi_hot
from cmr_hub.losses.unit import unit


class SDMLLoss(Loss):
    """Distance of each row's coordinates on fixed orthonormal directions from its one-hot label.

    Equation:
        L = meanᵢ ‖Pᵀvᵢ − yᵢ‖₂ + meanᵢ ‖Pᵀwᵢ − yᵢ‖₂

        P (dim × n_classes, PᵀP = I) is fixed. No term combines images and texts, so each modality
        is trained independently.

    Args:
        dim: dimensions of the common space, at least n_classes.
        n_classes: number of classes.

    Inputs:
        images, texts: (B, dim), normalised inside. labels: (B,), or (B, n_classes) multi-hot,
        scaled to length 1 like the rows (the paper's y has length 1 because an item has one class).

    References:
        Hu et al., Scalable Deep Multimodal Learning for Cross-Modal Retrieval, SIGIR 2019.
        Included: the supervised part. Not included: the weighted reconstruction of the input
        features by a decoder of each modality, which also uses unlabelled rows.

    When to prefer:
        When modalities are added later: a new one is trained without changing the others.
    """

    directions: Tensor

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("directions", orthonormal(dim, n_classes))

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        y = multi_hot(labels, self.directions.shape[1])
        if labels.ndim == 2:
            y = unit(y.to(images.dtype))
        v, w = (unit(z) @ self.directions - y for z in (images, texts))
        distance: Tensor = torch.linalg.vector_norm(torch.stack([v, w]), dim=2)
        return distance.mean(1).sum()

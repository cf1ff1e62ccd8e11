"""Find the rows of a batch that have the same class."""

from __future__ import annotations

import torch
from torch import Tensor


def same_class(labels: Tensor) -> Tensor:
    """Return a (B, B) mask of rows with the same class; rows without a label match themselves."""
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return ((labels[:, None] == labels) & (labels >= 0)) | own

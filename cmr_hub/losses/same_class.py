"""Which rows of a batch count as alike."""

from __future__ import annotations

import torch
from torch import Tensor


def same_class(labels: Tensor) -> Tensor:
    """(B, B) bool: rows of one class. A row without a label (−1) is like itself only."""
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return ((labels[:, None] == labels) & (labels >= 0)) | own

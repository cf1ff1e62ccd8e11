"""Normalise vectors without dividing by zero."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_NORM = 1e-8


def unit(z: Tensor, dim: int = -1) -> Tensor:
    """Return z / ‖z‖₂ along `dim`.

    Vectors shorter than 1e-8 are returned unchanged: dividing by a tiny number, as `F.normalize`
    does, would give a gradient of 1e12 and make training diverge.
    """
    norm = torch.linalg.vector_norm(z, dim=dim, keepdim=True)
    return z / torch.where(norm > SMALLEST_NORM, norm, 1.0)

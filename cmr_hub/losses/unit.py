"""Rows of length one, safe for rows of zeros."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_NORM = 1e-8


def unit(z: Tensor, dim: int = -1) -> Tensor:
    """z / ‖z‖₂ along `dim`.

    A vector shorter than 1e-8 is left as it is: dividing it by a tiny number, as
    `F.normalize` does, would give it a gradient of 1e12 and end the training.
    """
    norm = torch.linalg.vector_norm(z, dim=dim, keepdim=True)
    return z / torch.where(norm > SMALLEST_NORM, norm, 1.0)

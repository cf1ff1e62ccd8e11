"""Fixed orthonormal class directions for SDML and FUME."""

from __future__ import annotations

import torch
from torch import Tensor

from cmr_hub.errors import CMRError


def orthonormal(dim: int, n_classes: int) -> Tensor:
    """Return a (dim, n_classes) matrix P with PᵀP = I, which does not depend on the run's seed.

    Raises CMRError if the common space has fewer dimensions than there are classes.
    """
    if dim < n_classes:
        raise CMRError(
            f"{n_classes} orthonormal class directions do not fit into {dim} dimensions; "
            f"use a common space of at least {n_classes}"
        )
    generator = torch.Generator().manual_seed(0)
    return torch.nn.init.orthogonal_(torch.empty(dim, n_classes), generator=generator)

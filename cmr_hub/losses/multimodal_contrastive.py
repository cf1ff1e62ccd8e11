"""The multimodal contrastive loss of MRL and FUME."""

from __future__ import annotations

import torch
from torch import Tensor


def multimodal_contrastive(v: Tensor, w: Tensor, temperature: float) -> Tensor:
    """Contrast the partner of each unit row with every other row of both modalities.

    Equation:
        L_c = −1/B Σ_{z∈V∪W} log[e^{⟨z, z'⟩/τ} / Σ_{a∈V∪W, a≠z} e^{⟨z, a⟩/τ}], z' the partner of z

        (The paper includes a = z in the sum; the authors' code, used for its figures, does not.)

    Args:
        v, w: (B, d) unit vectors of images and texts. temperature: τ.

    References:
        Hu et al., Learning Cross-Modal Retrieval with Noisy Labels (MRL), CVPR 2021, equation 7.
    """
    joint = torch.cat([v, w])
    similarity = (joint @ joint.T / temperature).fill_diagonal_(-torch.inf)
    partner = (v * w).sum(1).repeat(2) / temperature
    return (similarity.logsumexp(1) - partner).sum() / len(v)

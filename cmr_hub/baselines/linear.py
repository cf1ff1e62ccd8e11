"""Convert linear maps to projectors, so that baselines can be saved and searched like models."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from cmr_hub.errors import TrainingError
from cmr_hub.models.projector import InputScaling, Projector

if TYPE_CHECKING:
    from cmr_hub.models.projection import Output
    from cmr_hub.types import FloatArray

Float64Array: TypeAlias = npt.NDArray[np.float64]


def fit_scaling(rows: FloatArray) -> InputScaling:
    """Fit the input scaling of projectors to (N, in_dim) rows.

    Raises:
        TrainingError: all rows are the same.
    """
    if (rows == rows[0]).all():
        raise TrainingError(
            "all training items have the same features, so there is nothing to learn; check that "
            "the encoders suit the data"
        )
    scaling = InputScaling(rows.shape[1])
    scaling.fit(torch.from_numpy(rows))
    return scaling


@torch.inference_mode()
def scale(scaling: InputScaling, rows: FloatArray) -> Float64Array:
    """Scale (N, in_dim) rows and convert them to double precision, which linear algebra needs."""
    scaled: Float64Array = scaling(torch.from_numpy(rows)).double().numpy()
    return scaled


@torch.no_grad()
def linear_projector(
    scaling: InputScaling, weight: Float64Array, bias: Float64Array, output: Output = "linear"
) -> Projector:
    """Return the projector y = x' W + b, with x' the scaled row.

    Args:
        scaling: input scaling.
        weight: W (in_dim, d).
        bias: b (d,).
        output: function of y; see `Projector`.
    """
    with torch.device("meta"):  # do not initialise weights that are replaced below
        projector = Projector(weight.shape[0], (), weight.shape[1], output=output)
    projector.to_empty(device="cpu")
    projector.scaling.load_state_dict(scaling.state_dict())
    layer = projector.layers[-1]
    layer.load_state_dict({"weight": torch.from_numpy(weight.T), "bias": torch.from_numpy(bias)})
    return projector.eval()

"""Projectors made into one projector of the ordinary kind, with the same outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.projector import InputScaling, Projector


@torch.no_grad()
def with_one_scale(projector: Projector) -> Projector:
    """The projector with one scale for all dimensions of a row, where it has one for each.

    With D the scales and s any one number, W D (x − μ) = (W D / s) · s (x − μ): what the scales
    did, the first layer's weights do.
    """
    each = projector.scaling.scale
    if not each.ndim:
        return projector
    one = each.mean()
    scaling = InputScaling(projector.in_dim)
    scaling.mean.copy_(projector.scaling.mean)
    scaling.scale.copy_(one)
    _layers(projector)[0].weight.mul_(each / one)
    projector.scaling = scaling
    return projector


@torch.no_grad()
def beside(projectors: Sequence[Projector]) -> Projector:
    """Projectors of one shape as one, whose cosines are the mean of theirs.

    Hidden layers stand side by side, each last layer sees its own, and every block of the output
    lies on a sphere of its own.

    Raises:
        ModelFormatError: their shapes or input scalings differ, or their output is no sphere.
    """
    first = projectors[0]
    same = all(
        other.settings == first.settings
        and torch.equal(other.scaling.mean, first.scaling.mean)
        and torch.equal(other.scaling.scale, first.scaling.scale)
        for other in projectors
    )
    if not same or first.output != "sphere" or first.residual or first.blocks != 1:
        raise ModelFormatError(
            "only projectors onto a sphere, of one shape and with one input scaling, become one"
        )
    count, settings = len(projectors), first.settings
    whole = Projector(
        first.in_dim,
        [count * width for width in settings["hidden"]],
        count * first.dim,
        settings["activation"],
        settings["dropout"],
        "sphere",
        first.radius,
        blocks=count,
    )
    whole.scaling.load_state_dict(first.scaling.state_dict())
    for layer, *parts in zip(_layers(whole), *map(_layers, projectors), strict=True):
        layer.weight.copy_(torch.cat([part.weight for part in parts]))
        layer.bias.copy_(torch.cat([part.bias for part in parts]))
    return whole.eval()


def _layers(projector: Projector) -> list[nn.Linear]:
    return [layer for layer in projector.layers if isinstance(layer, nn.Linear)]

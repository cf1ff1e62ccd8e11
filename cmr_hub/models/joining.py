"""Combine projectors into one ordinary projector with the same outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.projector import InputScaling, Projector


@torch.no_grad()
def with_one_scale(projector: Projector) -> Projector:
    """Replace a scale per input dimension by one scale, with the same outputs.

    With D the scales and s any number, W D (x − μ) = (W D / s) · s (x − μ): the scales move into
    the weights of the first layer.
    """
    scales = projector.scaling.scale
    if not scales.ndim:
        return projector
    mean = scales.mean()
    scaling = InputScaling(projector.in_dim)
    scaling.mean.copy_(projector.scaling.mean)
    scaling.scale.copy_(mean)
    _layers(projector)[0].weight.mul_(scales / mean)
    projector.scaling = scaling
    return projector


@torch.no_grad()
def beside(projectors: Sequence[Projector]) -> Projector:
    """Combine projectors of the same shape into one, whose cosine is the mean of their cosines.

    Hidden layers are concatenated, each last layer is connected only to its own hidden layer, and
    every block of the output is normalised separately.

    Raises:
        ModelFormatError: their shapes or input scalings differ, or their output is not "sphere".
    """
    first = projectors[0]
    same = all(
        other.settings == first.settings
        and torch.equal(other.scaling.mean, first.scaling.mean)
        and torch.equal(other.scaling.scale, first.scaling.scale)
        for other in projectors
    )
    plain = first.blocks == 1 and first.linear is None
    if not same or first.output != "sphere" or first.residual or not plain:
        raise ModelFormatError(
            "only projectors with the output 'sphere', equal shapes and equal input scaling can be "
            "combined"
        )
    count, settings = len(projectors), first.settings
    joint = Projector(
        first.in_dim,
        [count * width for width in settings["hidden"]],
        count * first.dim,
        settings["activation"],
        settings["dropout"],
        "sphere",
        first.radius,
        blocks=count,
    )
    joint.scaling.load_state_dict(first.scaling.state_dict())
    for layer, *parts in zip(_layers(joint), *map(_layers, projectors), strict=True):
        layer.weight.copy_(torch.cat([part.weight for part in parts]))
        layer.bias.copy_(torch.cat([part.bias for part in parts]))
    return joint.eval()


@torch.no_grad()
def with_class_names(
    images: Projector, texts: Projector, names: Tensor, share: float
) -> tuple[Projector, Projector]:
    """Add a linear part for the class names of the image encoder, without training.

    The output of pictures is extended by Σ_c p_c n_c and the output of texts by their feature row,
    both minus their training means. p are the class posteriors at the end of the picture's row,
    n_c the text features of the name of class c. "a panda" then finds pandas even if no training
    picture shows one.

    Source: Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, ICLR
    2014, arXiv 1312.5650.

    Args:
        images: image projector, whose input rows end in posteriors of C classes.
        texts: text projector.
        names: (C, Dt) text features of the names of the classes.
        share: share of the linear part in the cosine, in (0, 1).

    Raises:
        ModelFormatError: the output is not "sphere", or the share is not in (0, 1).
    """
    count, dim = names.shape
    weight = torch.zeros(dim, images.in_dim)
    weight[:, -count:] = nn.functional.normalize(names).T
    return (
        with_linear(images, weight, share),
        with_linear(texts, torch.eye(texts.in_dim), share),
    )


def with_linear(projector: Projector, weight: Tensor, share: float) -> Projector:
    """Append a linear map of the scaled row to the output, with this share of the cosine.

    The shares of existing linear parts are multiplied by 1 − share, like that of the network.

    Raises:
        ModelFormatError: the output is not "sphere" or "softmax", or the share is not in (0, 1).
    """
    parts = [(dim, part * (1 - share)) for dim, part in projector.linear_parts]
    dims, shares = zip(*parts, (len(weight), share), strict=True)
    settings = projector.settings | {"dim": projector.dim + len(weight)}
    joint = Projector(**settings | {"linear_dim": dims, "linear_share": shares})
    state = projector.state_dict()
    if parts:
        weight = torch.cat([state["linear.weight"], weight])
    joint.load_state_dict({**state, "linear.weight": weight})
    return joint.eval()


def _layers(projector: Projector) -> list[nn.Linear]:
    return [layer for layer in projector.layers if isinstance(layer, nn.Linear)]

"""Projectors made into one projector of the ordinary kind, with the same outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
    plain = first.blocks == 1 and first.linear is None
    if not same or first.output != "sphere" or first.residual or not plain:
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


@torch.no_grad()
def with_class_names(
    images: Projector, texts: Projector, names: Tensor, share: float
) -> tuple[Projector, Projector]:
    """Projectors that know the names of what the image encoder tells apart without training.

    Beside the network's part a picture gets Σ_c p_c n_c, and a text its own feature row t, both
    less their training means: p the posteriors that end the picture's row, n_c the text features
    of the name of class c. So "a panda" finds pandas that no training picture shows. Source:
    Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, ICLR 2014,
    arXiv 1312.5650.

    Args:
        images: its rows end in posteriors of C classes.
        texts: the projector beside it.
        names: (C, Dt) text features of the names of the classes.
        share: of the cosine, in (0, 1).

    Raises:
        ModelFormatError: the output is no sphere, or there is a linear part already.
    """
    count, dim = names.shape
    of_images = torch.zeros(dim, images.in_dim)
    of_images[:, -count:] = nn.functional.normalize(names).T
    return (
        _with_linear(images, of_images, share),
        _with_linear(texts, torch.eye(texts.in_dim), share),
    )


def _with_linear(projector: Projector, weight: Tensor, share: float) -> Projector:
    settings = projector.settings
    if "linear_dim" in settings:
        raise ModelFormatError("the projector has a linear part already")
    dim = settings["dim"] + len(weight)
    whole = Projector(**settings | {"dim": dim, "linear_dim": len(weight), "linear_share": share})
    whole.load_state_dict({**projector.state_dict(), "linear.weight": weight})
    return whole.eval()


def _layers(projector: Projector) -> list[nn.Linear]:
    return [layer for layer in projector.layers if isinstance(layer, nn.Linear)]

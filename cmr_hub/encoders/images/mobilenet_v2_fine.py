"""MobileNetV2 with a larger input, mirroring, and square roots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


class FineMobileNetV2Encoder(MobileNetV2Encoder):
    """z = ½ (√f(x) + √f(mirrored x)), where f are the features of `mobilenet_v2` at 321 pixels.

    The square root prevents a few strong channels from dominating (the Hellinger kernel of
    Arandjelović and Zisserman, CVPR 2012). The encoder has the weights of `mobilenet_v2`, and takes
    about three times as long.
    """

    name = "mobilenet_v2_fine"
    preprocessing = Preprocessing(resize=321, crop=321)

    def __init__(self, state: Mapping[str, Tensor], source: str) -> None:
        super().__init__(state, source)
        self.network = _WithMirrored(self.network)

    @staticmethod
    def blocks(network: Any) -> nn.Sequential:
        *before, last = MobileNetV2Encoder.blocks(network)
        return nn.Sequential(*before, nn.Sequential(last, _SquareRoot()))


class _SquareRoot(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.clamp_min(1e-6).sqrt()  # the slope of the root is infinite at zero


class _WithMirrored(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        mirrored: Tensor = self.network(torch.flip(pixels, (3,)))
        mean: Tensor = (self.network(pixels) + mirrored) / 2
        return mean

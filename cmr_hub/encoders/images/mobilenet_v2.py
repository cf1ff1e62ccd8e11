"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381): pooled 1280-d features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from cmr_hub.encoders.images.download import download_weights
from cmr_hub.encoders.images.fusion import fold_batch_norm
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.torchvision_ops import ensure_torchvision

if TYPE_CHECKING:
    from torch import Tensor

ensure_torchvision()
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2  # noqa: E402


class MobileNetV2Encoder(NetworkEncoder):
    """Activations of the last convolution, averaged over positions.

    The input has 257 instead of 224 pixels. At sizes n ≡ 1 mod 32 TensorFlow and torchvision pad
    equally, so weights of either framework get the input they were trained on; and a larger input
    is more accurate.
    """

    name = "mobilenet_v2"
    dim = 1280
    preprocessing = Preprocessing(resize=257, crop=257)

    @staticmethod
    def build() -> Any:
        return mobilenet_v2()

    @staticmethod
    def blocks(network: Any) -> nn.Sequential:
        *before, last = network.features
        return nn.Sequential(*before, nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten()))

    @staticmethod
    def for_inference(features: nn.Sequential) -> nn.Module:
        # Folding the batch norms saves a third of the time per image.
        return fold_batch_norm(features)

    @staticmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        return download_weights(MobileNet_V2_Weights.IMAGENET1K_V1)

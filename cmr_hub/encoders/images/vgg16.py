"""VGG16 (Simonyan and Zisserman 2015, arXiv 1409.1556): fc7, the features of the 2019 study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from cmr_hub.encoders.images.download import download_weights
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.torchvision_ops import ensure_torchvision

if TYPE_CHECKING:
    from torch import Tensor

ensure_torchvision()
from torchvision.models import VGG16_Weights, vgg16  # noqa: E402


class VGG16Encoder(NetworkEncoder):
    """Output of the second fully connected layer after its ReLU ("fc7"): 4096 numbers ≥ 0."""

    name = "vgg16"
    dim = 4096
    preprocessing = Preprocessing(resize=256, crop=224)

    @staticmethod
    def build() -> Any:
        return vgg16()

    @staticmethod
    def blocks(network: Any) -> nn.Sequential:
        convolutions, classifier = network.features, network.classifier
        fc6 = nn.Sequential(network.avgpool, nn.Flatten(), *classifier[:2])  # linear, ReLU
        fc7 = classifier[3:5]  # after the dropout: linear, ReLU
        between_pools = (slice(0, 5), slice(5, 10), slice(10, 17), slice(17, 24), slice(24, 31))
        return nn.Sequential(*(convolutions[part] for part in between_pools), fc6, fc7)

    @staticmethod
    def download() -> tuple[Mapping[str, Tensor], str]:
        return download_weights(VGG16_Weights.IMAGENET1K_V1)

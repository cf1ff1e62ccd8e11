"""Image encoders by name. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmr_hub.registry import registered

if TYPE_CHECKING:
    from pathlib import Path

    from cmr_hub.encoders.images.base import ImageEncoder

IMAGE_ENCODERS = {
    "compact": "cmr_hub.encoders.images.compact:CompactEncoder",
    "mobilenet_v2": "cmr_hub.encoders.images.mobilenet_v2:MobileNetV2Encoder",
    "mobilenet_v2_fine": ("cmr_hub.encoders.images.mobilenet_v2_fine:FineMobileNetV2Encoder"),
    "vgg16": "cmr_hub.encoders.images.vgg16:VGG16Encoder",
}


def image_encoder_class(name: str) -> type[ImageEncoder]:
    """The class registered under `name`. Raises UnknownNameError."""
    encoder: type[ImageEncoder] = registered("image encoder", name, IMAGE_ENCODERS)
    return encoder


def image_encoder(name: str, weights: str | Path | None = None) -> ImageEncoder:
    """An image encoder with its weights.

    Args:
        name: a key of IMAGE_ENCODERS.
        weights: a local safetensors file with torchvision's key names; without it torchvision
            downloads its own.

    Raises:
        UnknownNameError: no such encoder.
        WeightsError: the file is missing, damaged or of another network; or the download failed.
    """
    from cmr_hub.encoders.images.weights import read_weights

    encoder = image_encoder_class(name)
    state, source = encoder.download() if weights is None else (read_weights(weights), "file")
    return encoder(state, source)

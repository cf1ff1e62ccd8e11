"""Image encoders by name. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import WeightsError
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.images.network import NetworkEncoder

IMAGE_ENCODERS = Registry(
    "image encoder",
    "cmr_hub.image_encoders",
    {
        "compact": "cmr_hub.encoders.images.compact:CompactEncoder",
        "efficientnet_lite2": (
            "cmr_hub.encoders.images.efficientnet_lite2:EfficientNetLite2Encoder"
        ),
        "mobilenet_v2": "cmr_hub.encoders.images.mobilenet_v2:MobileNetV2Encoder",
        "mobilenet_v2_fine": ("cmr_hub.encoders.images.mobilenet_v2_fine:FineMobileNetV2Encoder"),
        "vgg16": "cmr_hub.encoders.images.vgg16:VGG16Encoder",
    },
)

EXPORTED_QUICKLY: Final = frozenset({"efficientnet_lite2"})
"""Those that ONNX Runtime runs unless something else is asked for: it is much faster with them, and
their export takes a moment."""


def image_encoder_class(name: str) -> type[NetworkEncoder]:
    """The class registered under `name`. Raises UnknownNameError."""
    encoder: type[NetworkEncoder] = IMAGE_ENCODERS[name]
    return encoder


def image_encoder(name: str, weights: str | Path | None = None) -> ImageEncoder:
    """An image encoder with its weights.

    Args:
        name: a key of IMAGE_ENCODERS; or `hf:REPOSITORY`, `hf:REPOSITORY@REVISION` or
            `hf:DIRECTORY` for a pretrained one that sentence-transformers or open_clip reads.
        weights: a local safetensors file with the network's own key names; without it those of
            the installed package, or torchvision's, which torchvision downloads.

    Raises:
        UnknownNameError: no such encoder.
        WeightsError: the file is missing, damaged or of another network; or the download failed.
        ModelFormatError, HubError: a pretrained one cannot be read.
    """
    if name.startswith(PREFIX):
        from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
        from cmr_hub.encoders.pretrained.hub import locate
        from cmr_hub.encoders.pretrained.load import backbone

        if weights is not None:
            raise WeightsError(f"{name} has weights of its own: leave --image-weights out")
        return PretrainedImageEncoder(backbone(locate(name)))
    from cmr_hub.encoders.images.weights import read_weights

    encoder = image_encoder_class(name)
    state, source = encoder.download() if weights is None else (read_weights(weights), "file")
    return encoder(state, source)

"""Image encoders by name; `cmr_hub.encoders.register` adds your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cmr_hub.encoders import refuse_other_name
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import CMRError, WeightsError, shown
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from cmr_hub.encoders.images.base import ImageEncoder

IMAGE_ENCODERS = Registry(
    "image encoder",
    "cmr_hub.encoders",
    {
        "compact": "cmr_hub.encoders.images.compact:CompactEncoder",
        "efficientnet_lite2": (
            "cmr_hub.encoders.images.efficientnet_lite2:EfficientNetLite2Encoder"
        ),
        "mobilenet_v2": "cmr_hub.encoders.images.mobilenet_v2:MobileNetV2Encoder",
        "mobilenet_v2_fine": ("cmr_hub.encoders.images.mobilenet_v2_fine:FineMobileNetV2Encoder"),
        "vgg16": "cmr_hub.encoders.images.vgg16:VGG16Encoder",
    },
    base="cmr_hub.encoders.images.base:ImageEncoder",
)
"""Name to class. The names of encoders that other packages declare include those of text encoders:
only importing an entry shows its kind.
"""

EXPORTED_QUICKLY: Final = frozenset({"efficientnet_lite2"})
"""Encoders that run in ONNX Runtime by default: they are much faster there, and exporting them is
quick.
"""


def image_encoder_class(name: str) -> type[ImageEncoder]:
    """Return the class registered under `name`. Raises UnknownNameError or CMRError."""
    encoder: type[ImageEncoder] = IMAGE_ENCODERS[name]
    refuse_other_name(encoder, name)
    return encoder


def image_encoder(
    encoder: str | type[ImageEncoder] | ImageEncoder, weights: str | Path | None = None
) -> ImageEncoder:
    """Return an image encoder with its weights.

    Args:
        encoder: A key of IMAGE_ENCODERS; `hf:REPOSITORY`, `hf:REPOSITORY@REVISION` or
            `hf:DIRECTORY` for a pretrained encoder that sentence-transformers or open_clip can
            load; a class; or an encoder, which is returned unchanged.
        weights: A local safetensors file with the network's own key names. Default: the weights of
            the installed package, or those of torchvision, which torchvision downloads.

    Raises:
        UnknownNameError: There is no such encoder.
        WeightsError: The file is missing, damaged or of another network, or the download failed.
        ModelFormatError, HubError: A pretrained encoder cannot be read.
        CMRError: `weights` is given for an encoder that has its own, or `encoder` is not an image
            encoder.
    """
    if isinstance(encoder, str) and encoder.startswith(PREFIX):
        from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
        from cmr_hub.encoders.pretrained.hub import locate
        from cmr_hub.encoders.pretrained.load import backbone

        if weights is not None:
            raise WeightsError(f"{encoder} has weights of its own: leave --image-weights out")
        return PretrainedImageEncoder(backbone(locate(encoder)))
    from cmr_hub.encoders.images.network import NetworkEncoder
    from cmr_hub.encoders.images.weights import read_weights

    kind = image_encoder_class(encoder) if isinstance(encoder, str) else encoder
    if isinstance(kind, type) and issubclass(kind, NetworkEncoder):
        state, source = kind.download() if weights is None else (read_weights(weights), "file")
        return kind(state, source)
    if weights is not None:
        raise WeightsError(f"{shown(encoder)} reads no weights file: leave the weights out")
    if IMAGE_ENCODERS.accepts(kind):
        return kind()  # type: ignore[operator]
    if not IMAGE_ENCODERS.accepts(type(kind)):
        raise CMRError(
            "an image encoder is a name, a subclass of cmr_hub.encoders.ImageEncoder or one of "
            f"its objects, not {shown(encoder)}"
        )
    return kind  # type: ignore[return-value]

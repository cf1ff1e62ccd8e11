"""Image encoders by name; see `cmr_hub.encoders.register` to add one."""

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
"""Image encoders by name. Names declared by other packages include text encoders, because the kind
of an entry point is known only after importing it."""

EXPORTED_QUICKLY: Final = frozenset({"efficientnet_lite2"})
"""Encoders that use ONNX Runtime by default, because they are much faster there and export within
seconds."""


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
        weights: A local safetensors file with the key names of the network. Default: the weights
            of the installed package, or of torchvision, which downloads them.

    Raises:
        UnknownNameError: There is no such encoder.
        WeightsError: The file is missing, damaged or of another network, the download failed, or
            the encoder does not take `weights`.
        ModelFormatError, HubError: A pretrained encoder cannot be read.
        CMRError: `encoder` is not an image encoder.
    """
    if isinstance(encoder, str) and encoder.startswith(PREFIX):
        from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
        from cmr_hub.encoders.pretrained.hub import locate
        from cmr_hub.encoders.pretrained.load import backbone

        if weights is not None:
            raise WeightsError(f"{encoder} includes its weights: leave out --image-weights")
        return PretrainedImageEncoder(backbone(locate(encoder)))
    from cmr_hub.encoders.images.network import NetworkEncoder
    from cmr_hub.encoders.images.weights import read_weights

    kind = image_encoder_class(encoder) if isinstance(encoder, str) else encoder
    if isinstance(kind, type) and issubclass(kind, NetworkEncoder):
        state, source = kind.download() if weights is None else (read_weights(weights), "file")
        return kind(state, source)
    if weights is not None:
        raise WeightsError(f"{shown(encoder)} does not read a weights file: leave out the weights")
    if IMAGE_ENCODERS.accepts(kind):
        return kind()  # type: ignore[operator]
    if not IMAGE_ENCODERS.accepts(type(kind)):
        raise CMRError(
            "an image encoder must be a name, a subclass of cmr_hub.encoders.ImageEncoder or an "
            f"instance of one, not {shown(encoder)}"
        )
    return kind  # type: ignore[return-value]

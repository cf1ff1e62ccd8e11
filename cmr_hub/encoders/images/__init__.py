"""Image encoders by name; see `cmr_hub.encoders.register` for those of one's own."""

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
"""Name to class. Of the encoders that other packages declare all names are listed, of texts too:
which it is shows when it is imported."""

EXPORTED_QUICKLY: Final = frozenset({"efficientnet_lite2"})
"""Those that ONNX Runtime runs unless something else is asked for: it is much faster with them, and
their export takes a moment."""


def image_encoder_class(name: str) -> type[ImageEncoder]:
    """The class registered under `name`. Raises UnknownNameError, or CMRError."""
    encoder: type[ImageEncoder] = IMAGE_ENCODERS[name]
    refuse_other_name(encoder, name)
    return encoder


def image_encoder(
    encoder: str | type[ImageEncoder] | ImageEncoder, weights: str | Path | None = None
) -> ImageEncoder:
    """An image encoder with its weights.

    Args:
        encoder: a key of IMAGE_ENCODERS; or `hf:REPOSITORY`, `hf:REPOSITORY@REVISION` or
            `hf:DIRECTORY` for a pretrained one that sentence-transformers or open_clip reads; or
            a class of one's own; or an encoder, which is given back.
        weights: a local safetensors file with the network's own key names; without it those of
            the installed package, or torchvision's, which torchvision downloads.

    Raises:
        UnknownNameError: no such encoder.
        WeightsError: the file is missing, damaged or of another network; or the download failed.
        ModelFormatError, HubError: a pretrained one cannot be read.
        CMRError: weights for what has its own, or what is given is no image encoder.
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
    if IMAGE_ENCODERS.is_one(kind):
        return kind()  # type: ignore[operator]
    if not IMAGE_ENCODERS.is_one(type(kind)):
        raise CMRError(
            "an image encoder is a name, a subclass of cmr_hub.encoders.ImageEncoder or one of "
            f"its objects, not {shown(encoder)}"
        )
    return kind  # type: ignore[return-value]

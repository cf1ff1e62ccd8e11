"""The image side of pretrained encoders: CLIP, SigLIP, DINOv2, ConvNeXt, ViT and others."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from cmr_hub.encoders.images.base import ImageEncoder, fingerprint_of
from cmr_hub.encoders.images.processor import ProcessorPreprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.encoders.pretrained.files import PretrainedFiles


class PretrainedImageEncoder(ImageEncoder):
    """Encode pictures with the image side of a backbone.

    Args:
        backbone: A backbone with an image side.

    Raises:
        CMRError: The backbone has no image side.
    """

    batch_size = 4

    def __init__(self, backbone: Backbone) -> None:
        self.dim = backbone.require("image")
        self.backbone = backbone
        self.name = f"hf:{backbone.files.name}"
        self.source = backbone.files.source
        self.preprocessing = ProcessorPreprocessing(backbone.image_transform)

    @property
    def placement(self) -> Placement:  # type: ignore[override]
        """Placement of the backbone."""
        return self.backbone.placement

    @property
    def network(self) -> nn.Module:
        """Network of the backbone."""
        return self.backbone.network

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of all files of the backbone."""
        return self.backbone.files.sha256

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the files, which contain weights, processor and tokeniser."""
        return fingerprint_of_side(self.backbone.files, "image")

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Map named tensors of B pictures to (B, dim)."""
        return self.backbone.images(batch)

    def to(self, placement: Placement) -> Self:
        self.backbone.to(placement)
        return self


def fingerprint_of_side(files: PretrainedFiles, side: str) -> str:
    """Return the fingerprint of a side, `image` or `text`, without building the network."""
    return fingerprint_of("pretrained", files.sha256, {"side": side})

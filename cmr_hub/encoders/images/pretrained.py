"""The image side of a pretrained encoder: CLIP, SigLIP, DINOv2, ConvNeXt, ViT and others."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from cmr_hub.encoders.images.base import ImageEncoder, fingerprint_of
from cmr_hub.encoders.images.processor import ProcessorPreprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.pretrained.backbone import Backbone


class PretrainedImageEncoder(ImageEncoder):
    """Pictures through the image side of a backbone.

    Args:
        backbone: that reads pictures.

    Raises:
        CMRError: it reads none.
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
        """That of the backbone."""
        return self.backbone.placement

    @property
    def network(self) -> nn.Module:
        """That of the backbone."""
        return self.backbone.network

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of all files of the backbone."""
        return self.backbone.files.sha256

    @cached_property
    def fingerprint(self) -> str:
        """Of the files: they hold weights, processor and tokeniser."""
        return fingerprint_of("pretrained", self.weights_sha256, {"side": "image"})

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Named tensors of B pictures → (B, dim)."""
        return self.backbone.images(batch)

    def to(self, placement: Placement) -> Self:
        self.backbone.to(placement)
        return self

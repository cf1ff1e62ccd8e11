"""Image encoders whose network runs in another runtime than torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from cmr_hub.encoders.images.base import PicturePreprocessing
    from cmr_hub.types import FloatArray


@dataclass(frozen=True)
class ExportedFacts:
    """The attributes that an exported encoder takes from the original one; see `ImageEncoder`."""

    name: str
    dim: int
    source: str
    preprocessing: PicturePreprocessing
    batch_size: int
    weights_sha256: str
    fingerprint: str


class ExportedImageEncoder(ImageEncoder):
    """An image encoder without its torch network, so that the network can be freed.

    Args:
        encoder: The encoder that was exported, or facts about it.
        placement: The backend and its precision.
        run: Function that maps named arrays of B pictures to (B, dim) features.
    """

    def __init__(
        self,
        encoder: ImageEncoder | ExportedFacts,
        placement: Placement,
        run: Callable[[Mapping[str, npt.NDArray[Any]]], FloatArray],
    ) -> None:
        self.name, self.dim, self.source = encoder.name, encoder.dim, encoder.source
        self.preprocessing, self.batch_size = encoder.preprocessing, encoder.batch_size
        self.placement = placement
        self._weights_sha256 = encoder.weights_sha256
        self._fingerprint = placement.marked(encoder.fingerprint)
        self._run = run

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights before the export."""
        return self._weights_sha256

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the original encoder; int8 has another one."""
        return self._fingerprint

    def rows(self, pixels: npt.NDArray[Any]) -> FloatArray:
        return self._run(self.preprocessing.arrays(pixels))

    def forward(self, batch: Any) -> Tensor:
        raise CMRError(f"{self.name} uses {self.placement.backend} and has no torch network")

    def to(self, placement: Placement) -> Self:
        refuse_move(self.name, self.placement, placement)
        return self


def refuse_move(name: str, own: Placement, placement: Placement) -> None:
    """Raise CMRError if an exported encoder would be moved to another placement."""
    if placement not in (own, Placement()):
        raise CMRError(
            f"{name} uses {own.backend} on the CPU: load it with the backend torch to move it to "
            "a device or to another precision"
        )

"""An image encoder whose network another runtime runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from torch import Tensor


def named(batch: Any) -> dict[str, Tensor]:
    """What `preprocessing.normalised` gives, as named tensors."""
    return batch if isinstance(batch, dict) else {"pixels": batch}


class ExportedImageEncoder(ImageEncoder):
    """An image encoder without its torch network, which can be dropped from memory.

    Args:
        encoder: the one that was exported.
        placement: the backend, and the precision there.
        run: named tensors of B pictures → (B, dim) features.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        placement: Placement,
        run: Callable[[dict[str, Tensor]], Tensor],
    ) -> None:
        self.name, self.dim, self.source = encoder.name, encoder.dim, encoder.source
        self.preprocessing, self.batch_size = encoder.preprocessing, encoder.batch_size
        self.placement = placement
        self._weights_sha256 = encoder.weights_sha256
        self._fingerprint = placement.marked(encoder.fingerprint)
        self._run = run

    @property
    def weights_sha256(self) -> str:
        """Of the weights before they were exported."""
        return self._weights_sha256

    @property
    def fingerprint(self) -> str:
        """In float32 that of the encoder that was exported; in int8 another."""
        return self._fingerprint

    def forward(self, batch: Any) -> Tensor:
        return self._run(named(batch))

    def to(self, placement: Placement) -> Self:
        refuse_move(self.name, self.placement, placement)
        return self


def refuse_move(name: str, own: Placement, placement: Placement) -> None:
    """Raises CMRError where an exported encoder shall go to an accelerator."""
    if placement not in (own, Placement()):
        raise CMRError(
            f"{name} is run by {own.backend}, on the CPU: load it with the backend torch to move "
            "it to a device or to another precision"
        )

"""Concatenation of the rows of several image encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.base import ImageEncoder, fingerprint_of
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from cmr_hub.types import FloatArray


class ConcatImageEncoder(ImageEncoder):
    """Rows of several encoders next to each other, which may complement each other.

    The rows of each further encoder are scaled to the length of those of the first one, so that all
    have the same influence and settings found for the first encoder still fit.

    Args:
        parts: Encoders, whose names are joined by `+`.
    """

    def __init__(self, parts: Sequence[ImageEncoder]) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in parts)
        self.dim = sum(part.dim for part in parts)

    @property
    def weights_sha256(self) -> str:
        return fingerprint_of(self.name, "".join(part.weights_sha256 for part in self.parts), {})

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.name, "".join(part.fingerprint for part in self.parts), {})

    def forward(self, batch: Any) -> Tensor:
        raise CMRError(f"{self.name} has no network of its own: encode with its parts")

    def encode(self, images: Any, **options: Any) -> FloatArray:
        """Encode with all parts; see `ImageEncoder.encode`."""
        return self.joined([part.encode(images, **options) for part in self.parts])

    def joined(self, rows: Sequence[FloatArray]) -> FloatArray:
        """Concatenate the (N, d) rows of all parts, which are scaled as described above."""
        lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in rows]
        scaled = [
            part * (lengths[0] / np.where(length > 0, length, 1))
            for part, length in zip(rows, lengths, strict=True)
        ]
        return np.hstack([rows[0], *scaled[1:]]).astype(np.float32)


def parts_of(name: str) -> list[str]:
    """Return the names of the encoders in `a+b`; a pretrained encoder is always one."""
    return [name] if name.startswith(PREFIX) else name.split("+")


def image_encoders(name: str, weights: Mapping[str, Path]) -> ImageEncoder:
    """Return the image encoder with this name, or a concatenation for `a+b`.

    Args:
        name: See `image_encoder`.
        weights: Local weights by the name of an encoder.

    Raises:
        UnknownNameError, WeightsError: See `image_encoder`.
    """
    found = [image_encoder(part, weights.get(part)) for part in parts_of(name)]
    return found[0] if len(found) == 1 else ConcatImageEncoder(found)

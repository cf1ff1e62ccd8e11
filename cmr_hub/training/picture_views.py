"""Deterministic augmented views of pictures, so that training has several features of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

_AREA = (0.6, 0.95)


@dataclass(frozen=True)
class PictureView:
    """A view of every picture, always the same for the same picture.

    Args:
        number: 1 is the mirrored picture. From 2 on, a random crop of 60 to 95 % of the area with
            the picture's aspect ratio, mirrored with probability 1/2. Smaller crops would miss
            too much of what the captions describe.
    """

    number: int

    @property
    def name(self) -> str:
        """The key of the view in the feature cache."""
        return f"view {self.number}, {_AREA[0]} to {_AREA[1]}"

    def __call__(self, picture: Image.Image, key: bytes) -> Image.Image:
        """Return the view of a picture; `key` is a hash of its content."""
        if self.number == 1:
            return ImageOps.mirror(picture)
        generator = np.random.default_rng((self.number, int.from_bytes(key)))
        side = generator.uniform(*_AREA) ** 0.5
        width, height = max(1, side * picture.width), max(1, side * picture.height)
        left, top = generator.uniform(size=2) * (picture.width - width, picture.height - height)
        view = picture.crop((int(left), int(top), int(left + width), int(top + height)))
        return ImageOps.mirror(view) if generator.uniform() < 0.5 else view

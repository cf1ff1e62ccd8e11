"""Other looks at a picture, so that training sees more than one feature row of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

_AREA = (0.6, 0.95)


@dataclass(frozen=True)
class PictureView:
    """One view of every picture, the same whenever it is asked for.

    Args:
        number: 1 is the mirrored picture. From 2 on it is a box of 60 to 95 % of the area, of the
            picture's own shape and anywhere in it, mirrored every other time: captions tell of the
            whole picture, of which a smaller box shows too little.
    """

    number: int

    @property
    def name(self) -> str:
        """Tells its rows from those of other views in a cache."""
        return f"view {self.number}, {_AREA[0]} to {_AREA[1]}"

    def __call__(self, picture: Image.Image, key: bytes) -> Image.Image:
        """What is seen of a picture; `key` is of its content."""
        if self.number == 1:
            return ImageOps.mirror(picture)
        generator = np.random.default_rng((self.number, int.from_bytes(key)))
        side = generator.uniform(*_AREA) ** 0.5
        width, height = max(1, side * picture.width), max(1, side * picture.height)
        left, top = generator.uniform(size=2) * (picture.width - width, picture.height - height)
        box = (int(left), int(top), int(left + width), int(top + height))
        cut = picture.crop(box)
        return ImageOps.mirror(cut) if generator.uniform() < 0.5 else cut

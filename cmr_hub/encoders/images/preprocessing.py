"""What a network is shown of a picture. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, as shares of its width and height."""

PIXELS = "pixels"
"""What the one array is called that most networks take."""

_AREA = (0.35, 1.0)
_ASPECT = 4 / 3


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resize the shorter side, cut out the centre, normalise.

    Args:
        resize: length of the shorter side after resizing, in pixels.
        crop: side of the centre square cut out of that, in pixels.
        mean, std: per channel, on values in [0, 1].
    """

    resampling: ClassVar[Image.Resampling] = Image.Resampling.BILINEAR

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @property
    def enough(self) -> int:
        """The shorter side, in pixels, from which more detail is averaged away by resizing.

        Twice what it is resized to, so that resizing still averages over two pixels and more.
        """
        return 2 * self.resize

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what `pixels` gives."""
        return self.crop, self.crop, 3

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of what `pixels` gives."""
        return np.uint8

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """RGB picture → the (height, width, 3) pixels that parts are covered on, and where in the
        picture they lie."""
        left, top, right, bottom = self.box(*image.size)
        width, height = image.size
        return self.pixels(image), (left / width, top / height, right / width, bottom / height)

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """(3,) colour that tells the network nothing: the mean of its training pictures."""
        return np.round(np.array(self.mean) * 255).astype(np.uint8)

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(B, height, width, 3) pixels of `canvas` → (B, *shape) as `pixels` gives them."""
        return canvases

    def __call__(self, image: Image.Image) -> Tensor:
        """RGB picture → (3, crop, crop) float32.

        Resizing and cropping are one step, straight from the centre of the original: a picture of
        20,000 × 10 pixels never grows to 514,000 × 257 on the way.
        """
        return self.normalised(self.pixels(image)[None])[0]

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """RGB picture → (crop, crop, 3), before it is normalised."""
        return self._resized(image, self.box(*image.size))

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """What the network is shown of a picture of this size: left, top, right, bottom."""
        side = min(width, height) * self.crop / self.resize
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def normalised(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """(B, crop, crop, 3) → (B, 3, crop, crop) float32."""
        import torch

        return torch.from_numpy(self.arrays(pixels)[PIXELS])

    def arrays(self, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """(B, crop, crop, 3) → `pixels`, (B, 3, crop, crop) float32."""
        # Whole lines of pixels at once: three colours at a time are half as fast.
        count, height, width, colours = pixels.shape
        mean, std = (
            np.tile(np.array(values, dtype=np.float32), width) for values in (self.mean, self.std)
        )
        lines = pixels.reshape(count, height, width * colours).astype(np.float32)
        np.divide(lines, 255, out=lines)
        np.subtract(lines, mean, out=lines)
        np.divide(lines, std, out=lines)
        return {PIXELS: lines.reshape(pixels.shape).transpose(0, 3, 1, 2)}

    def augmented(self, image: Image.Image, generator: np.random.Generator) -> Tensor:
        """A random view, as networks are trained with: RGB picture → (3, crop, crop) float32.

        A box of 35 to 100 % of the picture's area and an aspect ratio of 3:4 to 4:3, anywhere in
        the picture; mirrored every other time (Szegedy et al. 2015, arXiv 1409.4842, whose least
        area is 8 %: a small box no longer shows what the sentences tell of).
        """
        area = image.width * image.height * generator.uniform(*_AREA)
        aspect = np.exp(generator.uniform(-1, 1) * np.log(_ASPECT))
        size = min(image.width, (area * aspect) ** 0.5), min(image.height, (area / aspect) ** 0.5)
        pixels = self._cut_out(image, size, tuple(generator.uniform(size=2)))
        view = self.normalised(pixels[None])[0]
        return view.flip(2) if generator.uniform() < 0.5 else view

    def _cut_out(
        self, image: Image.Image, size: tuple[float, float], place: tuple[float, ...]
    ) -> npt.NDArray[np.uint8]:
        """A box of this width and height; `place` 0 is at the left or top edge, 1 at the other."""
        left, top = (image.width - size[0]) * place[0], (image.height - size[1]) * place[1]
        return self._resized(image, (left, top, left + size[0], top + size[1]))

    def _resized(
        self, image: Image.Image, box: tuple[float, float, float, float]
    ) -> npt.NDArray[np.uint8]:
        square = image.resize((self.crop, self.crop), self.resampling, box=box)
        return np.array(square)


@dataclass(frozen=True, slots=True)
class Squashing(Preprocessing):
    """The whole picture, squashed to a square: nothing at its sides is lost.

    Args:
        crop_mode: always "squash".
    """

    crop_mode: Literal["squash"] = "squash"

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """What the network is shown of a picture of this size: all of it."""
        return 0.0, 0.0, width, height

"""Preprocessing of pictures for a network. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, as fractions of its width and height."""

PIXELS = "pixels"
"""Input name of networks with a single array, as most have."""

_AREA = (0.35, 1.0)
_ASPECT = 4 / 3


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, normalise.

    Args:
        resize: Length of the shorter side after resizing, in pixels.
        crop: Side of the square that is then cropped from the centre, in pixels.
        mean, std: Mean and standard deviation per channel, for values in [0, 1].
    """

    resampling: ClassVar[Image.Resampling] = Image.Resampling.BILINEAR

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @property
    def enough(self) -> int:
        """Shorter side, in pixels, above which a larger picture adds no detail.

        It is twice the resized length, so that resizing averages over at least two pixels.
        """
        return 2 * self.resize

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result of `pixels`."""
        return self.crop, self.crop, 3

    @property
    def dtype(self) -> npt.DTypeLike:
        """Data type of the result of `pixels`."""
        return np.uint8

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """Return the (height, width, 3) pixels to occlude for explanations, and their box."""
        left, top, right, bottom = self.box(*image.size)
        width, height = image.size
        return self.pixels(image), (left / width, top / height, right / width, bottom / height)

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """Neutral colour of shape (3,): the mean of the network's training pictures."""
        return np.round(np.array(self.mean) * 255).astype(np.uint8)

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Convert canvases of shape (B, height, width, 3) to results of `pixels`, (B, *shape)."""
        return canvases

    def __call__(self, image: Image.Image) -> Tensor:
        """Convert an RGB picture to (3, crop, crop) float32.

        Only the cropped part of the original is resized, so that a picture of 20,000 × 10 pixels
        is never enlarged to 514,000 × 257.
        """
        return self.normalised(self.pixels(image)[None])[0]

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the resized and cropped picture as a uint8 array of shape (crop, crop, 3)."""
        return self._resized(image, self.box(*image.size))

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return the part of a picture that the network uses: left, top, right, bottom."""
        side = min(width, height) * self.crop / self.resize
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def normalised(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """Normalise arrays of `pixels`; return a float32 tensor of shape (B, 3, crop, crop)."""
        import torch

        return torch.from_numpy(self.arrays(pixels)[PIXELS])

    def arrays(self, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Return the result of `normalised` as a NumPy array under its input name, `pixels`."""
        # Processing complete rows of pixels is twice as fast as three colours at a time.
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
        """Convert a random crop of an RGB picture to (3, crop, crop) float32, for training.

        The crop has 35 to 100 % of the area of the picture, an aspect ratio of 3:4 to 4:3 and a
        random position; half of the crops are mirrored. Source: Szegedy et al. 2015, arXiv
        1409.4842, whose minimum area of 8 % often no longer shows what captions describe.
        """
        area = image.width * image.height * generator.uniform(*_AREA)
        aspect = np.exp(generator.uniform(-1, 1) * np.log(_ASPECT))
        width = min(image.width, (area * aspect) ** 0.5)
        height = min(image.height, (area / aspect) ** 0.5)
        x, y = generator.uniform(size=2)
        left, top = (image.width - width) * x, (image.height - height) * y
        pixels = self._resized(image, (left, top, left + width, top + height))
        view = self.normalised(pixels[None])[0]
        return view.flip(2) if generator.uniform() < 0.5 else view

    def _resized(
        self, image: Image.Image, box: tuple[float, float, float, float]
    ) -> npt.NDArray[np.uint8]:
        square = image.resize((self.crop, self.crop), self.resampling, box=box)
        return np.array(square)


@dataclass(frozen=True, slots=True)
class Squashing(Preprocessing):
    """Squash the complete picture to a square, so that its sides are not cut off.

    Args:
        crop_mode: Always "squash".
    """

    crop_mode: Literal["squash"] = "squash"

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return the box of the complete picture."""
        return 0.0, 0.0, width, height

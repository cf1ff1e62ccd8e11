"""What the image processor of a library makes of a picture. See `Preprocessing` for our own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from cmr_hub.encoders.images.preprocessing import Box

# A JPEG is decoded at a smaller scale only where it is at least twice as large as this many times
# the input: what is left is then averaged over four pixels and more, as by the processor itself.
_ENOUGH = 4
_CANVAS = 384


class ProcessorPreprocessing:
    """What the library's own processor makes of a picture, as one row of numbers.

    Every processor gives named tensors of fixed shapes (one of (3, H, W) for most, patches with a
    mask for NaFlex); a row holds them all, so that they can be handed over in shared memory.

    Args:
        transform: an RGB picture → named tensors; can be pickled.
    """

    def __init__(self, transform: Callable[[Image.Image], dict[str, Tensor]]) -> None:
        self.transform = transform
        probe = transform(Image.new("RGB", (64, 64), "gray"))
        self.layout = [(name, tuple(one.shape), one.dtype) for name, one in sorted(probe.items())]
        self.shape = (sum(math.prod(shape) for _, shape, _ in self.layout),)
        self.dtype: npt.DTypeLike = np.float32
        pixels = max(self.layout, key=lambda part: math.prod(part[1]))[1]
        # Of (3, H, W) the larger side; patches are those of a square picture.
        side = max(pixels) if len(pixels) == 3 else math.isqrt(math.prod(pixels) // 3)
        self.enough = _ENOUGH * side

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """(3,) colour that tells a network little."""
        return np.full(3, 127, np.uint8)

    def pixels(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """RGB picture → (n,) float32."""
        given = self.transform(image)
        parts = [given[name].reshape(-1).float().numpy() for name, _, _ in self.layout]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def normalised(self, pixels: npt.NDArray[Any]) -> dict[str, Tensor]:
        """(B, n) rows → the named tensors of the whole batch."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
        found, start = {}, 0
        for name, shape, dtype in self.layout:
            size = math.prod(shape)
            part = rows[:, start : start + size].reshape(len(rows), *shape)
            found[name] = part.contiguous().to(dtype)
            start += size
        return found

    def arrays(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """(B, n) rows → the same, as arrays."""
        return {name: one.numpy() for name, one in self.normalised(pixels).items()}

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """The whole picture, made smaller where it is larger than networks look at."""
        shown = image.copy()
        shown.thumbnail((_CANVAS, _CANVAS), Image.Resampling.BICUBIC)
        return np.array(shown), (0.0, 0.0, 1.0, 1.0)

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(B, height, width, 3) → (B, n)."""
        return np.stack([self.pixels(Image.fromarray(canvas)) for canvas in canvases])

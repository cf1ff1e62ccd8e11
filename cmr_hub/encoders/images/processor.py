"""Preprocessing by the image processor of a library; see also `Preprocessing`."""

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

# JPEGs are decoded at a smaller scale only if they are at least twice as large as this multiple of
# the input, so that the resizing of the processor averages over four pixels or more.
_ENOUGH = 4
_CANVAS = 384


class ProcessorPreprocessing:
    """Preprocess pictures with the processor of a library, as one row of numbers per picture.

    Processors return named tensors of fixed shapes (usually one of (3, H, W); patches with a mask
    for NaFlex). A row concatenates them, so that they can be passed in shared memory.

    Args:
        transform: Picklable function that converts an RGB picture to named tensors.
    """

    def __init__(self, transform: Callable[[Image.Image], dict[str, Tensor]]) -> None:
        self.transform = transform
        probe = transform(Image.new("RGB", (64, 64), "gray"))
        self.layout = [
            (name, tuple(part.shape), part.dtype) for name, part in sorted(probe.items())
        ]
        self.shape = (sum(math.prod(shape) for _, shape, _ in self.layout),)
        self.dtype: npt.DTypeLike = np.float32
        pixels = max(self.layout, key=lambda part: math.prod(part[1]))[1]
        # The larger side of (3, H, W), or the side of a square picture of these patches.
        side = max(pixels) if len(pixels) == 3 else math.isqrt(math.prod(pixels) // 3)
        self.enough = _ENOUGH * side

    @property
    def blank(self) -> npt.NDArray[np.uint8]:
        """(3,) colour that has little information for a network."""
        return np.full(3, 127, np.uint8)

    def pixels(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """Convert an RGB picture to (n,) float32."""
        tensors = self.transform(image)
        parts = [tensors[name].reshape(-1).float().numpy() for name, _, _ in self.layout]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def normalised(self, pixels: npt.NDArray[Any]) -> dict[str, Tensor]:
        """Convert (B, n) rows to the named tensors of the batch."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
        tensors, start = {}, 0
        for name, shape, dtype in self.layout:
            size = math.prod(shape)
            part = rows[:, start : start + size].reshape(len(rows), *shape)
            tensors[name] = part.contiguous().to(dtype)
            start += size
        return tensors

    def arrays(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Convert (B, n) rows to named arrays."""
        return {name: tensor.numpy() for name, tensor in self.normalised(pixels).items()}

    def canvas(self, image: Image.Image) -> tuple[npt.NDArray[np.uint8], Box]:
        """Return the complete picture, downscaled if it is larger than the input of networks."""
        canvas = image.copy()
        canvas.thumbnail((_CANVAS, _CANVAS), Image.Resampling.BICUBIC)
        return np.array(canvas), (0.0, 0.0, 1.0, 1.0)

    def from_canvas(self, canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Convert (B, height, width, 3) to (B, n)."""
        return np.stack([self.pixels(Image.fromarray(canvas)) for canvas in canvases])

"""Pictures to calibrate activation ranges, and pictures and texts to check exports with.

The pictures are crops of the two photographs in scikit-learn, of a temple and of a flower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

_LEAST = 96
"""Minimum shorter side of a crop, in pixels."""

TEXTS: Final = (
    ("two dogs", "a man in a red jacket climbs a wall of rock"),
    ("a child plays",),
    (
        "Three women sit on a bench in the sun and read.",
        "night",
        "a train at a small station, seen from above, with snow on its roof",
    ),
)
"""Batches of texts: the first to export a network with, the others to check the export."""


def photographs(count: int, seed: int) -> list[Image.Image]:
    """Return random crops of the two photographs, some mirrored or with another brightness."""
    from sklearn.datasets import load_sample_images

    photographs: Sequence[np.ndarray] = load_sample_images().images
    generator = np.random.default_rng(seed)
    crops = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        height, width = photograph.shape[:2]
        side = int(generator.integers(_LEAST, min(height, width) + 1))
        top = int(generator.integers(height - side + 1))
        left = int(generator.integers(width - side + 1))
        brightness = generator.uniform(0.5, 1.5)
        crop = (photograph[top : top + side, left : left + side] * brightness).clip(0, 255)
        step = -1 if generator.uniform() < 0.5 else 1
        crops.append(Image.fromarray(np.ascontiguousarray(crop[:, ::step]).astype(np.uint8)))
    return crops

"""Pictures to calibrate activation ranges, and pictures and texts to check networks on.

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
"""Batches of texts: the first to export a network with, the others to check it on."""


def photographs(count: int, seed: int) -> list[Image.Image]:
    """Return random crops of the two photographs, some mirrored or with another brightness."""
    from sklearn.datasets import load_sample_images

    whole: Sequence[np.ndarray] = load_sample_images().images
    generator = np.random.default_rng(seed)
    parts = []
    for number in range(count):
        photograph = whole[number % len(whole)]
        height, width = photograph.shape[:2]
        side = int(generator.integers(_LEAST, min(height, width) + 1))
        top = int(generator.integers(height - side + 1))
        left = int(generator.integers(width - side + 1))
        light = generator.uniform(0.5, 1.5)
        part = (photograph[top : top + side, left : left + side] * light).clip(0, 255)
        step = -1 if generator.uniform() < 0.5 else 1
        parts.append(Image.fromarray(np.ascontiguousarray(part[:, ::step]).astype(np.uint8)))
    return parts

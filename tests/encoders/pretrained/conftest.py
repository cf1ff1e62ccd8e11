"""Tiny pretrained models, each made once in a run, and pictures of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PALETTE = 7


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a tiny model, by the name of its family. Not to be changed."""
    from tiny_models import FAMILIES
    from tiny_open_clip import OPEN_CLIP

    builders = {**FAMILIES, **OPEN_CLIP}
    root = tmp_path_factory.mktemp("families")

    def made(name: str) -> Path:
        directory = root / name
        if not directory.exists():
            builders[name](directory)
        return directory

    return made


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures of every mode, by name; larger and smaller than the input of 32 × 32."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)

    def noise(width: int, height: int) -> Image.Image:
        """Fine noise on broad patches of colour: how it is made smaller can be seen."""
        coarse = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        broad = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        fine = generator.normal(0, 40, (height, width, 3))
        return Image.fromarray((np.asarray(broad) + fine).clip(0, 255).astype(np.uint8))

    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    made = {
        "grey.png": (noise(50, 70).convert("L"), {}),
        "palette.png": (noise(70, 50).quantize(PALETTE), {}),
        "cmyk.jpg": (noise(61, 47).convert("CMYK"), {}),
        "rgba.png": (noise(40, 40).convert("RGBA"), {}),
        "rotated.jpg": (noise(60, 90), {"exif": exif}),
        "wide.png": (noise(400, 21), {}),
        "tall.png": (noise(20, 90), {}),
        "large.jpg": (noise(300, 200), {"quality": 95}),
        "small.png": (noise(9, 13), {}),
    }
    made["rgba.png"][0].putalpha(Image.fromarray(generator.integers(0, 256, (40, 40), np.uint8)))
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    return {name: folder / name for name in made}

"""Safe reading of pictures from outside: every kind becomes RGB or a clear ImageError."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from cmr_hub.datasets.files import read_bytes
from cmr_hub.errors import ImageError
from cmr_hub.types import ImageSource

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 64 * 2**20
# Just under the size at which Pillow itself begins to warn; 268 MB as RGB.
MAX_PIXELS = 89_000_000


def read_image(source: ImageSource) -> Image.Image:
    """The picture as RGB, upright as its EXIF orientation says; always a new image.

    Transparent pixels are laid over white, 16-bit grey is scaled to 8 bits, and of an animation
    the first frame counts (of an open image: the current frame).

    Raises:
        ImageError: not one of `FORMATS`, over `MAX_BYTES` or `MAX_PIXELS` (seen in the header,
            before anything is decoded), truncated, empty, missing, or with floating-point pixels.
    """
    is_open = isinstance(source, Image.Image)
    try:
        image = source if isinstance(source, Image.Image) else _open(Path(source))
        _check_size(*image.size)
        image.load()
        return _to_rgb(_upright(image))
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged input
        where = "the given picture" if is_open else f"the picture {source}"
        raise ImageError(f"cannot read {where}: {_reason(error)}") from error


def broken_images(paths: Sequence[Path]) -> dict[Path, str]:
    """The paths that `read_image` refuses, with the reason.

    Every picture is decoded whole, side by side on all cores: a truncated one shows no sooner.
    """

    def reason(path: Path) -> str | None:
        try:
            read_image(path)
        except ImageError as error:
            return str(error.__cause__ and _reason(error.__cause__))
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = tqdm(
            pool.map(reason, paths),
            total=len(paths),
            desc="checking pictures",
            unit="",
            disable=None,
        )
        return {path: why for path, why in zip(paths, reasons, strict=True) if why is not None}


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"
    return str(error) or type(error).__name__


def _open(path: Path) -> Image.Image:
    data = read_bytes(path, MAX_BYTES)
    if not data:
        raise ImageError("the file is empty")
    return Image.open(BytesIO(data), formats=FORMATS)


def _check_size(width: int, height: int) -> None:
    if not width * height:
        raise ImageError("it has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(f"it has {width} × {height} pixels; the limit is {MAX_PIXELS:,} in all")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # an unreadable orientation is no reason to lose a whole picture
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers, which have no fixed white")
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 and leaves a white page.
        values = np.asarray(image).astype(np.int32).clip(0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")

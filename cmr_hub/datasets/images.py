"""Safe reading of external pictures: the result is RGB or a clear ImageError."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cmr_hub.datasets.tars import DAMAGED, open_tar
from cmr_hub.errors import ImageError, shown
from cmr_hub.outside import read_bytes
from cmr_hub.types import ImageSource

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 64 * 2**20
# Just under the size at which Pillow itself starts to warn; 268 MB as RGB.
MAX_PIXELS = 89_000_000
_STRIP_PIXELS = 2_000_000
_LONGEST_PATH = 1_000  # characters in a message


def read_image(
    source: ImageSource, *, max_pixels: int | None = None, enough: int | None = None
) -> Image.Image:
    """Read a picture as RGB, upright according to its EXIF orientation; always a new image.

    Transparent pixels are blended with white, 16-bit grey is scaled to 8 bits, and of an animation
    the first frame is used (of an open image: the current frame).

    Args:
        source: A path, an open image, the bytes of a file, or a uint8 array (H, W, 3) or (H, W).
        max_pixels: Maximum of width × height. Default: `MAX_PIXELS`.
        enough: Shorter side, in pixels, that the caller needs. A JPEG file that is at least twice
            as large is decoded to 1/2, 1/4 or 1/8 of its size, not below this, which takes a
            fraction of the time and memory for a photograph of 12 megapixels.

    Raises:
        ImageError: The source has another type, or a format that is not in `FORMATS`; it is over
            `MAX_BYTES` or `max_pixels` (checked in the header, before decoding); or it is
            truncated, empty, missing or has floating-point pixels.
    """
    try:
        return _rgb(_opened(source), max_pixels, enough, keep=isinstance(source, Image.Image))
    except Exception as error:  # Pillow's decoders raise nearly every exception on damaged input
        where = "the given picture"
        if isinstance(source, str | Path):
            where = f"the picture {str(source)[:_LONGEST_PATH]}"
        raise ImageError(f"cannot read {where}: {_reason(error)}") from error


def _opened(source: ImageSource) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, str | Path):
        return _open(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_bytes(bytes(source))
    if isinstance(source, np.ndarray):
        is_grey_or_rgb = source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)
        if source.dtype != np.uint8 or not is_grey_or_rgb:
            raise ImageError(
                "an array is read as pixels if it is uint8, of the shape (height, width, 3) or "
                f"(height, width), not {source.dtype} of shape {source.shape}"
            )
        return Image.fromarray(np.ascontiguousarray(source))
    raise ImageError(
        f"it is {shown(source)}; give a path, an open picture, the bytes of a file, or a uint8 "
        "array (height, width, 3)"
    )


def decode_image(
    data: bytes, *, max_pixels: int | None = None, enough: int | None = None
) -> Image.Image:
    """Decode the picture in these bytes, like `read_image`.

    Raises:
        ImageError: As `read_image`; the message is the reason only.
    """
    try:
        return _rgb(_open_bytes(data), max_pixels, enough)
    except Exception as error:
        raise ImageError(_reason(error)) from error


def broken_images(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the paths that `read_image` refuses, with the reasons.

    Every picture is decoded completely, in parallel on all cores: truncation shows only then.
    """

    def reason(path: Path) -> str | None:
        try:
            read_image(path)
        except ImageError as error:
            return str(error.__cause__ and _reason(error.__cause__))
        return None

    from tqdm import tqdm  # a seventh of the start-up time of a process that decodes pictures

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
    if isinstance(error, Image.DecompressionBombError):
        return "it says that it has far too many pixels"
    return str(error) or type(error).__name__


def _open(path: Path) -> Image.Image:
    return _open_bytes(read_file(path))


def read_file(path: Path) -> bytes:
    """Read the bytes of a picture, or of a member of an uncompressed tar: `…/x.tar/name.jpg`.

    Raises:
        OSError: The message is the reason, without the path.
    """
    shard = next((parent for parent in path.parents if parent.suffix == ".tar"), None)
    if shard is None or not shard.is_file():
        return read_bytes(path, MAX_BYTES)
    try:
        with open_tar(shard) as tar:
            member = tar.getmember(path.relative_to(shard).as_posix())
            if member.size > MAX_BYTES:
                raise OSError(f"it has {member.size:,} bytes; the limit is {MAX_BYTES:,}")
            file = tar.extractfile(member)
            return b"" if file is None else file.read()
    except KeyError as error:
        raise OSError(f"the tar file has no such member: {error}") from error
    except DAMAGED as error:
        raise OSError(str(error)) from error


def _open_bytes(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("the file is empty")
    return Image.open(BytesIO(data), formats=FORMATS)


def _rgb(
    image: Image.Image, max_pixels: int | None, enough: int | None, *, keep: bool = False
) -> Image.Image:
    """Convert a picture to RGB, in place unless `keep`: copying takes a third of the time."""
    _check_size(*image.size, MAX_PIXELS if max_pixels is None else max_pixels)
    if enough is not None and not keep:
        image.draft(None, (enough, enough))
    image.load()
    return _to_rgb(_upright(image.copy() if keep else image))


def _check_size(width: int, height: int, most: int) -> None:
    if not width * height:
        raise ImageError("it has no pixels")
    if width * height > most:
        raise ImageError(f"it has {width} × {height} pixels; the limit is {most:,} in all")


def _upright(image: Image.Image) -> Image.Image:
    # A picture with an unreadable orientation is still usable.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert a picture in strips: converting it at once would need several copies of it."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        return convert(image)
    whole = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        whole.paste(convert(strip), (0, top))
    return whole


def _scaled(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int32).clip(0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers, which have no fixed white")
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 and returns a white page.
        return _in_strips(image, _scaled)
    if image.has_transparency_data:
        return _in_strips(image, _over_white)
    return image if image.mode == "RGB" else image.convert("RGB")

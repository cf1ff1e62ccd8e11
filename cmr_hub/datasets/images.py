"""Read untrusted pictures safely, as RGB or with a clear ImageError."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from cmr_hub.datasets.camera import camera_facts
from cmr_hub.datasets.tars import DAMAGED, open_tar
from cmr_hub.datasets.videos import START_BYTES, file_of, frame_of, read_frame, video_format
from cmr_hub.errors import ImageError, shown
from cmr_hub.outside import read_bytes
from cmr_hub.types import ImageSource

_FORMATS: Final = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"),
    *("QOI", "PCX", "SGI", "SUN", "DDS", "DIB", "PPM", "TGA"),
)
"""Pillow's names of the supported formats, in addition to HEIF and camera RAW.

All of them are decoded in this process and have their size in the header. Not supported: EPS, which
runs an external program; icons, which are decoded before their size can be checked; and PSD and
PDF, which are documents.
"""
_WEAK: Final = ("DIB", "PPM", "TGA")
"""Formats whose first bytes are not distinctive."""
_ANOTHER_FORMAT: Final = (SyntaxError, IndexError, TypeError, struct.error)
"""Exceptions that Pillow's readers raise for another format; `Image.open` ignores the same ones."""
_HEIF: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
"""First bytes of camera RAW files other than TIFF and CR3."""
_CR3: Final = b"ftypcrx "
_DNG_VERSION, _SUB_IFDS, _MAKE = 50706, 330, 271  # TIFF tags
_NEEDS_RAWPY: Final = 'a camera RAW needs an extra: pip install "cmr-hub[photos]"'

MAX_BYTES = 64 * 2**20
# Just below the size at which Pillow itself warns; 268 MB as RGB.
MAX_PIXELS = 89_000_000
_SMALLEST_SCALE = 8  # a JPEG can be decoded at 1/8 of its size
_STRIP_PIXELS = 2_000_000
_FRAME_QUALITY = 92
_LONGEST_PATH = 1_000  # characters in a message


def read_image(
    source: ImageSource, *, max_pixels: int | None = None, enough: int | None = None
) -> Image.Image:
    """Read a picture as RGB, upright according to its EXIF orientation; always a new image.

    The format is detected by content. Transparent pixels are blended with white. Greyscale pictures
    with more than 8 bits are rescaled so that their range becomes black to white. Used are the
    first frame of an animation, the current frame of an open image, and the embedded preview of a
    camera RAW.

    Args:
        source: A path, an open image, the bytes of a file, or a uint8 array (H, W, 3) or (H, W).
            A path can also refer to a video frame, for example `movie.mp4#t=12.5`.
        max_pixels: Maximum of width × height as decoded. A larger JPEG is decoded to 1/2, 1/4 or
            1/8 of its size if that suffices. Default: `MAX_PIXELS`.
        enough: Shorter side, in pixels, that the caller needs. A JPEG file that is at least twice
            as large is decoded to 1/2, 1/4 or 1/8 of its size, but never below this. For large
            photographs, this saves most of the time and memory.

    Raises:
        ImageError: The source has another type or an unsupported format; it exceeds `MAX_BYTES` or
            `max_pixels` (checked in the header, before decoding); or it is truncated, empty or
            missing.
    """
    try:
        return _rgb(
            _opened(source, enough), max_pixels, enough, keep=isinstance(source, Image.Image)
        )
    except Exception as error:  # Pillow's decoders raise nearly every exception on damaged input
        where = "the given picture"
        if isinstance(source, str | Path):
            where = f"the picture {str(source)[:_LONGEST_PATH]}"
        raise ImageError(f"cannot read {where}: {_reason(error)}") from error


def _opened(source: ImageSource, enough: int | None) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, str | Path):
        frame = frame_of(source)
        return (
            _open_bytes(read_file(Path(source))) if frame is None else read_frame(*frame, enough)[0]
        )
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_bytes(bytes(source))
    if isinstance(source, np.ndarray):
        is_grey_or_rgb = source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)
        if source.dtype != np.uint8 or not is_grey_or_rgb:
            raise ImageError(
                "an array of pixels must be uint8 of shape (height, width, 3) or (height, width), "
                f"not {source.dtype} of shape {source.shape}"
            )
        return Image.fromarray(np.ascontiguousarray(source))
    raise ImageError(
        f"it is {shown(source)}; pass a path, an open picture, the bytes of a file, or a uint8 "
        "array (height, width, 3)"
    )


def decode_image(
    data: bytes, *, max_pixels: int | None = None, enough: int | None = None
) -> Image.Image:
    """Decode a picture from bytes, like `read_image`.

    Raises:
        ImageError: See `read_image`. The message contains only the reason, not the source.
    """
    try:
        return _rgb(_open_bytes(data), max_pixels, enough)
    except Exception as error:
        raise ImageError(_reason(error)) from error


def decode_with_facts(
    data: bytes, *, enough: int | None = None
) -> tuple[Image.Image, dict[str, Any]]:
    """Decode a picture like `decode_image`, and also return its `camera_facts`."""
    try:
        image = _open_bytes(data)
        size = image.size
        image = _loaded(image, None, enough)
        facts = camera_facts(image, size)
        return _to_rgb(_upright(image)), facts
    except Exception as error:
        raise ImageError(_reason(error)) from error


def decoded_pixels(data: bytes, enough: int | None = None) -> int:
    """Return the number of pixels that will be decoded, according to the header.

    Raises a Pillow exception or an ImageError if the header cannot be read.
    """
    image = _open_bytes(data)
    _shrink(image, MAX_PIXELS, enough)
    return image.width * image.height


def looks_like_picture(start: bytes) -> bool:
    """Return whether a file that begins with these 32 or more bytes is a picture."""
    if start.startswith(_RAW) or start[4:12] == _CR3 or _is_heif(start):
        return True
    return any(_accepts(name, start[:16]) for name in _FORMATS if name not in _WEAK)


def broken_images(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the paths that `read_image` rejects, with the reasons.

    Every picture is decoded completely, in parallel on all cores, to detect truncated files.
    """

    def reason(path: Path) -> str | None:
        try:
            read_image(path)
        except ImageError as error:
            return str(error.__cause__ and _reason(error.__cause__))
        return None

    from tqdm import tqdm  # takes a seventh of the start-up time of a decoding process

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
    return " ".join(str(error).split()) or type(error).__name__


def picture_exists(path: Path) -> bool:
    """Return whether the file of a picture, or the video or tar file that contains it, exists."""
    return file_of(path).exists() or _shard_of(path) is not None


def _shard_of(path: Path) -> Path | None:
    shard = next((parent for parent in path.parents if parent.suffix == ".tar"), None)
    return shard if shard is not None and shard.is_file() else None


def read_file(path: Path) -> bytes:
    """Read the bytes of a picture, or of a member of an uncompressed tar: `…/x.tar/name.jpg`.

    A frame of a video is returned as a JPEG.

    Raises:
        OSError, ImageError: The message is the reason, without the path.
    """
    if (frame := frame_of(path)) is not None:
        file = BytesIO()
        read_frame(*frame)[0].save(file, "JPEG", quality=_FRAME_QUALITY)
        return file.getvalue()
    shard = _shard_of(path)
    if shard is None:
        return read_bytes(path, MAX_BYTES)
    try:
        with open_tar(shard) as tar:
            member = tar.getmember(path.relative_to(shard).as_posix())
            if member.size > MAX_BYTES:
                raise OSError(f"it has {member.size:,} bytes; the limit is {MAX_BYTES:,}")
            content = tar.extractfile(member)
            return b"" if content is None else content.read()
    except KeyError as error:
        raise OSError(f"the tar file has no such member: {error}") from error
    except DAMAGED as error:
        raise OSError(str(error)) from error


def _open_bytes(data: bytes) -> Image.Image:
    """Open a picture without decoding it.

    `Image.open` would refuse a large picture, or warn of it, before a JPEG can be shrunk.
    """
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(_RAW) or data[4:12] == _CR3:
        return _raw_preview(data)
    image = _open_plain(data)
    is_raw = image is None and data.startswith(_TIFF)
    if image is not None and image.format == "TIFF":
        tags = getattr(image, "tag_v2", ())
        is_raw = _DNG_VERSION in tags or (_SUB_IFDS in tags and _MAKE in tags)
    if is_raw:
        # Pillow would read a thumbnail, if anything.
        return _raw_preview(data)
    if image is None:
        start = data[:START_BYTES]
        if video_format(start) is not None and not looks_like_picture(start):
            raise ImageError("it is a video: name one of its frames, such as movie.mp4#t=12.5")
        raise ImageError(
            "it is not a JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC, camera RAW or other picture "
            "that can be read"
        )
    return image


def _open_plain(data: bytes) -> Image.Image | None:
    """Open a picture of any supported format except RAW; None for other content."""
    Image.preinit()
    for name in _FORMATS:
        if _accepts(name, data[:16]):
            with suppress(*_ANOTHER_FORMAT):
                return Image.OPEN[name][0](BytesIO(data), "")
    if _is_heif(data):
        from pi_heif import HeifImageFile

        with suppress(SyntaxError):
            heif: Image.Image = HeifImageFile(BytesIO(data))
            return heif
    return None


def _accepts(name: str, start: bytes) -> bool:
    if name not in Image.OPEN:
        Image.init()
    if name not in Image.OPEN:  # Pillow was built without it
        return False
    accept = Image.OPEN[name][1]
    with suppress(*_ANOTHER_FORMAT):
        return accept is None or accept(start) is True
    return False


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF


def _raw_preview(data: bytes) -> Image.Image:
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(_NEEDS_RAWPY) from error
    try:
        with rawpy.imread(BytesIO(data)) as raw:
            preview = raw.extract_thumb()
    except rawpy.LibRawError as error:
        raise ImageError("it is a camera RAW without a readable preview") from error
    if not isinstance(preview.data, bytes):
        return Image.fromarray(preview.data)
    image = _open_plain(preview.data)
    if image is None:
        raise ImageError("it is a camera RAW whose preview cannot be read")
    return image


def _rgb(
    image: Image.Image, max_pixels: int | None, enough: int | None, *, keep: bool = False
) -> Image.Image:
    """Convert a picture to RGB: a copy if `keep`, else in place, which takes a third less time."""
    image = _loaded(image, max_pixels, enough, keep=keep)
    return _to_rgb(_upright(image.copy() if keep else image))


def _loaded(
    image: Image.Image, max_pixels: int | None, enough: int | None, *, keep: bool = False
) -> Image.Image:
    """Decode the pixels; unless `keep` is set, those of a JPEG at the smallest sufficient scale."""
    most = MAX_PIXELS if max_pixels is None else max_pixels
    width, height = image.size
    if not width * height:
        raise ImageError("it has no pixels")
    if not keep:
        _shrink(image, most, enough)
    if image.width * image.height > most:
        raise ImageError(f"it has {width} × {height} pixels; the limit is {most:,} in all")
    image.load()
    return image


def _shrink(image: Image.Image, most: int, enough: int | None) -> None:
    """Make a JPEG decode at 1/2, 1/4 or 1/8 if that is sufficient, or if it is too large."""
    width, height = image.size
    if not isinstance(image, JpegImageFile):
        return
    scale = 1
    while scale < _SMALLEST_SCALE and (
        (enough is not None and min(width, height) // (2 * scale) >= enough)
        or (-(-width // scale) * -(-height // scale) > most)
    ):
        scale *= 2
    if width * height > most and _has_scans(image):
        return  # decoding needs memory for all pixels at any scale
    image.draft(None, (max(1, width // scale), max(1, height // scale)))


def _has_scans(image: JpegImageFile) -> bool:
    """Return whether an opened JPEG is progressive or has a scan for each colour."""
    if "progressive" in image.info or image.fp is None:
        return True
    position = image.fp.tell()
    image.fp.seek(0)
    header: bytes = image.fp.read(position)
    image.fp.seek(position)
    scan = header.rfind(b"\xff\xda")  # then two bytes of length and the number of colours
    return scan < 0 or header[scan + 4] < len(image.getbands())


def _upright(image: Image.Image) -> Image.Image:
    # A picture with an unreadable orientation is still usable.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (top row, strip) pairs of the picture, to limit the memory of arrays."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        if strip is image:
            return convert(strip)
        result.paste(convert(strip), (0, top))
    return result


def _stretched(image: Image.Image) -> Image.Image:
    """Rescale greyscale values of more than 8 bits so that their range becomes black to white."""
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip, dtype=np.float64)
        values = values[np.isfinite(values)]
        low, high = min(low, values.min(initial=low)), max(high, values.max(initial=high))
    if low >= high:  # a single brightness, or no finite value
        low, high = min(low, 0.0), max(high, 0.0)
    factor = 255 / (high - low) if high > low else 0.0

    def convert(strip: Image.Image) -> Image.Image:
        values = np.asarray(strip, dtype=np.float64)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        return Image.fromarray(np.rint((values - low) * factor).astype(np.uint8)).convert("RGB")

    return _in_strips(image, convert)


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 and returns a white picture.
        return _stretched(image)
    if image.has_transparency_data:
        return _in_strips(image, _over_white)
    return image if image.mode == "RGB" else image.convert("RGB")

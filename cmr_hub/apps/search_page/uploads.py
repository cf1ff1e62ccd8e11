"""Check and read visitors' pictures and zip files, with a limit on concurrent decoding."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Condition
from typing import Any, Final

from PIL import Image

from cmr_hub.datasets.images import decode_image, decoded_pixels, read_file, read_image
from cmr_hub.datasets.metadata import IMAGE_ENDINGS
from cmr_hub.datasets.videos import frame_of
from cmr_hub.errors import CMRError, ImageError

MAX_PIXELS: Final = 50_000_000
REDUCED_PIXELS: Final = 12_000_000
"""Maximum number of pixels of a decoded picture in memory; larger pictures are reduced."""
MAX_ZIP_PIXELS: Final = 2_500_000_000
MAX_ZIP_BYTES: Final = 512 * 2**20
"""Maximum total unpacked size of the pictures of a zip file."""
MAX_REFUSED: Final = 25
"""Number of unreadable pictures after which the rest of a zip file is skipped."""
MAX_PICTURE_BYTES: Final = 20 * 2**20
MAX_ZIP_ENTRIES: Final = 2_000
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    ValueError,
)
_HEADER_BYTES: Final = 64 * 1024
_COUNTED_PIXELS: Final = 89_000_000
SMALL_PIXELS: Final = 4_000_000
MAX_SMALL: Final = 24_000_000
MAX_LARGE: Final = 90_000_000
"""Maximum number of pixels that are decoded concurrently, enough for one of the largest accepted
pictures. Decoding needs about 8 bytes per pixel."""
_WAITING: Final = 8
_SECONDS: Final = 20.0
BUSY: Final = "too many large pictures are being read; try again in a moment"


class BusyError(CMRError):
    """Too many pictures are being decoded."""


class _Lane:
    """A limit on the number of pixels that are decoded concurrently."""

    def __init__(self, max_pixels: int, max_waiting: int) -> None:
        self._max_pixels, self._used = max_pixels, 0
        self._max_waiting, self._waiting = max_waiting, 0
        self._changed = Condition()

    @contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        with self._changed:
            if self._used and self._used + count > self._max_pixels:
                if self._waiting >= self._max_waiting:
                    raise BusyError(BUSY)
                self._waiting += 1
                try:
                    has_room = self._changed.wait_for(
                        lambda: not self._used or self._used + count <= self._max_pixels, _SECONDS
                    )
                finally:
                    self._waiting -= 1
                if not has_room:
                    raise BusyError(BUSY)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()


_small = _Lane(MAX_SMALL, 10_000)
_large = _Lane(MAX_LARGE, _WAITING)


def decoding(pixels: int) -> AbstractContextManager[None]:
    """Return a context that waits until a picture may be decoded, and reserves its pixels.

    Small pictures have a separate limit and do not wait for large ones.

    Raises:
        BusyError: the wait took too long, or too many pictures are waiting already.
    """
    return (_small if pixels <= SMALL_PIXELS else _large).reserved(pixels)


def uploaded_path(payload: Any) -> Path | None:
    """Return the path of an unopened upload; used as `preprocess` of a component.

    Gradio has checked that the path is in its upload folder.
    """
    return None if payload is None or payload.path is None else Path(payload.path)


def uploaded_paths(payload: Any) -> list[Path]:
    """Return the paths of the uploads of a component for several files."""
    files = [] if payload is None else getattr(payload, "root", payload)
    files = files if isinstance(files, list) else [files]
    return [path for file in files if (path := uploaded_path(file)) is not None]


def read_upload(path: Path) -> Image.Image:
    """Read an uploaded picture.

    Raises:
        ImageError: the picture cannot be read; the message has no path on the server.
    """
    try:
        with decoding(pixels_of(path)):
            return _reduced(read_image(path, max_pixels=MAX_PIXELS))
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error


def decode_upload(data: bytes) -> Image.Image:
    """Decode the bytes of a picture. Raises ImageError with the reason."""
    with decoding(pixels_of(data)):
        return _reduced(decode_image(data, max_pixels=MAX_PIXELS))


def pixels_of(source: Path | bytes, enough: int | None = None) -> int:
    """Return the number of pixels of a decoded picture according to its header.

    Return 0 if the header cannot be read; decoding will refuse the picture. A video frame counts as
    the largest small picture.

    Args:
        source: a file or its content.
        enough: see `read_image`.
    """
    if isinstance(source, Path) and frame_of(source) is not None:
        return SMALL_PIXELS
    try:
        data = source if isinstance(source, bytes) else read_file(source)
        return min(decoded_pixels(data, enough), _COUNTED_PIXELS)
    except Exception:  # decoding will report the error
        return 0


def _reduced(image: Image.Image) -> Image.Image:
    """Shrink a picture that is much larger than the input of any encoder."""
    factor = 1
    while image.width * image.height > REDUCED_PIXELS * factor**2:
        factor += 1
    return image if factor == 1 else image.reduce(factor)


def pictures_in(paths: Sequence[Path]) -> Iterator[tuple[str, Image.Image | CMRError]]:
    """Read uploaded pictures, and the pictures in uploaded zip files in memory.

    Yields:
        The name of a picture, and the picture or an error.
    """
    for path in paths:
        if path.suffix.lower() == ".zip":
            yield from _pictures_in_zip(path)
            continue
        try:
            yield path.name, read_upload(path)
        except ImageError as error:
            yield path.name, error


def _pictures_in_zip(path: Path) -> Iterator[tuple[str, Image.Image | CMRError]]:
    def problem(reason: str) -> tuple[str, CMRError]:
        return path.name, ImageError(f"{path.name} {reason}")

    try:
        with zipfile.ZipFile(path) as file:
            entries = [entry for entry in file.infolist() if _is_picture(entry)]
            if not entries:
                yield problem("contains no pictures")
            too_much = _too_much(file, entries[:MAX_ZIP_ENTRIES])
            if too_much is not None:
                yield problem(too_much)
                return
            refused = 0
            for entry in entries[:MAX_ZIP_ENTRIES]:
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                found = _picture_of(file, entry, name)
                yield name, found
                refused += isinstance(found, CMRError)
                if refused == MAX_REFUSED:
                    yield problem(f"has {refused} unreadable pictures, and the rest were skipped")
                    return
            if len(entries) > MAX_ZIP_ENTRIES:
                yield problem(
                    f"has {len(entries):,} pictures; only the first {MAX_ZIP_ENTRIES:,} were read"
                )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        yield problem("is not a readable zip file")


def _too_much(file: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> str | None:
    """Return which limit the pictures exceed according to their headers, or None."""
    size = sum(entry.file_size for entry in entries)
    if size > MAX_ZIP_BYTES:
        return f"has more than {MAX_ZIP_BYTES // 2**20} MB of pictures; split the file"
    pixels = 0
    for entry in entries:
        if entry.compress_type in _METHODS and not entry.flag_bits & _ENCRYPTED:
            # Errors are reported when the picture is read.
            with suppress(*_BROKEN), file.open(entry) as part:
                pixels += pixels_of(part.read(_HEADER_BYTES))
        if pixels > MAX_ZIP_PIXELS:
            return (
                f"has more than {MAX_ZIP_PIXELS // 1_000_000:,} million pixels in total; "
                "upload smaller or fewer pictures"
            )
    return None


def _picture_of(file: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Image.Image | CMRError:
    # Other compression methods may allocate any amount of memory.
    if entry.compress_type not in _METHODS:
        return ImageError(f"cannot read the picture {name}: create the zip file with deflate")
    try:
        # The size in the header may be wrong, so limit the unpacked size.
        with file.open(entry) as part:
            data = part.read(MAX_PICTURE_BYTES + 1)
        if len(data) <= MAX_PICTURE_BYTES:
            return decode_upload(data)
        reason = f"it is larger than {MAX_PICTURE_BYTES // 2**20} MB"
    except RuntimeError:
        reason = "the zip file has a password"
    except _BROKEN:
        reason = "this part of the zip file is damaged"
    except ImageError as error:
        reason = str(error)
    return ImageError(f"cannot read the picture {name}: {reason}")


def _is_picture(entry: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    is_hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    # Check the suffix first, because `is_dir` fails for an empty name.
    return name.suffix.lower() in IMAGE_ENDINGS and not is_hidden and not entry.is_dir()

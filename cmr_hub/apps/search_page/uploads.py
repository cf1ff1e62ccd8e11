"""Pictures as visitors send them: judged before they are decoded, and within limits."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final

from PIL import Image

from cmr_hub.apps.search_page.pixels import decoding
from cmr_hub.datasets.images import FORMATS, decode_image, read_image
from cmr_hub.errors import CMRError, ImageError

MAX_PIXELS: Final = 50_000_000
SETTLED_PIXELS: Final = 12_000_000
"""Of a picture that is held after it was decoded."""
MAX_ZIP_PIXELS: Final = 2_500_000_000
MAX_ZIP_BYTES: Final = 512 * 2**20
"""Of a zip file's pictures together, unpacked."""
MAX_REFUSED: Final = 25
"""After so many broken pictures, the rest of a zip file is left."""
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
_MOST_PIXELS: Final = 89_000_000
_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def uploaded_path(payload: Any) -> Path | None:
    """What a component gives its handler: the path where Gradio has put the upload, unopened.

    Gradio has made sure that it lies in its folder of uploads.
    """
    return None if payload is None or payload.path is None else Path(payload.path)


def uploaded_paths(payload: Any) -> list[Path]:
    """The same of a component that takes many files."""
    files = [] if payload is None else getattr(payload, "root", payload)
    files = files if isinstance(files, list) else [files]
    return [path for file in files if (path := uploaded_path(file)) is not None]


def read_upload(path: Path) -> Image.Image:
    """An uploaded picture.

    Raises:
        ImageError: why it cannot be read, by its name: where the server keeps it is nobody's
            business.
    """
    try:
        with decoding(pixels_of(path)):
            return _settled(read_image(path, max_pixels=MAX_PIXELS))
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error


def decode_upload(data: bytes) -> Image.Image:
    """The same of the bytes of a picture. Raises ImageError: the reason alone."""
    with decoding(pixels_of(data)):
        return _settled(decode_image(data, max_pixels=MAX_PIXELS))


def pixels_of(source: Path | bytes, enough: int | None = None) -> int:
    """How many pixels a picture will have when it is decoded, as its header says.

    0 where it cannot be told: it will be refused.

    Args:
        source: a file, or what is in it.
        enough: as of `read_image`.
    """
    try:
        with Image.open(
            BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        ) as image:
            if enough is not None:
                image.draft(None, (enough, enough))
            return min(image.width * image.height, _MOST_PIXELS)
    except Exception:  # whoever decodes it says why it cannot be read
        return 0


def _settled(image: Image.Image) -> Image.Image:
    """The same, smaller where it is far larger than any encoder looks at."""
    factor = 1
    while image.width * image.height > SETTLED_PIXELS * factor**2:
        factor += 1
    return image if factor == 1 else image.reduce(factor)


def pictures_in(paths: Sequence[Path]) -> Iterator[tuple[str, Image.Image | CMRError]]:
    """The pictures of uploaded files and of the zip files among them, one by one.

    Yields:
        A name, and the picture or why it cannot be read. Nothing is unpacked to the disk.
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
    try:
        with zipfile.ZipFile(path) as file:
            entries = [entry for entry in file.infolist() if _is_picture(entry)]
            if not entries:
                yield path.name, ImageError(f"{path.name} has no pictures in it")
            too_much = _too_much(file, entries[:MAX_ZIP_ENTRIES])
            if too_much is not None:
                yield path.name, ImageError(f"{path.name} {too_much}")
                return
            refused = 0
            for entry in entries[:MAX_ZIP_ENTRIES]:
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                found = _picture_of(file, entry, name)
                yield name, found
                refused += isinstance(found, CMRError)
                if refused == MAX_REFUSED:
                    yield (
                        path.name,
                        ImageError(
                            f"{MAX_REFUSED} pictures of {path.name} cannot be read, and the rest "
                            "were not looked at"
                        ),
                    )
                    return
            if len(entries) > MAX_ZIP_ENTRIES:
                yield (
                    path.name,
                    ImageError(
                        f"{path.name} has {len(entries):,} pictures, and the first "
                        f"{MAX_ZIP_ENTRIES:,} were looked at"
                    ),
                )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        yield path.name, ImageError(f"{path.name} is not a zip file that can be read")


def _too_much(file: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> str | None:
    """Why the pictures together are too much, as their headers say; nothing is decoded."""
    size = sum(entry.file_size for entry in entries)
    if size > MAX_ZIP_BYTES:
        return f"has more than {MAX_ZIP_BYTES // 2**20} MB of pictures in it: send it in parts"
    pixels = 0
    for entry in entries:
        if entry.compress_type in _METHODS and not entry.flag_bits & _ENCRYPTED:
            # A broken one is reported when it is read.
            with suppress(*_BROKEN), file.open(entry) as part:
                pixels += pixels_of(part.read(_HEADER_BYTES))
        if pixels > MAX_ZIP_PIXELS:
            return (
                f"has pictures of more than {MAX_ZIP_PIXELS // 1_000_000:,} million pixels in it: "
                "send smaller pictures, or fewer"
            )
    return None


def _picture_of(file: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Image.Image | CMRError:
    # Other methods ask for as much memory as the file says.
    if entry.compress_type not in _METHODS:
        return ImageError(f"cannot read the picture {name}: make the zip file with plain deflate")
    try:
        # The size in the header may be a lie: no more than the limit is unpacked.
        with file.open(entry) as part:
            data = part.read(MAX_PICTURE_BYTES + 1)
        if len(data) <= MAX_PICTURE_BYTES:
            return decode_upload(data)
        why = f"it is larger than {MAX_PICTURE_BYTES // 2**20} MB"
    except RuntimeError:
        why = "the zip file has a password"
    except _BROKEN:
        why = "this part of the zip file is damaged"
    except ImageError as error:
        why = str(error)
    return ImageError(f"cannot read the picture {name}: {why}")


def _is_picture(entry: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    # The ending first: a name of no letters cannot be asked whether it is a folder's.
    return name.suffix.lower() in _SUFFIXES and not hidden and not entry.is_dir()

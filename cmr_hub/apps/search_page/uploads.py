"""Pictures as visitors send them: judged before they are decoded, and within limits."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from PIL import Image

from cmr_hub.datasets.images import decode_image, read_image
from cmr_hub.errors import CMRError, ImageError

MAX_UPLOAD: Final = "64mb"
"""Of one file; the server stops reading there."""
MAX_PIXELS: Final = 50_000_000
MAX_PICTURE_BYTES: Final = 20 * 2**20
MAX_ZIP_ENTRIES: Final = 2_000
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
        return read_image(path, max_pixels=MAX_PIXELS)
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error


def decode_upload(data: bytes) -> Image.Image:
    """The same of the bytes of a picture. Raises ImageError: the reason alone."""
    return decode_image(data, max_pixels=MAX_PIXELS)


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
            for entry in entries[:MAX_ZIP_ENTRIES]:
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                yield name, _picture_of(file, entry, name)
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


def _picture_of(file: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Image.Image | CMRError:
    # Other methods ask for as much memory as the file says.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
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
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError):
        why = "this part of the zip file is damaged"
    except ImageError as error:
        why = str(error)
    return ImageError(f"cannot read the picture {name}: {why}")


def _is_picture(entry: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    # The ending first: a name of no letters cannot be asked whether it is a folder's.
    return name.suffix.lower() in _SUFFIXES and not hidden and not entry.is_dir()

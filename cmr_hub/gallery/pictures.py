"""Copying the pictures of a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.atomic import storing
from cmr_hub.datasets.images import read_file
from cmr_hub.errors import ImageError
from cmr_hub.gallery.items import split_root

if TYPE_CHECKING:
    import pyarrow as pa


def copy_pictures(items: pa.Table, directory: Path) -> None:
    """Copy the pictures of items, keeping their paths below their common folder.

    A frame of a video is copied as a picture of the same name.

    Raises:
        ImageError: a picture is missing or cannot be read.
    """
    root, relative = split_root(items)
    if root is None:
        return
    for name in filter(None, relative.column("path").to_pylist()):
        target = directory / name
        try:
            content = read_file(Path(root) / name)
        except (OSError, ImageError) as error:
            raise ImageError(f"cannot copy {Path(root) / name}: {error}") from error
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

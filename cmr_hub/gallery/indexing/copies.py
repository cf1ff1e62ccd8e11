"""Find copies of a picture that is already in the gallery: identical, smaller or edited files."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.errors import ImageError
from cmr_hub.gallery.items import COPY_OF, PICTURE_HASH

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa


MAX_BITS: Final = 6
"""Maximum number of different bits, out of 64, in the perceptual hashes of the same picture."""
MAX_DETAIL: Final = 1.25
"""Maximum difference of a grey pixel at 64 × 64, in standard deviations of the picture.

Perceptual hashes ignore small details: they are equal for "gate 12" and "gate 21" on a white page.
"""
MAX_COLOUR: Final = 1.0
"""Maximum difference of a colour at 8 × 8, in standard deviations. Hashes ignore colours."""
MAX_BRIGHTNESS: Final = 40.0
"""Maximum difference of the mean brightness, out of 255, to distinguish blank pages."""
_LEAST_CONTRAST = 8.0
_READ_SIDE = 256
_CACHED = 2048


class PictureGroups:
    """Groups of copies of the same picture, to which new pictures are assigned.

    Identical files are copies. Other pictures are copies if their perceptual hashes differ by at
    most `MAX_BITS` and the files are similar at 64 × 64 pixels.

    Args:
        items: the items of a gallery.
        ignored: ids of items that are not compared; the caller may add more.
    """

    def __init__(self, items: pa.Table, ignored: Set[str]) -> None:
        import faiss

        self.ignored = ignored
        self._index = faiss.IndexBinaryFlat(64)
        self._ids: list[str] = []
        self._paths: list[str] = []
        self._groups: list[str] = []
        self._by_content: dict[str, list[int]] = {}
        self._thumbnails = lru_cache(_CACHED)(_thumbnails)
        names = ("id", "path", "sha256", COPY_OF, PICTURE_HASH)
        if set(names) <= set(items.column_names):
            items = items.filter(pc.is_valid(items.column(PICTURE_HASH)))
            *rows, hashes = (items.column(name).to_pylist() for name in names)
            for id_, path, sha256, copy_of in zip(*rows, strict=True):
                self._add(id_, path, sha256, copy_of or id_)
            self._index.add(_codes(hashes))

    def copies_of(self, pictures: Sequence[tuple[str, str, str, str]]) -> list[str | None]:
        """Add pictures; return the id of the first copy of each, or None for a first copy.

        Args:
            pictures: id, path, SHA-256 and perceptual hash of each.
        """
        first = len(self._groups)
        codes = _codes([hash_ for *_, hash_ in pictures])
        self._index.add(codes)
        limits, _, near = self._index.range_search(codes, MAX_BITS + 1)
        for number, (id_, path, sha256, _) in enumerate(pictures):
            same = self._by_content.get(sha256, ())
            group = next(
                (self._groups[one] for one in same if self._ids[one] not in self.ignored), ""
            )
            if not group:
                found = np.sort(near[limits[number] : limits[number + 1]])
                group = self._same_picture(path, found[found < first + number].tolist()) or id_
            self._add(id_, path, sha256, group)
        groups = zip(pictures, self._groups[first:], strict=True)
        return [None if group == id_ else group for (id_, *_), group in groups]

    def _add(self, id: str, path: str, sha256: str, group: str) -> None:
        self._by_content.setdefault(sha256, []).append(len(self._ids))
        self._ids.append(id)
        self._paths.append(path)
        self._groups.append(group)

    def _same_picture(self, path: str, candidates: Sequence[int]) -> str | None:
        tried: set[str] = set()
        video = path.rpartition("#t=")[0]
        for number in candidates:
            group = self._groups[number]
            if self._ids[number] in self.ignored or group in tried:
                continue
            if video and self._paths[number].rpartition("#t=")[0] == video:
                continue  # another scene: decoding all dark frames would take long
            if self._looks_same(path, self._paths[number]):
                return group
            tried.add(group)
        return None

    def _looks_same(self, one: str, other: str) -> bool:
        first, second = self._thumbnails(one), self._thumbnails(other)
        if first is None or second is None:
            return False
        detail, colour = map(_difference, first, second)
        brightness = abs(float(first[1].mean()) - float(second[1].mean()))
        return detail <= MAX_DETAIL and colour <= MAX_COLOUR and brightness <= MAX_BRIGHTNESS


def _codes(hashes: Sequence[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 8)


def _thumbnails(path: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Return a picture in grey at 64 × 64 and in colour at 8 × 8; None if it cannot be read."""
    try:
        image = read_image(Path(path), enough=_READ_SIDE)
    except ImageError:
        return None
    grey = image.convert("L").resize((64, 64), Image.Resampling.LANCZOS)
    return np.asarray(grey), np.asarray(image.resize((8, 8), Image.Resampling.LANCZOS))


def _difference(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """Return the largest difference of two pictures after standardising each."""
    one, other = (
        # With a minimum, because a blank page has only noise.
        (pixels - pixels.mean()) / max(float(pixels.std()), _LEAST_CONTRAST)
        for pixels in (first, second)
    )
    return float(np.abs(one - other).max())

"""Write the items, vectors and pictures of a gallery as files that a browser reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tqdm import tqdm

from cmr_hub.datasets.images import read_image
from cmr_hub.errors import ImageError
from cmr_hub.gallery.items import COLUMNS, INTERNAL
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.vectors import VectorColumn
    from cmr_hub.types import JSONObject

SIDE: Final = 480
MOST_CHOICES: Final = 300
MOST_RANGES: Final = 8
MOST_SENTENCES: Final = 50
_QUALITY: Final = 80
_EXAMPLES: Final = 6
_SENTENCES: Final = 3
_NOT_SHOWN: Final = (
    *INTERNAL,
    *COLUMNS,
    "latitude",  # the place of a photograph may be private
    "longitude",
)


def shown_items(items: Sequence[JSONObject], pictures: Sequence[bool]) -> list[JSONObject]:
    """Return the data that the page shows for each item, without paths except the file name."""
    return [
        {
            "id": item["id"],
            "name": shortened(
                str(item.get("name") or (item["path"] and Path(item["path"]).name) or item["id"])
            ),
            "label": item["label"] and shortened(item["label"]),
            "sentences": [shortened(text) for text in (item["sentences"] or ())[:MOST_SENTENCES]],
            "picture": has_picture,
            "more": {
                key: shortened(str(value))
                for key, value in item.items()
                if key not in _NOT_SHOWN and value not in (None, "", [])
            },
        }
        for item, has_picture in zip(items, pictures, strict=True)
    ]


def filters(items: Sequence[JSONObject]) -> list[JSONObject]:
    """Return the text columns with few distinct values, and their values; the class is first."""
    found = []
    names = [name for name in (items[0] if items else ()) if name not in _NOT_SHOWN]
    for name in ("label", *names):
        values = {item[name] for item in items} - {None, ""}
        are_texts = all(isinstance(value, str) and len(value) <= 100 for value in values)
        if are_texts and 1 < len(values) <= min(MOST_CHOICES, max(2, len(items) // 2)):
            title = "class" if name == "label" else name.replace("_", " ")
            found.append({"column": name, "title": title, "values": sorted(values)})
    return found


def ranges(items: Sequence[JSONObject]) -> list[JSONObject]:
    """Return the date and number columns with their ranges and the value of each item.

    Dates come first, and are written as 2021-06-30. A missing value is None.
    """
    found: list[JSONObject] = []
    for name in (name for name in (items[0] if items else ()) if name not in _NOT_SHOWN):
        values = [item[name] for item in items]
        filled = [value for value in values if value not in (None, "")]
        is_day = all(isinstance(value, date) for value in filled)
        if not is_day and not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in filled
        ):
            continue
        rows = [_comparable(value) for value in values]
        distinct = {*rows} - {None}
        if len(distinct) > 1:
            limits = {"min": min(distinct), "max": max(distinct)}
            title = name.replace("_", " ")
            kind = "day" if is_day else "number"
            found.append({"column": name, "title": title, "kind": kind, **limits, "rows": rows})
    return sorted(found, key=lambda one: one["kind"] != "day")[:MOST_RANGES]


def _comparable(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()[:10]
    return value if value not in (None, "") and isfinite(value) else None


def examples(items: Sequence[JSONObject]) -> JSONObject:
    """Return short sentences and some items with pictures as example queries."""
    places = np.unique(np.linspace(0, len(items) - 1, min(_EXAMPLES, len(items))).astype(int))
    chosen = [items[place] for place in places]
    shortest = {min(item["sentences"], key=len): None for item in chosen if item["sentences"]}
    return {
        "sentences": sorted(shortest, key=len)[:_SENTENCES],
        "pictures": [int(place) for place in places if items[place]["picture"]],
    }


def write_vectors(
    folder: Path, name: str, column: VectorColumn, neutral: Neutral | None
) -> JSONObject:
    """Write the (n, d) vectors of one modality: 8-bit integers to scan, and float16 to score.

    `NAME.bin` contains these little-endian arrays for all n vectors: scale s, rounding error
    ‖v − sq‖, and mean and spread of the scores of neutral sentences as float32, then q as int8.
    `NAME-exact.bin` contains v as float16.

    Args:
        folder: folder to write to.
        name: modality.
        column: the vectors.
        neutral: scores of neutral sentences; if None, mean and spread are 0.
    """
    rows = np.asarray(column.matrix, dtype=np.float64)
    scales = np.abs(rows).max(axis=1, keepdims=True).clip(1e-12) / 127
    integers = np.rint(rows / scales)
    errors = np.linalg.norm(rows - scales * integers, axis=1)
    mean = spread = np.zeros(len(rows))
    if neutral is not None:
        mean, spread = rows @ neutral.mean.astype(np.float64), neutral.spreads(rows)
    numbers = np.stack([scales[:, 0], errors, mean, spread]).astype("<f4")
    (folder / f"{name}.bin").write_bytes(numbers.tobytes() + integers.astype(np.int8).tobytes())
    (folder / f"{name}-exact.bin").write_bytes(rows.astype("<f2").tobytes())
    is_full = np.array_equal(column.rows, np.arange(len(column)))
    return {"count": len(rows), "rows": None if is_full else column.rows.tolist()}


def write_pictures(folder: Path, paths: Sequence[str | None]) -> list[bool]:
    """Write smaller copies of pictures, encoded again, so that no EXIF data is published.

    Returns:
        For each path whether a picture was written; unreadable pictures are skipped.
    """

    def write(numbered: tuple[int, str | None]) -> bool:
        number, path = numbered
        if path is None:
            return False
        try:
            image = read_image(path, enough=SIDE)
        except ImageError:
            return False
        image.thumbnail((SIDE, SIDE))
        image.save(folder / f"{number}.webp", quality=_QUALITY)
        return True

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bar: Any = tqdm(
            pool.map(write, enumerate(paths)), total=len(paths), desc="pictures", disable=None
        )
        return list(bar)

"""Find duplicates in a gallery: identical files, copies of a picture, and similar pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import pyarrow.compute as pc
from tqdm import tqdm

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.items import COPY_OF, PICTURE_HASH, TIME, listed, picked
from cmr_hub.gallery.pages import hit_of
from cmr_hub.hit import Hit

if TYPE_CHECKING:
    import pyarrow as pa

    from cmr_hub.gallery.store import Store
    from cmr_hub.types import FloatArray, IntArray

Kind: TypeAlias = Literal["same bytes", "same picture", "alike"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

ALIKE: Final = 0.97
"""Default of the minimum cosine similarity of pictures that are alike."""
_BLOCK = 256


@dataclass(frozen=True)
class Duplicates:
    """A group of duplicates.

    Attributes:
        kind: "same bytes", "same picture" (for example a smaller copy) or "alike".
        hits: items in the order of the gallery; `score` is the similarity to the first item.
    """

    kind: Kind
    hits: tuple[Hit, ...]

    def record(self) -> dict[str, Any]:
        """Return the group as JSON."""
        return {"kind": self.kind, "items": [hit.record() for hit in self.hits]}


def facts_of(hit: Hit) -> list[str]:
    """Return the size in pixels, the size in bytes and the date of a picture; "" if unknown."""
    facts = hit.metadata
    width, height, size = (facts.get(name) for name in ("width", "height", "size"))
    taken = facts.get("taken") or facts.get("modified")
    if isinstance(taken, int):  # nanoseconds since 1970
        taken = datetime.fromtimestamp(taken / 1e9)
    pixels = f"{width} × {height}" if width and height else ""
    return [pixels, f"{size:,} bytes" if isinstance(size, int) else "", str(taken or "")[:16]]


def not_compared(items: pa.Table) -> int:
    """Return the number of pictures indexed by an earlier version, without a perceptual hash."""
    if "sha256" not in items.column_names:
        return 0
    indexed = items.filter(pc.is_valid(items.column("sha256")))
    if PICTURE_HASH not in items.column_names:
        return len(indexed)
    return int(indexed.column(PICTURE_HASH).null_count)


def find_duplicates(
    store: Store, kinds: Sequence[str], alike: float, *, progress: bool = False
) -> list[Duplicates]:
    """Implement `Gallery.duplicates`."""
    for kind in listed("kinds", kinds, str):
        if kind not in KINDS:
            raise QueryError(f"unknown kind {shown(kind)}; choose from: {', '.join(KINDS)}")
    if not 0 < alike <= 1:
        raise QueryError(f"alike must be above 0 and at most 1, not {shown(alike)}")
    table = store.table()
    ids = table.column("id").to_pylist()
    contents = _column(table, "sha256")
    pictures = _column(table, COPY_OF)
    groups: dict[Kind, list[list[int]]] = {}
    if "same bytes" in kinds:
        groups["same bytes"] = _grouped(range(len(ids)), contents)
    if "same picture" in kinds:
        # One item per content, because identical files already form a group.
        groups["same picture"] = _grouped(_firsts(contents), pictures)
    if "alike" in kinds:
        rows = store.rows([ids[row] for row in _firsts(pictures)])
        groups["alike"] = []
        if "image" in rows.vectors:
            column = rows.vectors["image"]
            numbers = {id_: number for number, id_ in enumerate(ids)}
            own = [numbers[id_] for id_ in rows.items.column("id").to_pylist()]
            for members in _alike(column.matrix, alike, progress=progress):
                groups["alike"].append(sorted(own[column.rows[member]] for member in members))
    files = _files(table)
    found = [
        (kind, members)
        for kind, some in groups.items()
        for members in _one_of_each(sorted(some), files)
    ]
    every = [row for _, members in found for row in members]
    items = dict(
        zip(every, picked(table, np.array(every, dtype=np.int64)).to_pylist(), strict=True)
    )
    vectors = _vectors(store, [ids[row] for row in every])
    return [
        Duplicates(kind, _hits([items[row] for row in members], vectors)) for kind, members in found
    ]


def _column(table: pa.Table, name: str) -> list[str]:
    """Return a column; missing values are replaced by the id of the item."""
    ids: list[str] = table.column("id").to_pylist()
    if name not in table.column_names:
        return ids
    return [value or id_ for value, id_ in zip(table.column(name).to_pylist(), ids, strict=True)]


def _files(table: pa.Table) -> list[str]:
    """Return the path of the video for each frame, and the id for each other row."""
    paths, ids = (table.column(name).to_pylist() for name in ("path", "id"))
    is_frame = [False] * len(ids)
    if TIME in table.column_names:
        is_frame = table.column(TIME).is_valid().to_pylist()
    return [
        path.rpartition("#t=")[0] if path and frame else id_
        for path, id_, frame in zip(paths, ids, is_frame, strict=True)
    ]


def _one_of_each(groups: Sequence[Sequence[int]], files: Sequence[str]) -> list[list[int]]:
    """Keep the first row of each file in a group, and the first of several groups of equal files.

    Frames of one video are not duplicates, and a pair of videos is reported once.
    """
    kept: dict[tuple[str, ...], list[int]] = {}
    for group in groups:
        firsts = {files[row]: row for row in reversed(group)}
        if len(firsts) > 1:
            kept.setdefault(tuple(sorted(firsts)), sorted(firsts.values()))
    return list(kept.values())


def _firsts(keys: Sequence[str]) -> list[int]:
    """Return the first row of each key."""
    return sorted({key: row for row, key in reversed(list(enumerate(keys)))}.values())


def _vectors(store: Store, ids: Sequence[str]) -> dict[str, FloatArray]:
    rows = store.rows(ids)
    if "image" not in rows.vectors:
        return {}
    column = rows.vectors["image"]
    names = rows.items.column("id").to_pylist()
    return {names[row]: vector for row, vector in zip(column.rows, column.matrix, strict=True)}


def _hits(items: Sequence[Mapping[str, Any]], vectors: Mapping[str, FloatArray]) -> tuple[Hit, ...]:
    first = vectors.get(items[0]["id"])
    scores = [
        1.0 if first is None or item["id"] not in vectors else float(first @ vectors[item["id"]])
        for item in items
    ]
    return tuple(
        hit_of(item, score, rank)
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), 1)
    )


def _grouped(rows: Sequence[int], keys: Sequence[str]) -> list[list[int]]:
    """Return the groups of two or more rows with the same key."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(keys[row], []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _alike(vectors: FloatArray, threshold: float, *, progress: bool) -> list[IntArray]:
    """Group vectors whose similarity to the first vector of the group reaches the threshold.

    Every vector is compared with every later one, in blocks of matrix products. Groups are not
    chained, so that a long series of gradually changing pictures does not become one group.
    """
    is_free = np.ones(len(vectors), dtype=bool)
    groups = []
    with tqdm(
        total=len(vectors), desc="comparing", unit="image", disable=None if progress else True
    ) as bar:
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK]
            near = block @ vectors[start:].T >= threshold
            for number in np.flatnonzero(near.sum(axis=1) > 1):
                if not is_free[start + number]:
                    continue
                near[number, number] = True  # despite rounding
                members = start + np.flatnonzero(near[number] & is_free[start:])
                if len(members) > 1:
                    groups.append(members)
                    is_free[members] = False
            bar.update(len(block))
    return groups

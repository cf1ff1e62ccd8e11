"""Bringing a gallery up to date with a folder: what is new is encoded, the rest is left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from tqdm import tqdm

from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.gallery.indexing.columns import settled
from cmr_hub.gallery.indexing.decode import decoded
from cmr_hub.gallery.indexing.entry import RESERVED, Entry
from cmr_hub.gallery.indexing.folder import folder_entries
from cmr_hub.gallery.indexing.summary import Summary
from cmr_hub.gallery.items import COLUMNS, Item, items_table
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.types import FloatArray

_ID_LENGTH = 32
_ENCODE = 64
_COMMIT_ROWS = 4096
_COMMIT_SECONDS = 5.0


def index_folder(
    gallery: Gallery,
    folder: str | Path,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> Summary:
    """Makes a gallery's rows of a folder what the folder now holds; other rows stay.

    A picture whose size and time of change are as before is not read again; one whose content is
    as before is not encoded again, wherever it has moved. A row's id is made of its content. What
    was done is kept when the run is stopped, by Ctrl-C or by a kill.

    Args:
        gallery: opened with its model.
        folder: of pictures; see `folder_entries` for what may lie beside them.
        workers: processes that decode; default one for two cores.
        progress: show a bar.

    Raises:
        DataNotFoundError: no such folder, or nothing in it: then nothing is removed either.
        CMRError: the gallery has no model, or that has no encoders.
        GalleryInUseError: another process is writing to the gallery.
    """
    base = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 - links stay as they are
    report = ReadReport()
    with gallery.store.writing():
        entries = settled(list(folder_entries(base, report)), gallery.items.schema)
        if not entries:
            raise DataNotFoundError(f"there are no pictures in {base}")
        run = _Run(gallery, base, entries, workers or max(1, (os.cpu_count() or 1) // 2))
        run.summary.without_image = report.counts.get("missing image", 0)
        run.encode_new(progress=progress)
        run.remove_gone()
        gallery.store.optimise(progress=progress)
    return run.summary


@dataclass(frozen=True, eq=False)
class _Row:
    """A row to be written, with its own vector or that of a row with the same picture."""

    entry: Entry
    id: str
    sha256: str
    vector: FloatArray | None
    same_as: str = ""


class _Run:
    """One run over the entries of a folder."""

    def __init__(
        self, gallery: Gallery, base: Path, entries: Sequence[Entry], workers: int
    ) -> None:
        model = gallery.model
        if model is None or model.image_encoder is None or model.text_encoder is None:
            raise CMRError("indexing needs a gallery opened with a model that has encoders")
        self.store, self.model = gallery.store, model
        self.image_encoder, self.text_encoder = model.image_encoder, model.text_encoder
        self.entries, self.workers = entries, workers
        self.here = {str(entry.path) for entry in entries}
        self.summary = Summary(
            pictures=len(entries),
            without_caption=sum(not entry.sentences for entry in entries),
        )
        table = gallery.items
        self.ids = set(table.column("id").to_pylist())
        below = pc.starts_with(table.column("path"), f"{str(base).rstrip('/')}/")
        self.known: dict[str, dict[str, Any]] = {}
        self.by_content: dict[str, dict[str, dict[str, Any]]] = {}
        self.gone: set[str] = set()
        """Ids of rows of this folder that no entry has claimed yet."""
        for row in table.filter(pc.fill_null(below, False)).to_pylist():
            self.known[row["path"]] = row
            self.by_content.setdefault(row.get("sha256") or "", {})[row["id"]] = row
            self.gone.add(row["id"])
        self.ready: list[_Row] = []
        self.replaced: list[str] = []
        self.committed = time.monotonic()

    def encode_new(self, *, progress: bool) -> None:
        """Encodes what is not known yet, and writes it from time to time."""
        new = [entry for entry in self.entries if not self._is_known(entry)]
        waiting: list[tuple[_Row, npt.NDArray[np.uint8]]] = []
        bar = tqdm(
            total=len(new), desc="indexing", unit="image", disable=None if progress else True
        )
        try:
            with bar:
                for entry, picture in decoded(new, self.image_encoder.preprocessing, self.workers):
                    if picture.pixels is None:
                        self.summary.unreadable[str(entry.path)] = picture.problem
                    else:
                        row = self._row(entry, picture.sha256)
                        if row.same_as:
                            self.ready.append(row)
                        else:
                            waiting.append((row, picture.pixels))
                    if len(waiting) == _ENCODE:
                        self._encode(waiting)
                        waiting = []
                    bar.update()
        finally:  # also when it was stopped
            self._encode(waiting)
            self._commit()

    def remove_gone(self) -> None:
        """Removes the rows of pictures that are no longer there, or no longer readable."""
        self.summary.removed = len(self.gone)
        if self.gone:
            self.store.remove(sorted(self.gone))

    def _is_known(self, entry: Entry) -> bool:
        """Whether the picture is as it was; what is said of it may be new."""
        row = self.known.get(str(entry.path))
        if row is None:
            return False
        if (row.get("size"), row.get("modified")) != (entry.size, entry.modified):
            return False
        self.gone.discard(row["id"])
        if _says_the_same(row, entry):
            self.summary.unchanged += 1
        else:
            self.summary.updated += 1
            self.ready.append(_Row(entry, row["id"], row["sha256"], None, same_as=row["id"]))
        return True

    def _row(self, entry: Entry, sha256: str) -> _Row:
        """The row of a picture that was read; a known content keeps its vector."""
        before = self.known.get(str(entry.path))
        same = self.by_content.get(sha256, {})
        if before is not None and before["id"] in same:
            self.summary.updated += 1
            return self._claimed(entry, before)
        if before is not None:
            self.replaced.append(before["id"])
            self.gone.discard(before["id"])
        for row in same.values():
            if row["id"] in self.gone and row["path"] not in self.here:
                self.summary.moved += 1
                return self._claimed(entry, row)
        if before is None:
            self.summary.added += 1
        else:
            self.summary.updated += 1
        new_id = self._new_id(sha256)
        return _Row(entry, new_id, sha256, None, same_as=next(iter(same), ""))

    def _claimed(self, entry: Entry, row: Mapping[str, Any]) -> _Row:
        self.gone.discard(row["id"])
        return _Row(entry, row["id"], row["sha256"], None, same_as=row["id"])

    def _new_id(self, sha256: str) -> str:
        """Made of the content; a second copy of it has `-2` at the end."""
        copies = count(2)
        new_id = sha256[:_ID_LENGTH]
        while new_id in self.ids:
            new_id = f"{sha256[:_ID_LENGTH]}-{next(copies)}"
        self.ids.add(new_id)
        return new_id

    def _encode(self, waiting: Sequence[tuple[_Row, npt.NDArray[np.uint8]]]) -> None:
        if waiting:
            features = self.image_encoder.encode_pixels(np.stack([pixels for _, pixels in waiting]))
            vectors = self.model.image_projector.embed(features)
            self.ready += [
                replace(row, vector=vector)
                for (row, _), vector in zip(waiting, vectors, strict=True)
            ]
        late = time.monotonic() - self.committed > _COMMIT_SECONDS
        if late or len(self.ready) >= _COMMIT_ROWS:
            self._commit()

    def _commit(self) -> None:
        """Writes the rows that are ready, all or none."""
        if self.ready:
            self.store.put(self._segment(self.ready), replacing=self.replaced)
        for old in self.replaced:  # whose vectors are gone now
            for rows in self.by_content.values():
                rows.pop(old, None)
        self.ready, self.replaced = [], []
        self.committed = time.monotonic()

    def _segment(self, rows: Sequence[_Row]) -> Segment:
        items = [
            Item(
                id=row.id,
                path=row.entry.path,
                sentences=row.entry.sentences,
                label=row.entry.label,
                metadata={
                    **row.entry.metadata,
                    "folder": row.entry.folder,
                    "sha256": row.sha256,
                    "size": row.entry.size,
                    "modified": row.entry.modified,
                },
            )
            for row in rows
        ]
        there = self.store.rows([row.same_as for row in rows if row.same_as])
        vectors: dict[str, FloatArray] = {}
        if len(there):
            ids = there.items.column("id").to_pylist()
            vectors = dict(zip(ids, there.vectors["image"].matrix, strict=True))
        images = np.stack(
            [vectors[row.same_as] if row.vector is None else row.vector for row in rows]
        )
        told = [
            place for place, item in enumerate(items) if self.text_encoder.knows(item.sentences)
        ]
        texts = self.model.encode_documents([items[place].sentences for place in told])
        return Segment(
            items_table(items),
            {
                "image": VectorColumn.full(images),
                "text": VectorColumn(texts, np.array(told, dtype=np.int64)),
            },
        )


def _says_the_same(row: Mapping[str, Any], entry: Entry) -> bool:
    kept = {*COLUMNS, *RESERVED}
    said = {name: value for name, value in row.items() if name not in kept and value is not None}
    return (
        tuple(row["sentences"] or ()) == entry.sentences
        and row["label"] == entry.label
        and row["folder"] == entry.folder
        and said == dict(entry.metadata)
    )

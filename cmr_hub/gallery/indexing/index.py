"""Bringing a gallery up to date with a folder: what is new is encoded, the rest is left alone."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm import tqdm

from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.gallery.indexing.columns import settled
from cmr_hub.gallery.indexing.encode import Encoding, EncodingHere
from cmr_hub.gallery.indexing.entry import Entry
from cmr_hub.gallery.indexing.folder import folder_entries
from cmr_hub.gallery.indexing.summary import Summary
from cmr_hub.gallery.items import (
    COLUMNS,
    RESERVED,
    ZERO_SHOT_COLUMNS,
    Item,
    items_table,
    probability_column,
)
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.store import Store
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

_ID_LENGTH = 32
_COMMIT_ROWS = 4096
_COMMIT_SECONDS = 5.0
_REFUSED = ("unsafe path", "unreadable folder", "damaged record", "duplicate id")


def index_folder(
    gallery: Gallery,
    folder: str | Path,
    *,
    workers: int | None = None,
    cluster: Literal["ray"] | None = None,
    progress: bool = False,
) -> Summary:
    """Makes a gallery's rows of a folder what the folder now holds; other rows stay.

    A picture whose size and time of change are as before is not read again; one whose content is
    as before is not encoded again, wherever it has moved. A row's id is made of its content. What
    was done is kept when the run is stopped, by Ctrl-C or by a kill.

    Args:
        gallery: opened with its model.
        folder: of pictures; see `folder_entries` for what may lie beside them.
        workers: processes that decode, default one for two cores; on a cluster encoders at most.
        cluster: where to decode and encode; see `encoded_on_ray`. Default this machine.
        progress: show a bar.

    Raises:
        DataNotFoundError: no such folder, or nothing in it: then nothing is removed either.
        CMRError: the gallery has no model, or that has no encoders; or the cluster cannot go on.
        GalleryInUseError: another process is writing to the gallery.
    """
    base = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 - links stay as they are
    report = ReadReport()
    model = _with_encoders(gallery.model)
    with _encoding(model, cluster, workers) as encoding, gallery.store.writing():
        table = gallery.store.table_below(str(base))
        found = []
        for entry in folder_entries(base, report):
            found.append(entry)
            encoding.expect(len(found) - len(table))
        entries = settled(found, table.schema)
        passed = Counter(one.detail for one in report if one.kind == "unread format")
        if not entries:
            raise DataNotFoundError(
                f"there are no pictures in {base}"
                + (f" of a format that is read, only {', '.join(passed)}" if passed else "")
            )
        run = _Run(gallery.store, model, table.to_pylist(), entries)
        run.summary.without_image = report.counts.get("missing image", 0)
        run.summary.other_formats = dict(passed.most_common())
        run.summary.refused = [
            f"{problem.path}: {problem.detail or problem.kind}"
            for problem in report
            if problem.kind in _REFUSED
        ]
        run.encode_new(encoding, progress=progress)
        unseen = [Path(one.path) for one in report if one.kind == "unreadable folder"]
        run.remove_gone(unseen)
        gallery.calibrate()
        gallery.store.optimise(progress=progress)
    return run.summary


def _encoding(
    model: CrossModalModel, cluster: Literal["ray"] | None, workers: int | None
) -> Encoding:
    if cluster == "ray":
        from cmr_hub.gallery.indexing.cluster import EncodingOnRay

        return EncodingOnRay(model, workers)
    return EncodingHere(model, workers)


def _with_encoders(model: CrossModalModel | None) -> CrossModalModel:
    if model is None or not model.text.has_encoder:
        raise CMRError("indexing needs a gallery opened with a model that has encoders")
    return model


@dataclass(frozen=True, eq=False)
class _Row:
    """A row to be written.

    Attributes:
        entry: its picture.
        id: None for a new row, which gets one when it is written.
        sha256: of its content.
        features: of its picture; None if the vector is that of the same content.
        named: its zero-shot labels, which no source tells; with the column that lists them.
    """

    entry: Entry
    id: str | None
    sha256: str
    features: FloatArray | None
    named: Mapping[str, Any] = field(default_factory=dict)


class _Run:
    """One run over the entries of a folder, of which there are `rows` already."""

    def __init__(
        self,
        store: Store,
        model: CrossModalModel,
        rows: Sequence[dict[str, Any]],
        entries: Sequence[Entry],
    ) -> None:
        self.store, self.model = store, model
        self.entries = entries
        self.here = {str(entry.path) for entry in entries}
        self.summary = Summary(
            pictures=len(entries),
            without_caption=sum(not entry.sentences for entry in entries),
        )
        self.known: dict[str, dict[str, Any]] = {}
        self.by_content: dict[str, list[dict[str, Any]]] = {}
        self.gone: set[str] = set()
        """Ids of rows of this folder that no entry has claimed yet."""
        for row in rows:
            self.known[row["path"]] = row
            self.gone.add(row["id"])
            if row.get("sha256"):
                self.by_content.setdefault(row["sha256"], []).append(row)
        self.ready: list[_Row] = []
        self.replaced: list[dict[str, Any]] = []
        self.spared: dict[str, FloatArray] = {}
        """Vectors by content of rows that were replaced: another picture may have become that."""
        self.committed = time.monotonic()

    def encode_new(self, encoding: Encoding, *, progress: bool) -> None:
        """Encodes what is not known yet, and writes it from time to time."""
        new = [entry for entry in self.entries if not self._is_known(entry)]
        bar = tqdm(
            total=len(new), desc="indexing", unit="image", disable=None if progress else True
        )
        try:
            with bar:
                for entry, picture in encoding.encoded(new, self.by_content):
                    if picture.problem:
                        self.summary.unreadable[str(entry.path)] = picture.problem
                    else:
                        self.ready.append(self._row(entry, picture.sha256, picture.features))
                    late = time.monotonic() - self.committed > _COMMIT_SECONDS
                    if late or len(self.ready) >= _COMMIT_ROWS:
                        self._commit()
                    bar.update()
        finally:  # also when it was stopped
            self._commit()

    def remove_gone(self, unseen: Sequence[Path]) -> None:
        """Removes the rows of pictures that are no longer there, or no longer readable.

        Those below the folders `unseen` may still be there, and stay.
        """
        for path, row in self.known.items():
            if any(Path(path).is_relative_to(folder) for folder in unseen):
                self.gone.discard(row["id"])
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
            self.ready.append(_Row(entry, row["id"], row["sha256"], None, _named(row)))
        return True

    def _row(self, entry: Entry, sha256: str, features: FloatArray | None) -> _Row:
        """The row of a picture that was read; a known content keeps its row."""
        before = self.known.get(str(entry.path))
        same = self.by_content.get(sha256, [])
        if before is not None and before.get("sha256") == sha256:
            self.summary.updated += 1
            return self._claimed(entry, before, features)
        if before is not None:
            self.replaced.append(before)
            self.gone.discard(before["id"])
        for row in same:
            if row["id"] in self.gone and row["path"] not in self.here:
                self.summary.moved += 1
                return self._claimed(entry, row, features)
        if before is None:
            self.summary.added += 1
        else:
            self.summary.updated += 1
        return _Row(entry, None, sha256, features)

    def _claimed(self, entry: Entry, row: Mapping[str, Any], features: FloatArray | None) -> _Row:
        self.gone.discard(row["id"])
        return _Row(entry, row["id"], row["sha256"], features, _named(row))

    def _ids(self, rows: Sequence[_Row]) -> list[str]:
        """Of new rows made of their content; a second copy of it has `-2` at the end."""
        ids = [row.id for row in rows]
        for copy in count(1):
            waiting = [at for at, id_ in enumerate(ids) if id_ is None]
            if not waiting:
                break
            ends = "" if copy == 1 else f"-{copy}"
            wanted = [f"{rows[at].sha256[:_ID_LENGTH]}{ends}" for at in waiting]
            taken = self.store.known(wanted)
            for at, id_ in zip(waiting, wanted, strict=True):
                if id_ not in taken:
                    taken.add(id_)
                    ids[at] = id_
        return [id_ for id_ in ids if id_ is not None]

    def _commit(self) -> None:
        """Writes the rows that are ready, all or none; what fails is not tried again."""
        ready, self.ready = self.ready, []
        replaced, self.replaced = self.replaced, []
        if ready:
            self._spare(replaced)
            self.store.put(self._segment(ready), replacing=[row["id"] for row in replaced])
        self.committed = time.monotonic()

    def _spare(self, replaced: Sequence[dict[str, Any]]) -> None:
        """Keeps the vectors of rows that are about to go."""
        contents = {row["id"]: row["sha256"] for row in replaced if row.get("sha256")}
        self.spared |= self._stored(contents)

    def _stored(self, contents: Mapping[str, str]) -> dict[str, FloatArray]:
        """Vectors by content of the rows, those that are there, whose contents are given by id."""
        if not contents:
            return {}
        there = self.store.rows(list(contents))
        if not len(there):
            return {}
        ids = there.items.column("id").to_pylist()
        vectors = zip(ids, there.vectors["image"].matrix, strict=True)
        return {contents[id_]: vector for id_, vector in vectors}

    def _vectors(self, rows: Sequence[_Row]) -> FloatArray:
        """(n, d) of these rows; where they have no features, that of the same content."""
        wanted = {
            self.by_content[row.sha256][0]["id"]: row.sha256
            for row in rows
            if row.features is None and row.sha256 not in self.spared
        }
        known = self.spared | self._stored(wanted)
        vectors = np.empty((len(rows), self.model.dim), dtype=np.float32)
        for at, row in enumerate(rows):
            if row.features is None:
                vectors[at] = known[row.sha256]
        fresh = {at: row.features for at, row in enumerate(rows) if row.features is not None}
        if fresh:
            projected = self.model.image.embed(np.stack(list(fresh.values())))
            vectors[list(fresh)] = projected
        return vectors

    def _segment(self, rows: Sequence[_Row]) -> Segment:
        items = [
            Item(
                id=id_,
                path=row.entry.path,
                sentences=row.entry.sentences,
                label=row.named.get("label", row.entry.label),
                metadata={
                    **row.entry.metadata,
                    **{name: row.named[name] for name in row.named if name != "label"},
                    "folder": row.entry.folder,
                    "sha256": row.sha256,
                    "size": row.entry.size,
                    "modified": row.entry.modified,
                },
            )
            for row, id_ in zip(rows, self._ids(rows), strict=True)
        ]
        told = [place for place, item in enumerate(items) if self.model.text.knows(item.sentences)]
        vectors: dict[Modality, VectorColumn] = {"image": VectorColumn.full(self._vectors(rows))}
        if told:
            texts = self.model.encode_documents([items[place].sentences for place in told])
            vectors["text"] = VectorColumn(texts, np.array(told, dtype=np.int64))
        return Segment(items_table(items), vectors)


def _says_the_same(row: Mapping[str, Any], entry: Entry) -> bool:
    named = _named(row)
    kept = {*COLUMNS, *RESERVED, *named}
    said = {name: value for name, value in row.items() if name not in kept and value is not None}
    return (
        tuple(row["sentences"] or ()) == entry.sentences
        and ("label" in named or row["label"] == entry.label)
        and row["folder"] == entry.folder
        and said == {name: entry.metadata[name] for name in entry.metadata if name not in named}
    )


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """The zero-shot labels of a row with their probabilities, and the column that lists them."""
    columns = row.get(ZERO_SHOT_COLUMNS) or ()
    names = [*columns, *map(probability_column, columns), *([ZERO_SHOT_COLUMNS] if columns else [])]
    return {name: row[name] for name in names}

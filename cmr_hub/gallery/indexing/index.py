"""Updating a gallery from a folder incrementally: only new pictures are encoded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from cmr_hub.datasets.report import ProblemKind, ReadReport
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.gallery.indexing.columns import settled
from cmr_hub.gallery.indexing.encode import Encoded, Encoding, EncodingHere
from cmr_hub.gallery.indexing.entry import Entry
from cmr_hub.gallery.indexing.folder import folder_entries
from cmr_hub.gallery.indexing.summary import Summary, kinds_of
from cmr_hub.gallery.items import (
    COLUMNS,
    FACT_TYPES,
    RESERVED,
    ZERO_SHOT_COLUMNS,
    Item,
    items_table,
    probability_column,
)
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.values import as_text
from cmr_hub.gallery.vectors import VectorColumn

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.store import Store
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

_ID_LENGTH = 32
_COMMIT_ROWS = 4096
_COMMIT_SECONDS = 5.0
_SKIPPED: Final[Sequence[ProblemKind]] = (
    *("unread format", "not a picture", "unexpected file", "broken image"),
)
_REFUSED: Final[Sequence[ProblemKind]] = (
    "unsafe path",
    "unreadable folder",
    "damaged record",
)
_KEPT: Final[Sequence[ProblemKind]] = ("unread table", "changed column")


def index_folder(
    gallery: Gallery,
    folder: str | Path,
    *,
    workers: int | None = None,
    cluster: Literal["ray"] | None = None,
    progress: bool = False,
) -> Summary:
    """Update the rows of a gallery that belong to a folder; other rows stay.

    A picture is not read again if its size and modification time are unchanged, and not encoded
    again if its content is known, even under another path. A row's id is derived from its content.
    What the camera wrote (`datasets.camera.camera_facts`) becomes columns; metadata of the same
    name takes precedence.
    If the run is interrupted, even by a kill, finished work is kept.

    Args:
        gallery: a gallery opened with its model.
        folder: a folder of pictures; see `folder_entries` for their annotations.
        workers: number of processes that decode, default one per two cores; on a cluster, maximum
            number of encoders.
        cluster: "ray" to decode and encode on a cluster, see `EncodingOnRay`; default this machine.
        progress: show a progress bar.

    Raises:
        DataNotFoundError: the folder does not exist or has no pictures; nothing is removed then.
        CMRError: the gallery has no model, the model has no encoders, or the cluster failed.
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
        entries, table = settled(found, table, gallery.store, report)
        skipped = _told(report, _SKIPPED)
        if not entries:
            kinds = "; ".join(["", *kinds_of(skipped + _told(report, _REFUSED))])
            raise DataNotFoundError(f"there are no pictures in {base}{kinds}")
        run = _Run(gallery.store, model, table, entries)
        run.summary.without_image = report.counts.get("missing image", 0)
        run.summary.skipped = skipped
        run.summary.problems = _told(report, _REFUSED)
        run.summary.told = _told(report, _KEPT)
        run.encode_new(encoding, progress=progress)
        unseen = [Path(one.path) for one in report if one.kind == "unreadable folder"]
        run.remove_gone(unseen)
        gallery.calibrate()
        gallery.store.optimise(progress=progress)
    return run.summary


def _told(report: ReadReport, kinds: Sequence[ProblemKind]) -> list[tuple[str, str]]:
    """Return path and reason of the problems of these kinds."""
    return [(one.path, one.detail or one.kind) for one in report if one.kind in kinds]


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
        id: None for a new row, which gets an id when it is written.
        sha256: SHA-256 of its content.
        features: features of its picture; None if a vector of the same content is stored.
        facts: its `camera_facts`.
        named: its zero-shot labels, which must survive indexing, and the column that lists them.
    """

    entry: Entry
    id: str | None
    sha256: str
    features: FloatArray | None
    facts: Mapping[str, Any]
    named: Mapping[str, Any] = field(default_factory=dict)


class _Run:
    """One run over the entries of a folder whose rows in the gallery are `table`."""

    def __init__(
        self,
        store: Store,
        model: CrossModalModel,
        table: pa.Table,
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
        self.texts = {
            *(field.name for field in table.schema if pa.types.is_string(field.type)),
            *(name for one in entries for name, v in one.metadata.items() if isinstance(v, str)),
        }
        """Columns of text, which those of some facts are because of the metadata."""
        for row in table.to_pylist():
            self.known[row["path"]] = row
            self.gone.add(row["id"])
            if row.get("sha256"):
                self.by_content.setdefault(row["sha256"], []).append(row)
        self.ready: list[_Row] = []
        self.replaced: list[dict[str, Any]] = []
        self.spared: dict[str, FloatArray] = {}
        """Vectors, by content, of replaced rows; another picture may have this content now."""
        self.committed = time.monotonic()

    def encode_new(self, encoding: Encoding, *, progress: bool) -> None:
        """Encode new and changed pictures, and commit from time to time."""
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
                        self.ready.append(self._row(entry, picture))
                    late = time.monotonic() - self.committed > _COMMIT_SECONDS
                    if late or len(self.ready) >= _COMMIT_ROWS:
                        self._commit()
                    bar.update()
        finally:  # also if interrupted
            self._commit()

    def remove_gone(self, unseen: Sequence[Path]) -> None:
        """Remove the rows of pictures that no longer exist or are no longer readable.

        Rows below the unreadable folders `unseen` stay, as their pictures may still exist.
        """
        for path, row in self.known.items():
            if any(Path(path).is_relative_to(folder) for folder in unseen):
                self.gone.discard(row["id"])
        self.summary.removed = len(self.gone)
        if self.gone:
            self.store.remove(sorted(self.gone))

    def _is_known(self, entry: Entry) -> bool:
        """Return whether the picture is unchanged; queue its row if its annotations changed."""
        row = self.known.get(str(entry.path))
        if row is None:
            return False
        if row.get("size") != entry.size or not _is_time(row.get("modified"), entry.modified):
            return False
        if row.get("width") is None:  # of an earlier version, which did not read what cameras write
            return False
        self.gone.discard(row["id"])
        if _has_same_annotations(row, entry):
            self.summary.unchanged += 1
        else:
            self.summary.updated += 1
            facts = {name: row.get(name) for name in FACT_TYPES}
            self.ready.append(_Row(entry, row["id"], row["sha256"], None, facts, _named(row)))
        return True

    def _row(self, entry: Entry, picture: Encoded) -> _Row:
        """Return the row for an encoded picture; a moved picture keeps its row."""
        sha256 = picture.sha256
        before = self.known.get(str(entry.path))
        same = self.by_content.get(sha256, [])
        if before is not None and before.get("sha256") == sha256:
            self.summary.updated += 1
            return self._claimed(entry, before, picture)
        if before is not None:
            self.replaced.append(before)
            self.gone.discard(before["id"])
        for row in same:
            if row["id"] in self.gone and row["path"] not in self.here:
                self.summary.moved += 1
                return self._claimed(entry, row, picture)
        if before is None:
            self.summary.added += 1
        else:
            self.summary.updated += 1
        return _Row(entry, None, sha256, picture.features, picture.facts)

    def _claimed(self, entry: Entry, row: Mapping[str, Any], picture: Encoded) -> _Row:
        self.gone.discard(row["id"])
        return _Row(entry, row["id"], row["sha256"], picture.features, picture.facts, _named(row))

    def _ids(self, rows: Sequence[_Row]) -> list[str]:
        """Return the ids of rows; a second copy of the same content gets the suffix `-2`."""
        ids = [row.id for row in rows]
        for copy in count(1):
            missing = [index for index, id_ in enumerate(ids) if id_ is None]
            if not missing:
                break
            suffix = "" if copy == 1 else f"-{copy}"
            candidates = [f"{rows[index].sha256[:_ID_LENGTH]}{suffix}" for index in missing]
            taken = self.store.known(candidates)
            for index, id_ in zip(missing, candidates, strict=True):
                if id_ not in taken:
                    taken.add(id_)
                    ids[index] = id_
        return [id_ for id_ in ids if id_ is not None]

    def _commit(self) -> None:
        """Write the rows that are ready in one step; rows that fail are not retried."""
        ready, self.ready = self.ready, []
        replaced, self.replaced = self.replaced, []
        if ready:
            self._spare(replaced)
            self.store.put(self._segment(ready), replacing=[row["id"] for row in replaced])
        self.committed = time.monotonic()

    def _facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return facts of a camera as the columns of these names hold them."""
        return {
            name: as_text(value) if name in self.texts and value is not None else value
            for name in FACT_TYPES
            for value in [facts.get(name)]
        }

    def _spare(self, replaced: Sequence[dict[str, Any]]) -> None:
        """Keep the vectors of rows that are about to be replaced."""
        contents = {row["id"]: row["sha256"] for row in replaced if row.get("sha256")}
        self.spared |= self._stored(contents)

    def _stored(self, contents: Mapping[str, str]) -> dict[str, FloatArray]:
        """Return stored vectors by content; `contents` maps ids of rows to their content."""
        if not contents:
            return {}
        stored = self.store.rows(list(contents))
        if not len(stored):
            return {}
        ids = stored.items.column("id").to_pylist()
        vectors = zip(ids, stored.vectors["image"].matrix, strict=True)
        return {contents[id_]: vector for id_, vector in vectors}

    def _vectors(self, rows: Sequence[_Row]) -> FloatArray:
        """Return (n, d) vectors: projected features, or the stored vector of the same content."""
        contents = {
            self.by_content[row.sha256][0]["id"]: row.sha256
            for row in rows
            if row.features is None and row.sha256 not in self.spared
        }
        known = self.spared | self._stored(contents)
        vectors = np.empty((len(rows), self.model.dim), dtype=np.float32)
        for index, row in enumerate(rows):
            if row.features is None:
                vectors[index] = known[row.sha256]
        new = {index: row.features for index, row in enumerate(rows) if row.features is not None}
        if new:
            vectors[list(new)] = self.model.image.embed(np.stack(list(new.values())))
        return vectors

    def _segment(self, rows: Sequence[_Row]) -> Segment:
        items = [
            Item(
                id=id_,
                path=row.entry.path,
                sentences=row.entry.sentences,
                label=row.named.get("label", row.entry.label),
                metadata={
                    **self._facts(row.facts),
                    **row.entry.metadata,
                    **{name: row.named[name] for name in row.named if name != "label"},
                    "folder": row.entry.folder,
                    "sha256": row.sha256,
                    "size": row.entry.size,
                    "modified": _time(row.entry.modified),
                },
            )
            for row, id_ in zip(rows, self._ids(rows), strict=True)
        ]
        with_text = [row for row, item in enumerate(items) if self.model.text.knows(item.sentences)]
        vectors: dict[Modality, VectorColumn] = {"image": VectorColumn.full(self._vectors(rows))}
        if with_text:
            texts = self.model.encode_documents([items[row].sentences for row in with_text])
            vectors["text"] = VectorColumn(texts, np.array(with_text, dtype=np.int64))
        return Segment(items_table(items), vectors)


def _time(nanoseconds: int) -> datetime:
    """Return the time in UTC, without a time zone, so that it compares with plain dates."""
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)


def _is_time(stored: object, nanoseconds: int) -> bool:
    """Return whether a stored time is this one; some stores and versions store another type."""
    return str(stored) in (str(_time(nanoseconds)), str(nanoseconds))


def _has_same_annotations(row: Mapping[str, Any], entry: Entry) -> bool:
    named = _named(row)
    others = {*COLUMNS, *RESERVED, *named, *(FACT_TYPES.keys() - entry.metadata.keys())}
    stored = {
        name: value for name, value in row.items() if name not in others and value is not None
    }
    return (
        tuple(row["sentences"] or ()) == entry.sentences
        and ("label" in named or row["label"] == entry.label)
        and row["folder"] == entry.folder
        and stored == {name: entry.metadata[name] for name in entry.metadata if name not in named}
    )


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the zero-shot labels of a row, their probabilities and the column that lists them."""
    columns = row.get(ZERO_SHOT_COLUMNS) or ()
    names = [*columns, *map(probability_column, columns), *([ZERO_SHOT_COLUMNS] if columns else [])]
    return {name: row[name] for name in names}

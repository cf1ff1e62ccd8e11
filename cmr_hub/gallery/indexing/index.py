"""Update a gallery from a folder incrementally: only new pictures are encoded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from cmr_hub.datasets.images import picture_exists
from cmr_hub.datasets.report import ProblemKind, ReadReport
from cmr_hub.datasets.videos import file_of
from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.gallery.indexing.columns import settled
from cmr_hub.gallery.indexing.copies import PictureGroups
from cmr_hub.gallery.indexing.decode import read_place
from cmr_hub.gallery.indexing.encode import Encoded, Encoding, EncodingHere
from cmr_hub.gallery.indexing.entry import Entry, is_time, time_of
from cmr_hub.gallery.indexing.exclude import Excluded
from cmr_hub.gallery.indexing.folder import folder_entries
from cmr_hub.gallery.indexing.ocr import reader
from cmr_hub.gallery.indexing.summary import Summary, kinds_of
from cmr_hub.gallery.indexing.videos import with_frames
from cmr_hub.gallery.items import (
    COLUMNS,
    COPY_OF,
    FACT_TYPES,
    PICTURE_HASH,
    RESERVED,
    TEXT,
    TEXT_PROBLEM,
    ZERO_SHOT_COLUMNS,
    Item,
    items_table,
    probability_column,
)
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.values import as_text
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.paths import as_on_disk, stored_path

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.store import Store
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

_ID_LENGTH = 32
_COMMIT_ROWS = 4096
_COMMIT_SECONDS = 5.0
_READERS = 4
"""Maximum number of files that are read at once to compare their content."""
_SKIPPED: Final[Sequence[ProblemKind]] = (
    *("unread format", "not a picture", "unexpected file", "broken image"),
)
_REFUSED: Final[Sequence[ProblemKind]] = ("unsafe path", "unreadable folder", "damaged record")
_KEPT: Final[Sequence[ProblemKind]] = ("unread table", "changed column")


def index_folder(
    gallery: Gallery,
    folder: str | Path,
    *,
    workers: int | None = None,
    cluster: Literal["ray"] | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    prune: bool = False,
    restore: bool = False,
    ocr: bool = False,
    log: str | Path | None = None,
    metadata: Sequence[str | Path] = (),
    progress: bool = False,
) -> Summary:
    """Update the rows of a gallery that belong to a folder, and keep other rows.

    A picture is not read again if its size and modification time are unchanged. It is not encoded
    again if its content is known, even under another path. Videos are replaced by their frames at
    scene changes; see `videos.with_frames`. The id of a row is derived from the content. If a
    picture is moved, even from another folder, its row is kept and updated. Camera metadata
    (`datasets.camera.camera_facts`) becomes columns; user metadata of the same name takes
    precedence. If the run is interrupted or killed, finished work is kept.

    The row of a missing picture is removed if its folder has other pictures. If the folder is
    missing or has no pictures, its rows are only removed with `prune`, because its drive may not be
    mounted. Pictures removed by `Gallery.remove` are skipped unless `restore` is given.

    With `ocr`, the text in pictures is written to the column `text_in_picture`, also for pictures
    that were indexed without `ocr`. They are not encoded again.

    Args:
        gallery: a gallery opened with its model.
        folder: a folder of pictures; see `folder_entries` for their annotations.
        workers: number of decoding processes. Default: one per two cores. On a cluster, maximum
            number of encoders.
        cluster: "ray" to decode and encode on a cluster; see `EncodingOnRay`. Default: this
            machine.
        exclude: patterns of files and folders to skip; see `Excluded`. Their rows are removed.
        follow_links: follow links to folders, and links that lead out of the folder.
        prune: also remove the rows of folders that are missing or have no pictures.
        restore: index the pictures that `Gallery.remove` removed from this folder.
        ocr: read the text in pictures.
        metadata: tables of metadata, or COCO or FiftyOne annotations, that are not in the folder or
            have another name; see `picture_annotations`.
        log: file to which all skipped files are written; see `Summary.write_log`.
        progress: show a progress bar.

    Raises:
        DataNotFoundError: the folder does not exist or has no pictures, and there are no rows to
            prune. Nothing is removed.
        CMRError: the gallery has no model, the model has no encoders, the cluster failed, or
            RapidOCR is not installed.
        GalleryInUseError: another process is writing to the gallery.
    """
    base = as_on_disk(Path(stored_path(Path(folder).expanduser())))
    report = ReadReport()
    model = gallery.model
    if model is None or not model.text.has_encoder:
        raise CMRError("indexing needs a gallery opened with a model that has encoders")
    excluded = Excluded(exclude, base)
    tables = [Path(stored_path(Path(path).expanduser())) for path in metadata]
    if ocr:
        reader()
    with _encoding(model, cluster, workers, ocr=ocr) as encoding, gallery.store.writing():
        table = gallery.store.table_below(base.as_posix())
        found = []
        if base.is_dir() or not (prune and len(table)):
            for entry in folder_entries(
                base, report, excluded, follow_links=follow_links, metadata=tables
            ):
                found.append(entry)
                encoding.expect(len(found) - len(table))
        found = with_frames(found, gallery.store, base, report, workers=workers, progress=progress)
        encoding.expect(len(found) - len(table))
        entries, table = settled(found, table, gallery.store, report)
        skipped = _problems(report, _SKIPPED)
        if not entries and not (prune and len(table)):
            kinds = kinds_of(skipped + _problems(report, _REFUSED))
            if log is not None:
                Summary(skipped=skipped, problems=_problems(report, _REFUSED)).write_log(log)
            if len(table):
                kinds.append(f"its {len(table):,} pictures remain in the gallery without --prune")
            raise DataNotFoundError("; ".join([f"there are no pictures in {base}", *kinds]))
        run = _Run(gallery.store, model, table, entries, base, restore=restore, ocr=ocr)
        run.summary.without_image = report.counts.get("missing image", 0)
        run.summary.skipped = skipped
        run.summary.problems = _problems(report, _REFUSED)
        run.summary.told = _problems(report, _KEPT)
        run.encode_new(encoding, progress=progress)
        if restore:
            run.forget_removals()
        unseen = [Path(one.path) for one in report if one.kind == "unreadable folder"]
        run.remove_gone(unseen, excluded, prune=prune)
        gallery.calibrate()
        gallery.store.optimise(progress=progress)
    if log is not None:
        run.summary.write_log(log)
    return run.summary


def _problems(report: ReadReport, kinds: Sequence[ProblemKind]) -> list[tuple[str, str]]:
    """Return the path and reason of each problem of these kinds."""
    return [(one.path, one.detail or one.kind) for one in report if one.kind in kinds]


def _encoding(
    model: CrossModalModel, cluster: Literal["ray"] | None, workers: int | None, *, ocr: bool
) -> Encoding:
    if cluster == "ray":
        from cmr_hub.gallery.indexing.cluster import EncodingOnRay

        return EncodingOnRay(model, workers, ocr=ocr)
    return EncodingHere(model, workers, ocr=ocr)


@dataclass(frozen=True, eq=False)
class _Row:
    """A row to be written.

    Attributes:
        entry: entry of the picture.
        id: id of an existing row; None for a new row, which gets an id when it is written.
        picture: content of the picture, without features if the vector of the content is stored.
        copy_of: id of the first copy of the same picture.
        is_compared: whether `copy_of` is known.
        named: zero-shot labels, which indexing keeps, and the column that lists them.
    """

    entry: Entry
    id: str | None
    picture: Encoded
    copy_of: str | None = None
    is_compared: bool = False
    named: Mapping[str, Any] = field(default_factory=dict)


class _Run:
    """A run over the entries of a folder. `table` has the existing rows of the folder."""

    def __init__(
        self,
        store: Store,
        model: CrossModalModel,
        table: pa.Table,
        entries: Sequence[Entry],
        base: Path,
        *,
        restore: bool,
        ocr: bool,
    ) -> None:
        self.store, self.model, self.base = store, model, base
        self.entries, self.ocr = entries, ocr
        self.here = {entry.path.as_posix() for entry in entries}
        self.summary = Summary(
            pictures=len(entries),
            without_caption=sum(not entry.sentences for entry in entries),
        )
        self.known: dict[str, dict[str, Any]] = {}
        self.by_content: dict[str, list[dict[str, Any]]] = {}
        self.gone: set[str] = set()
        """Ids of rows of this folder without an entry so far."""
        self.lost: set[str] = set()
        """Ids of rows of other folders whose file is missing."""
        self.new: list[str] = []
        """SHA-256 of the pictures with new rows."""
        self.moved_from: set[Path] = set()
        """Other folders from which pictures were moved."""
        self.dismissed = set() if restore else set(store.dismissed.column("sha256").to_pylist())
        self.texts = {
            *(field.name for field in table.schema if pa.types.is_string(field.type)),
            *(name for one in entries for name, v in one.metadata.items() if isinstance(v, str)),
        }
        """Text columns, including camera facts that metadata turned into text."""
        for row in table.to_pylist():
            self.known[row["path"]] = row
            self.gone.add(row["id"])
            if row.get("sha256"):
                self.by_content.setdefault(row["sha256"], []).append(row)
        self.ready: list[_Row] = []
        self.replaced: list[dict[str, Any]] = []
        self.spared: dict[str, FloatArray] = {}
        """Vectors of replaced rows by content, because another picture may have the same
        content."""
        self.groups: PictureGroups | None = None
        self.ignored: set[str] = set()
        """Ids of rows whose file is missing or has changed, so that they cannot have copies."""
        self.committed = time.monotonic()

    def encode_new(self, encoding: Encoding, *, progress: bool) -> None:
        """Encode new and changed pictures, with regular commits."""
        new = [entry for entry in self.entries if not self._is_known(entry)]
        bar = tqdm(
            total=len(new), desc="indexing", unit="image", disable=None if progress else True
        )
        try:
            with bar:
                unknown = []
                for entry, known in self._recognised(new):
                    if known is None:
                        unknown.append(entry)
                    else:
                        self._add(entry, known)
                        bar.update()
                for entry, picture in encoding.encoded(unknown, self.by_content):
                    if picture.problem:
                        self.summary.unreadable[str(entry.path)] = picture.problem
                    else:
                        self._add(entry, picture)
                        if why := picture.facts.get(TEXT_PROBLEM):
                            self.summary.unread_text[str(entry.path)] = why
                    bar.update()
        finally:  # also if interrupted
            self._commit()

    def remove_gone(self, unseen: Sequence[Path], excluded: Excluded, *, prune: bool) -> None:
        """Remove the rows of missing and unreadable pictures.

        Rows below the unreadable folders `unseen` are kept, because their pictures may exist. Rows
        of folders without pictures are kept unless `prune`.
        """
        alive = {self.base}
        for entry in self.entries:
            folder = entry.path.parent
            while folder not in alive:
                alive.add(folder)
                folder = folder.parent
        for name, row in self.known.items():
            path = Path(name)
            if row["id"] not in self.gone or excluded(file_of(path)):
                continue
            if any(path.is_relative_to(folder) for folder in unseen):
                self.gone.discard(row["id"])
            elif path.parent not in alive and not prune:
                self.gone.discard(row["id"])
                self.summary.kept[str(path.parent)] += 1
        self.summary.removed = len(self.gone)
        if self.gone:
            self.store.remove(sorted(self.gone))
        for folder in self.moved_from:
            if not folder.exists() and (left := len(self.store.table_below(folder.as_posix()))):
                self.summary.kept[str(folder)] = left

    def forget_removals(self) -> None:
        """Remove the pictures of this folder from the list of dismissed pictures."""
        before = self.store.dismissed
        is_here = pc.starts_with(before.column("path"), f"{self.base.as_posix().rstrip('/')}/")
        is_back = pc.is_in(before.column("sha256"), value_set=pa.array(self.new, pa.string()))
        self.store.set_dismissed(before.filter(pc.invert(pc.or_(is_here, is_back))))

    def _is_known(self, entry: Entry) -> bool:
        """Return whether a picture is unchanged. Queue its row if its annotations changed."""
        row = self.known.get(entry.path.as_posix())
        if row is None:
            return False
        if row.get("size") != entry.size or not is_time(row.get("modified"), entry.modified):
            return False
        if not self._is_complete(row):
            return False
        self.gone.discard(row["id"])
        if _has_same_annotations(row, entry):
            self.summary.unchanged += 1
        else:
            self.summary.updated += 1
            self.ready.append(self._kept(entry, row))
        return True

    def _is_complete(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has all facts that this run needs."""
        needed = (PICTURE_HASH, "width", *([TEXT] if self.ocr else []))
        return all(row.get(name) is not None for name in needed)

    def _recognised(self, new: Sequence[Entry]) -> Iterator[tuple[Entry, Encoded | None]]:
        """Yield new entries, with the picture if its content has a row or was dismissed.

        Only files with a known size are read.
        """
        sizes = {entry.size for entry in new}
        for row in self.store.table_sized(sizes).to_pylist() if new else ():
            if row["path"] not in self.known and row.get("sha256"):
                self.by_content.setdefault(row["sha256"], []).append(row)
                if not picture_exists(Path(row["path"])):
                    self.lost.add(row["id"])
        known_sizes = {row["size"] for rows in self.by_content.values() for row in rows}
        known_sizes.update(self.store.dismissed.column("size").to_pylist())
        pool = ThreadPoolExecutor(_READERS)
        try:
            read = [
                pool.submit(_sha256, entry) if entry.size in known_sizes else None for entry in new
            ]
            for entry, result in zip(new, read, strict=True):
                sha256 = "" if result is None else result.result()
                same = self.by_content.get(sha256, ())
                stored = next(filter(self._is_complete, same), None)
                if stored is not None:
                    yield entry, _picture_of(stored)
                elif (
                    sha256 in self.dismissed
                    and not same
                    and entry.path.as_posix() not in self.known
                ):
                    yield entry, Encoded(sha256, None)
                else:
                    yield entry, None
        finally:
            pool.shutdown(cancel_futures=True)

    def _add(self, entry: Entry, picture: Encoded) -> None:
        """Queue the row of a picture, unless it was dismissed. A moved picture keeps its row."""
        before = self.known.get(entry.path.as_posix())
        row = self._row_of(entry, picture, before)
        if row is not None:
            self.ready.append(self._kept(entry, row, picture))
        elif before is None and picture.sha256 in self.dismissed:
            self.summary.left_out += 1
        else:
            if before is None:
                self.summary.added += 1
            else:
                self.replaced.append(before)
                self.gone.discard(before["id"])
                self.summary.updated += 1
            self.ready.append(_Row(entry, None, picture))
            self.new.append(picture.sha256)
        late = time.monotonic() - self.committed > _COMMIT_SECONDS
        if late or len(self.ready) >= _COMMIT_ROWS:
            self._commit()

    def _row_of(
        self, entry: Entry, picture: Encoded, before: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        """Return the existing row of a picture, or the row of a missing file with the same
        content."""
        if before is not None and before.get("sha256") == picture.sha256:
            self.summary.updated += 1
            return before
        for row in self.by_content.get(picture.sha256, ()):
            is_gone = row["id"] in self.gone and row["path"] not in self.here
            if is_gone or row["id"] in self.lost:
                if before is not None:
                    self.replaced.append(before)
                    self.gone.discard(before["id"])
                self.summary.moved += 1
                if row["id"] in self.lost:
                    self.moved_from.add(_moved_folder(Path(row["path"]), entry.path))
                return row
        return None

    def _kept(self, entry: Entry, row: Mapping[str, Any], picture: Encoded | None = None) -> _Row:
        """Return a row to be written for an existing row, with its id, labels and `copy_of`."""
        self.gone.discard(row["id"])
        self.lost.discard(row["id"])
        is_compared = row.get(PICTURE_HASH) is not None
        picture = picture or _picture_of(row)
        return _Row(entry, row["id"], picture, row.get(COPY_OF), is_compared, _named(row))

    def _ids(self, rows: Sequence[_Row]) -> list[str]:
        """Return the ids of rows. The second row with the same content gets the suffix `-2`."""
        ids = [row.id for row in rows]
        for copy in count(1):
            missing = [index for index, id_ in enumerate(ids) if id_ is None]
            if not missing:
                break
            suffix = "" if copy == 1 else f"-{copy}"
            contents = [rows[index].picture.sha256 for index in missing]
            # For a frame, the time follows the 64 digits.
            candidates = [f"{one[:_ID_LENGTH]}{one[64:]}{suffix}" for one in contents]
            taken = self.store.known(candidates)
            for index, id_ in zip(missing, candidates, strict=True):
                if id_ not in taken:
                    taken.add(id_)
                    ids[index] = id_
        return [id_ for id_ in ids if id_ is not None]

    def _commit(self) -> None:
        """Write the queued rows in one step. They are not retried after an error."""
        ready, self.ready = self.ready, []
        replaced, self.replaced = self.replaced, []
        if ready:
            # Another picture may have the content of a replaced row.
            contents = {row["id"]: row["sha256"] for row in replaced if row.get("sha256")}
            self.spared |= self._stored(contents)
            self.ignored.update(row["id"] for row in replaced)
            self.store.put(self._segment(ready), replacing=[row["id"] for row in replaced])
        self.committed = time.monotonic()

    def _facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return camera facts with the types of their columns."""
        return {
            name: as_text(value) if name in self.texts and value is not None else value
            for name in FACT_TYPES
            for value in [facts.get(name)]
        }

    def _stored(self, contents: Mapping[str, str]) -> dict[str, FloatArray]:
        """Return stored vectors by content. `contents` maps ids of rows to contents."""
        if not contents:
            return {}
        stored = self.store.rows(list(contents))
        if not len(stored):
            return {}
        ids = stored.items.column("id").to_pylist()
        vectors = zip(ids, stored.vectors["image"].matrix, strict=True)
        return {contents[id_]: vector for id_, vector in vectors}

    def _vectors(self, rows: Sequence[_Row]) -> FloatArray:
        """Return the (n, d) projected features, or stored vectors of the same contents."""
        pictures = [row.picture for row in rows]
        contents = {
            self.by_content[picture.sha256][0]["id"]: picture.sha256
            for picture in pictures
            if picture.features is None and picture.sha256 not in self.spared
        }
        known = self.spared | self._stored(contents)
        vectors = np.empty((len(rows), self.model.dim), dtype=np.float32)
        new = {}
        for index, picture in enumerate(pictures):
            if picture.features is None:
                vectors[index] = known[picture.sha256]
            else:
                new[index] = picture.features
        if new:
            vectors[list(new)] = self.model.image.embed(np.stack(list(new.values())))
        return vectors

    def _copies(self, rows: Sequence[_Row], ids: Sequence[str]) -> list[str | None]:
        """Return the id of the first copy of each row that is a copy, in local galleries only."""
        copies = [row.copy_of for row in rows]
        compared = [index for index, row in enumerate(rows) if not row.is_compared]
        if not compared or not isinstance(self.store, LocalStore):
            return copies
        if self.groups is None:
            paths = {row["id"]: path for path, row in self.known.items()}
            self.ignored.update(id_ for id_ in self.gone if paths[id_] not in self.here)
            self.groups = PictureGroups(self.store.table(), self.ignored)
        found = self.groups.copies_of(
            [
                (
                    ids[index],
                    rows[index].entry.path.as_posix(),
                    picture.sha256,
                    picture.facts[PICTURE_HASH],
                )
                for index in compared
                for picture in [rows[index].picture]
            ]
        )
        for index, copy_of in zip(compared, found, strict=True):
            copies[index] = copy_of
        return copies

    def _segment(self, rows: Sequence[_Row]) -> Segment:
        ids = self._ids(rows)
        items = [
            Item(
                id=id_,
                path=row.entry.path,
                sentences=row.entry.sentences,
                label=row.named.get("label", row.entry.label),
                metadata={
                    **self._facts(row.picture.facts),
                    **row.entry.metadata,
                    **{name: row.named[name] for name in row.named if name != "label"},
                    "folder": row.entry.folder,
                    "sha256": row.picture.sha256,
                    "size": row.entry.size,
                    "modified": time_of(row.entry.modified),
                    PICTURE_HASH: row.picture.facts[PICTURE_HASH],
                    COPY_OF: copy_of,
                    **({} if text is None else {TEXT: text}),
                },
            )
            for row, id_, copy_of in zip(rows, ids, self._copies(rows, ids), strict=True)
            for text in [row.picture.facts.get(TEXT)]
        ]
        with_text = [row for row, item in enumerate(items) if self.model.text.knows(item.sentences)]
        vectors: dict[Modality, VectorColumn] = {"image": VectorColumn.full(self._vectors(rows))}
        if with_text:
            texts = self.model.encode_documents([items[row].sentences for row in with_text])
            vectors["text"] = VectorColumn(texts, np.array(with_text, dtype=np.int64))
        return Segment(items_table(items), vectors)


def _picture_of(row: Mapping[str, Any]) -> Encoded:
    """Return the picture of a row, without features."""
    facts = {name: row.get(name) for name in (*FACT_TYPES, PICTURE_HASH, TEXT)}
    return Encoded(row["sha256"], None, facts=facts)


def _sha256(entry: Entry) -> str:
    """Return the SHA-256 of a picture, or "" if it cannot be read."""
    try:
        return entry.place.sha256 or hashlib.sha256(read_place(entry.place)).hexdigest()
    except OSError:
        return ""


def _moved_folder(before: Path, now: Path) -> Path:
    """Return the folder that moved: `/a` if `/a/x/1.jpg` is now `/b/x/1.jpg`."""
    old, new = before.parent, now.parent
    while old.name and old.name == new.name:
        old, new = old.parent, new.parent
    return old


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
    """Return the zero-shot labels and probabilities of a row, and the column that lists them."""
    columns = row.get(ZERO_SHOT_COLUMNS) or ()
    names = [*columns, *map(probability_column, columns), *([ZERO_SHOT_COLUMNS] if columns else [])]
    return {name: row[name] for name in names}

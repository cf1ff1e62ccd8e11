"""Local storage of a gallery, in memory or in a directory."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.gallery.directory import GalleryDirectory
from cmr_hub.gallery.items import joined_tables, picked
from cmr_hub.gallery.manifest import FILE_NAME, Manifest, holds_gallery
from cmr_hub.gallery.rows import GraphPart, Rows
from cmr_hub.gallery.stored import (
    DISMISSED,
    NONE_DISMISSED,
    expect,
    read_dismissed,
    read_neutral,
    read_rows,
    rows_of,
    write_rows,
)
from cmr_hub.gallery.vectors import refuse_other_lengths
from cmr_hub.paths import stored_path

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.graph import Graph
    from cmr_hub.gallery.segment import Segment
    from cmr_hub.gallery.store import Found
    from cmr_hub.gallery.text_in_pictures import TextCondition
    from cmr_hub.gallery.where import Where
    from cmr_hub.types import FloatArray, Modality

EXACT_LIMIT = 200_000
"""Maximum number of vectors for exact search; measured in docs/scale.md."""
TAIL_LIMIT = 10_000
"""Maximum number of new vectors compared one by one before they are added to the graph."""

_CHECK_EVERY = 1e-3
"""Minimum seconds between two looks at the manifest: one search reads the rows several times."""


class LocalStore:
    """A store on this machine; implements `store.Store`.

    Changes that other stores make to the directory are read before each result. Those of other
    processes are noticed after at most a millisecond.

    Args:
        model_id: fingerprint of the model that makes the vectors.
        model_name: the name under which `cmr_hub.load` finds the model.
    """

    _commits = 0
    """Number of commits of all stores of this process, whose changes are read at once."""

    def __init__(self, model_id: str, model_name: str | None = None) -> None:
        self.model_id, self.model_name = model_id, model_name
        self.directory: GalleryDirectory | None = None
        self._manifest: Manifest | None = None
        self._rows = Rows()
        self._neutral: Neutral | None = None
        self._dismissed = NONE_DISMISSED
        self._root: str | None = None
        self._writing = RLock()
        self._stamp: tuple[int, int, int] | None = None
        self._checked, self._seen = 0.0, -1
        self._changes = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the path of a directory, or the contents of a store in memory.

        A copy opens the same directory, so changes by either are visible to both.
        """
        if self.directory is not None:
            return {"directory": self.directory.path, "root": self._root}
        names = ("model_id", "model_name", "_rows", "_neutral", "_dismissed")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "directory" in state:
            vars(self).update(vars(type(self).open(state["directory"], root=state["root"])))
            return
        self.__init__(state["model_id"], state["model_name"])  # type: ignore[misc]
        for name in ("_rows", "_neutral", "_dismissed"):
            setattr(self, name, state[name])

    @classmethod
    def create(cls, directory: str | Path, model_id: str, model_name: str | None = None) -> Self:
        """Create an empty gallery in a new or empty directory.

        Raises:
            ModelFormatError: the directory is not empty.
            GalleryInUseError: another process is writing to the directory.
        """
        store = cls(model_id, model_name)
        store.directory = GalleryDirectory(directory)
        store.directory.claim()
        with store.directory.writing():
            if holds_gallery(store.directory.path):
                raise ModelFormatError(f"{directory} is already a gallery: open it, or remove it")
            store._commit(Rows())
        return store

    @classmethod
    def open(cls, directory: str | Path, *, root: str | Path | None = None) -> Self:
        """Open a gallery, and verify the checksums of small files.

        Args:
            directory: directory of the gallery.
            root: new location of the pictures' common folder, if it has moved.

        Raises:
            ModelFormatError: the directory is not a gallery, the gallery is incomplete, or another
                version wrote it.
        """
        stamp = _stamp_of(Path(directory))
        manifest, rows = read_rows(Path(directory), root)
        store = cls(manifest.model_id, manifest.model_name)
        store.directory = GalleryDirectory(directory)
        store._manifest, store._rows, store._stamp = manifest, rows, stamp
        store._neutral = read_neutral(store.directory.path, manifest)
        store._dismissed = read_dismissed(store.directory.path, manifest)
        store._root = None if root is None else stored_path(root)
        return store

    def __len__(self) -> int:
        return len(self._current())

    @property
    def dim(self) -> int | None:
        return self._current().dim

    @property
    def targets(self) -> tuple[Modality, ...]:
        return tuple(self._current().vector_counts)

    @property
    def vector_counts(self) -> dict[Modality, int]:
        return self._current().vector_counts

    @property
    def changes(self) -> int:
        self._current()
        return self._changes

    @property
    def neutral(self) -> Neutral | None:
        self._current()
        return self._neutral

    def keep_neutral(self, neutral: Neutral) -> None:
        with self.writing():
            self._neutral = neutral
            self._commit(self._rows)

    @property
    def removed(self) -> int:
        """Number of removed rows that occupy space until `compact`."""
        return len(self._current().removed)

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        if not len(rows):
            return
        with self.writing():
            old = self._rows
            # Check that the columns are compatible before anything is written.
            joined_tables([part.items.slice(0, 0) for part in (*old.segments, rows)])
            gone = old.numbers([*rows.items.column("id").to_pylist(), *replacing])
            removed = np.union1d(old.removed, gone)
            self._commit(Rows([*old.segments, rows], removed, old.graphs))

    def remove(self, ids: Sequence[str], *, dismiss: bool = False) -> int:
        with self.writing():
            old = self._rows
            gone = old.numbers(ids)
            if len(gone):
                if dismiss and set(DISMISSED.names) <= set(old.table.column_names):
                    pictures = picked(old.table, gone).select(DISMISSED.names).cast(DISMISSED)
                    pictures = pictures.filter(pc.is_valid(pictures.column("sha256")))
                    self._dismissed = pa.concat_tables([self._dismissed, pictures])
                self._commit(Rows(old.segments, np.union1d(old.removed, gone), old.graphs))
        return len(gone)

    @property
    def dismissed(self) -> pa.Table:
        self._current()
        return self._dismissed

    def set_dismissed(self, dismissed: pa.Table) -> None:
        with self.writing():
            self._dismissed = dismissed
            self._commit(self._rows)

    @property
    def copies(self) -> Mapping[str, int]:
        return self._current().copies

    def set_columns(self, columns: pa.Table) -> None:
        with self.writing():
            old = self._rows
            changed = [segment.with_columns(columns) for segment in old.segments]
            self._commit(Rows(changed, old.removed, old.graphs))

    def table(self, where: Where | None = None) -> pa.Table:
        rows = self._current()  # a snapshot, because another thread may be writing
        if where is None or not len(rows):
            return rows.items
        return rows.table.filter(pa.array(rows.filtered(where)))

    def table_below(self, folder: str) -> pa.Table:
        items = self._current().items
        # The filter drops items without a path, for which the condition is null.
        return items.filter(pc.starts_with(items.column("path"), f"{folder.rstrip('/')}/"))

    def table_sized(self, sizes: Collection[int]) -> pa.Table:
        items = self._current().items
        if "size" not in items.column_names:
            return items.slice(0, 0)
        wanted = pa.array(list(sizes), pa.int64())
        return items.filter(pc.is_in(items.column("size"), value_set=wanted))

    def known(self, ids: Sequence[str]) -> set[str]:
        return self._current().known(ids)

    def rows(self, ids: Sequence[str]) -> Segment:
        rows = self._current()
        return rows.take(rows.numbers(ids))

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[Found]:
        return self._current().search(queries, count, target, where)

    @property
    def has_text(self) -> bool:
        return self._current().has_text

    def search_words(
        self,
        query: npt.NDArray[np.float64],
        words: Sequence[str],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[tuple[float, Found]]:
        return self._current().search_words(query, words, count, target, where)

    def optimise(self, *, progress: bool = False) -> None:
        """Update the graph of each modality with more than `EXACT_LIMIT` vectors."""
        with self.writing():
            rows, graphs = self._rows, dict(self._rows.graphs)
            for target in rows.vector_counts:
                columns = [column.matrix for column in rows.columns(target)]
                total = sum(map(len, columns))
                part = rows.graphs.get(target)
                if total <= EXACT_LIMIT or total - rows.in_graph(target) <= TAIL_LIMIT:
                    continue
                graph = None if part is None else part.load_own()
                graph = _extended(graph, columns, target, progress=progress)
                graphs[target] = GraphPart(len(rows.segments), partial(_loaded, graph))
            if graphs != rows.graphs:
                self._commit(Rows(rows.segments, rows.removed, graphs))

    def compact(self, *, progress: bool = False) -> None:
        """Merge all segments, and free the space of removed rows."""
        with self.writing():
            if len(self._rows.segments) > 1 or self.removed:
                self._commit(self._rows.merged(0))
            self.optimise(progress=progress)

    def verify(self) -> None:
        """Read all files, and check them for damage and consistency.

        Raises:
            ModelFormatError: a file is damaged; the message names it.
        """
        if self.directory is not None and self._manifest is not None:
            path = self.directory.path
            manifest, rows = read_rows(path, None, whole=True)
            where = f"{path}: "
        else:
            manifest, rows, where = None, self._current(), ""
        ids = rows.items.column("id").to_pylist()
        if len(set(ids)) < len(ids):
            raise ModelFormatError(
                f"{where}{len(ids) - len(set(ids))} rows have the id of another row: index again"
            )
        for target in rows.vector_counts:
            for column in rows.columns(target):
                refuse_other_lengths(target, column.matrix)
        for target in rows.graphs:
            rows.nearest(target)
        if manifest is not None:
            expect(f"{where}vectors", rows.vector_counts, manifest.vectors)

    def facts(self) -> dict[str, str]:
        rows = self._current()
        engines = {name: "graph" if name in rows.graphs else "exact" for name in self.targets}
        facts = {
            "search": ", ".join(f"{name}: {engine}" for name, engine in engines.items()),
            "columns": ", ".join(rows.table.column_names),
            "removed": f"{self.removed:,} rows that `cmr gallery compact` would free",
        }
        if len(self._dismissed):
            facts["left out"] = (
                f"{len(self._dismissed):,} removed pictures, which `cmr index` skips"
            )
        if self._manifest is not None:
            size = sum(record.bytes or 0 for record in self._manifest.files.values())
            facts["on disk"] = f"{size / 2**20:,.1f} MiB, {len(self._manifest.segments)} segments"
        return facts

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock out other writers, after reading their changes.

        Threads that write to a gallery in memory wait for each other.

        Raises:
            GalleryInUseError: another process or thread is writing to the directory.
            ModelFormatError: a gallery of another model has replaced this gallery.
        """
        if self.directory is None:
            with self._writing:
                yield
            return
        with self.directory.writing(), self._writing:
            if self._manifest is not None:
                self._reload(self.directory.path)
            yield

    def discard(self, *, keep_folder: bool = False) -> None:
        """Remove the gallery from disk, and its folder if it has no other files."""
        if self.directory is not None:
            with self.directory.writing():
                self.directory.clear()
            self.directory.forget_lock()
            if not keep_folder:
                with suppress(OSError):  # not empty
                    self.directory.path.rmdir()

    def save(self, directory: str | Path, *, root: str | None = None) -> None:
        """Write a compact copy to another directory, replacing an existing gallery.

        Args:
            directory: a new or empty directory, or the directory of a gallery.
            root: future folder of the pictures, relative to `directory`. Default: their current
                folder.

        Raises:
            ModelFormatError: the directory exists and is not a gallery.
            GalleryInUseError: another process is writing to the directory.
        """
        copy = LocalStore(self.model_id, self.model_name)
        copy.directory, copy._neutral = GalleryDirectory(directory), self._neutral
        is_new = copy.directory.claim()
        with copy.directory.writing():
            rows = self._current()
            needs_merge = len(rows.segments) > 1 or len(rows.removed)
            copy._commit(rows.merged(0) if needs_merge else rows, keep_files=False, root=root)
            copy.optimise()
        if is_new:
            copy.directory.forget_lock()

    def _current(self) -> Rows:
        """Return the rows after reading the changes of other writers.

        Raises:
            ModelFormatError: an incomplete gallery or one of another model has replaced this one.
        """
        now, commits = time.monotonic(), LocalStore._commits
        is_due = now - self._checked > _CHECK_EVERY or self._seen != commits
        if is_due and self.directory is not None and self._manifest is not None:
            stamp = _stamp_of(self.directory.path)
            # If this store is writing, its rows are current. A removed gallery remains open.
            is_new = stamp is not None and stamp != self._stamp
            if is_new and self._writing.acquire(blocking=False):
                try:
                    self._reload(self.directory.path)
                finally:
                    self._writing.release()
            self._checked, self._seen = now, commits
        return self._rows

    def _reload(self, path: Path) -> None:
        """Read the changes of other writers. The caller holds `_writing`."""
        stamp = _stamp_of(path)
        current = Manifest.read(path)
        if current.model_id != self.model_id:
            raise ModelFormatError(
                f"{path} is now a gallery of model {shown(current.model_id)}, not of "
                f"{shown(self.model_id)}: open it again"
            )
        if current != self._manifest:
            self._manifest, self._rows = read_rows(path, self._root, known=self._rows)
            self._neutral = read_neutral(path, self._manifest)
            self._dismissed = read_dismissed(path, self._manifest)
            self._changes += 1
        self._stamp = stamp

    def _commit(self, rows: Rows, *, keep_files: bool = True, root: str | None = None) -> None:
        """Replace the content of the gallery by these rows, reusing existing files."""
        rows = _merged_tail(rows)
        if self.directory is not None:
            old = self._manifest.files if self._manifest is not None and keep_files else {}
            manifest = write_rows(
                self.directory,
                rows,
                old,
                self.model_id,
                self.model_name,
                neutral=self._neutral,
                dismissed=self._dismissed,
                root=root,
            )
            self.directory.commit(manifest)
            LocalStore._commits += 1
            rows = rows_of(self.directory.path, manifest, self._root, rows)
            self._manifest, self._stamp = manifest, _stamp_of(self.directory.path)
        self._rows = rows
        self._changes += 1


def _merged_tail(rows: Rows) -> Rows:
    """Merge the last segments so that each segment is at least twice as long as all later ones.

    This limits the number of segments, and rewrites a row only once per doubling of the gallery.
    """
    covered = max((part.segments for part in rows.graphs.values()), default=0)
    first = last = len(rows.segments) - 1
    length = len(rows.segments[-1]) if rows.segments else 0
    while first > covered and len(rows.segments[first - 1]) < 2 * length:
        first -= 1
        length += len(rows.segments[first])
    return rows.merged(first) if 0 <= first < last else rows


def _stamp_of(directory: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when the manifest is replaced; None without a manifest.

    It takes microseconds, so it can be called before every result.
    """
    try:
        # Not Path.stat: creating the path takes ten times as long.
        status = os.stat(f"{directory}/{FILE_NAME}")  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _loaded(graph: Graph) -> Graph:
    return graph


def _extended(
    graph: Graph | None,
    columns: Sequence[FloatArray],
    target: Modality,
    *,
    progress: bool,
) -> Graph:
    """Add the missing vectors to a graph, which is created if it is None."""
    from cmr_hub.gallery.graph import Graph

    graph = graph or Graph.for_vectors(columns)
    skip, missing = len(graph), []
    for matrix in columns:
        missing.append(matrix[min(skip, len(matrix)) :])
        skip -= min(skip, len(matrix))
    with tqdm(
        total=sum(map(len, missing)),
        desc=f"graph of {target} vectors",
        unit="vector",
        disable=None if progress else True,
    ) as bar:
        for added in graph.add(missing):
            bar.update(added)
    return graph

"""A set of items with their vectors: searched by cosine, kept in a directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from cmr_hub.atomic import atomic_directory
from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import ImageError, ModelFormatError, QueryError
from cmr_hub.gallery.hit import Hit
from cmr_hub.gallery.items import COLUMNS, checked_items, join_root, split_root
from cmr_hub.gallery.manifest import EMBEDDINGS, FILE_NAME, FORMAT_VERSION, ITEMS, Manifest
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, IntArray

NORM_TOLERANCE = 1e-3
SPARE = 16
"""Rows fetched beyond those asked for, so that near ties can be settled exactly."""


class Gallery:
    """Items and their unit vectors, for images, texts, or both.

    Args:
        items: a table as `items.items_table` makes it; row i belongs to row i of the vectors.
        image_embeddings: (N, d) float32 unit rows, or None for a gallery of texts.
        text_embeddings: (N, d) likewise, or None for a gallery of images.
        model_id: names the model that made the vectors; vectors of two models do not mix.

    Raises:
        ModelFormatError: no vectors, lengths that differ, or rows not finite or not of length 1.

    Example:
        >>> gallery = Gallery(items_table(items), image_embeddings=rows, model_id="a1b2")
        >>> [hit.path for hit in gallery.search(vector, k=5)]
    """

    def __init__(
        self,
        items: pa.Table,
        *,
        image_embeddings: npt.ArrayLike | None = None,
        text_embeddings: npt.ArrayLike | None = None,
        model_id: str,
    ) -> None:
        self.items = checked_items(items)
        self.model_id = model_id
        self.embeddings: dict[Modality, FloatArray] = {}
        """The vectors by target."""
        given: dict[Modality, npt.ArrayLike | None] = {
            "image": image_embeddings,
            "text": text_embeddings,
        }
        for target, rows in given.items():
            if rows is not None:
                self.embeddings[target] = _unit_rows(target, rows, len(self.items))
        widths = {rows.shape[1] for rows in self.embeddings.values()}
        if len(widths) != 1:
            raise ModelFormatError(
                "image and text vectors differ in width: they are not of one model"
                if widths
                else "a gallery needs image_embeddings, text_embeddings, or both"
            )
        self.dim: int = widths.pop()
        self._indexes: dict[Modality, Any] = {}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def targets(self) -> tuple[Modality, ...]:
        """What can be searched: "image", "text" or both."""
        return tuple(self.embeddings)

    def search(
        self, vector: npt.ArrayLike, k: int = 10, target: Modality = "image", offset: int = 0
    ) -> list[Hit]:
        """The k items whose image (or text) is most similar to one vector.

        Args:
            vector: (d,), of any length but zero, made by the gallery's model.
            k: how many; fewer come back where the gallery, or what `offset` leaves, is smaller.
            target: which of the items' vectors to compare with.
            offset: how many of the best to pass over: page 3 of 10 hits is offset=20.

        Returns:
            Hits, best first; ties in the order of the gallery. So pages neither repeat nor skip.

        Raises:
            QueryError: the vector, k, target or offset cannot be used; the message says why.
        """
        query = np.asarray(vector)
        if query.ndim != 1:
            raise QueryError(
                f"search takes one vector of {self.dim} numbers, not shape {query.shape}"
            )
        return self.search_many(query[None], k, target, offset)[0]

    def search_many(
        self, vectors: npt.ArrayLike, k: int = 10, target: Modality = "image", offset: int = 0
    ) -> list[list[Hit]]:
        """`search` for (Q, d) vectors at once: a list of hits for each, the same as one by one."""
        if k < 1 or offset < 0:
            raise QueryError(f"k must be 1 or more and offset 0 or more, not {k} and {offset}")
        if target not in get_args(Modality):
            raise QueryError(f"target must be 'image' or 'text', not {target!r}")
        if target not in self.embeddings:
            raise QueryError(
                f"this gallery has no {target} vectors; search target={self.targets[0]!r}"
            )
        queries = self._unit_queries(vectors)
        count = min(offset + k, len(self))
        if count <= offset:
            return [[] for _ in queries]
        return [
            self._hits(rows[offset:], scores[offset:], first_rank=offset + 1)
            for rows, scores in self._best(queries, count, target)
        ]

    def save(self, directory: str | Path, *, root: str | None = None) -> None:
        """Writes the gallery: all or nothing, in place of an older gallery.

        Paths are kept relative to the deepest folder that they share.

        Args:
            directory: a new one, or an older gallery's.
            root: the folder that `copy_pictures` copied to, as seen from the gallery's; default:
                the pictures are where they were.

        Raises:
            ModelFormatError: the directory is there and is not a gallery.
        """
        target = Path(directory)
        # What is there goes when the new gallery takes its place.
        occupied = target.exists() and not (target.is_dir() and not any(target.iterdir()))
        if occupied and not (target / FILE_NAME).is_file():
            raise ModelFormatError(f"{target} is there and is not a gallery: choose another name")
        shared, items = split_root(self.items)
        with atomic_directory(target) as fresh:
            # Not save_file, which makes files that only their owner can read.
            (fresh / EMBEDDINGS).write_bytes(save(self.embeddings))
            pq.write_table(items, fresh / ITEMS, compression="zstd")
            Manifest(
                format_version=FORMAT_VERSION,
                model_id=self.model_id,
                dim=self.dim,
                count=len(self),
                targets=list(self.targets),
                root=shared and (root or shared),
                files={name: sha256_of_file(fresh / name) for name in (EMBEDDINGS, ITEMS)},
            ).write(fresh)

    def copy_pictures(self, directory: str | Path) -> None:
        """Copies the pictures of all items, in the folders that they have below their common one.

        A saved gallery is then opened with `root=directory`, wherever that is taken.

        Raises:
            ImageError: a picture is not there or cannot be read.
        """
        root, items = split_root(self.items)
        if root is None:
            return
        for name in filter(None, items.column("path").to_pylist()):
            target = Path(directory) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(Path(root) / name, target)
            except OSError as error:
                raise ImageError(f"cannot copy {Path(root) / name}: {error}") from error

    @classmethod
    def open(
        cls, directory: str | Path, *, model_id: str | None = None, root: str | Path | None = None
    ) -> Gallery:
        """Reads a saved gallery, every file checked.

        Args:
            directory: where `save` wrote it.
            model_id: the model that will make the queries; a gallery of another is refused.
            root: where the pictures are now, if their folder (`root` in manifest.json) moved.

        Raises:
            ModelFormatError: not a gallery, not whole, of another version or another model.
        """
        source = Path(directory)
        manifest = Manifest.read(source)
        if model_id is not None and model_id != manifest.model_id:
            raise ModelFormatError(
                f"{source} holds vectors of model {manifest.model_id!r}, not of {model_id!r}: "
                f"they cannot be compared. Open it with that model, or index again with this one"
            )
        folder = None
        if root is not None:
            folder = os.path.abspath(root)  # noqa: PTH100
        elif manifest.root is not None:
            folder = os.path.abspath(source / manifest.root)  # noqa: PTH100
        try:
            embeddings = load_file(source / EMBEDDINGS)
            _expect("vectors", sorted(embeddings), sorted(manifest.targets))
        except (SafetensorError, OSError, KeyError, ValueError, ModelFormatError) as error:
            raise ModelFormatError(f"{source / EMBEDDINGS}: {error}") from error
        try:
            items = join_root(pq.ParquetFile(source / ITEMS).read(), folder)
            _expect("rows", len(items), manifest.count)
        except (pa.ArrowException, OSError, KeyError, ModelFormatError) as error:
            raise ModelFormatError(f"{source / ITEMS}: {error}") from error
        try:
            gallery = cls(
                items,
                image_embeddings=embeddings.get("image"),
                text_embeddings=embeddings.get("text"),
                model_id=manifest.model_id,
            )
            _expect("dimensions", gallery.dim, manifest.dim)
        except ModelFormatError as error:
            raise ModelFormatError(f"{source}: {error}") from error
        return gallery

    def _unit_queries(self, vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
        queries = np.asarray(vectors, dtype=np.float64)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise QueryError(
                f"the gallery's vectors have {self.dim} numbers, the query has shape "
                f"{queries.shape}: was it made by another model?"
            )
        if not np.isfinite(queries).all():
            raise QueryError("a query vector has numbers that are not finite")
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        if not lengths.all():
            raise QueryError("a query vector is zero: it has no direction to search in")
        unit: npt.NDArray[np.float64] = queries / lengths
        return unit

    def _best(
        self, queries: npt.NDArray[np.float64], count: int, target: Modality
    ) -> list[tuple[IntArray, npt.NDArray[np.float64]]]:
        """Rows and float64 scores of the `count` best, for every query, ties by row number.

        FAISS finds candidates in float32, where the last bit depends on a row's place and on the
        size of the batch. They are scored again in float64, each row by itself. A row that FAISS
        left out scores at most its last candidate and the rounding error; if that could reach
        the last row asked for, more candidates are fetched.
        """
        index, stored = self._index(target), self.embeddings[target]
        # Twice the bound on a float32 sum of d products of unit rows, the query rounded as well.
        rounding = (self.dim + 2) * float(np.finfo(np.float32).eps)
        results: list[tuple[IntArray, npt.NDArray[np.float64]]] = []
        fetch = min(len(self), count + max(SPARE, count // 8))
        approximate, found = index.search(queries.astype(np.float32), fetch)
        for query, row_scores, candidates in zip(queries, approximate, found, strict=True):
            fetched, last, rows = fetch, row_scores[-1], candidates
            while True:
                scores = (stored[rows].astype(np.float64) * query).sum(axis=1)
                order = np.lexsort((rows, -scores))[:count]
                if fetched == len(self) or scores[order[-1]] > last + rounding:
                    break
                fetched = min(len(self), 2 * fetched)
                more, wider = index.search(query[None].astype(np.float32), fetched)
                last, rows = more[0, -1], wider[0]
            results.append((rows[order], scores[order]))
        return results

    def _index(self, target: Modality) -> Any:
        """The FAISS index of one target, built when it is first asked for."""
        if target not in self._indexes:
            import faiss

            index = faiss.IndexFlatIP(self.dim)
            index.add(self.embeddings[target])
            self._indexes[target] = index
        return self._indexes[target]

    def _hits(self, rows: IntArray, scores: npt.NDArray[np.float64], first_rank: int) -> list[Hit]:
        hits = []
        for place, item in enumerate(self.items.take(pa.array(rows)).to_pylist()):
            hits.append(
                Hit(
                    rank=first_rank + place,
                    id=item["id"],
                    # Rows are of length 1 but for rounding.
                    score=float(np.clip(scores[place], -1, 1)),
                    path=None if item["path"] is None else Path(item["path"]),
                    sentences=tuple(item["sentences"] or ()),
                    label=item["label"],
                    metadata={name: item[name] for name in item if name not in COLUMNS},
                )
            )
        return hits


def _unit_rows(target: str, rows: npt.ArrayLike, count: int) -> FloatArray:
    array = np.ascontiguousarray(rows, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ModelFormatError(f"{target} vectors must be (items, dimensions), not {array.shape}")
    if len(array) != count:
        raise ModelFormatError(f"{len(array)} {target} vectors for {count} items")
    lengths = np.sqrt(np.einsum("nd,nd->n", array, array))
    wrong = ~(np.abs(lengths - 1) <= NORM_TOLERANCE)  # a NaN is wrong too
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ModelFormatError(
            f"{np.count_nonzero(wrong)} of {count} {target} vectors are not of length 1; the first "
            f"is row {row}, of length {lengths[row]:.4g}"
        )
    return array


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ModelFormatError(f"{what}: {found}, but the manifest says {expected}")

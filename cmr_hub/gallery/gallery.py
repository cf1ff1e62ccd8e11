"""Pictures and texts with their vectors in the common space, kept and searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from cmr_hub.errors import ModelFormatError, QueryError, shown
from cmr_hub.gallery.clear import neutral_for, neutral_of
from cmr_hub.gallery.embed import embedded
from cmr_hub.gallery.hits import Explanation
from cmr_hub.gallery.items import Item
from cmr_hub.gallery.label import COLUMN, label_store
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.pages import Page, search_pages
from cmr_hub.gallery.pictures import copy_pictures
from cmr_hub.gallery.query import Query, chosen_target, modality, query_vector, unit_rows
from cmr_hub.gallery.segment import segment_of
from cmr_hub.hit import Hit
from cmr_hub.models.zero_shot import TEMPLATE

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.gallery.store import Store
    from cmr_hub.gallery.vectors import VectorColumn
    from cmr_hub.gallery.where import Where
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality


class Gallery:
    """Items, each a picture, a text or both, that are found by what they show and say.

    `create`, `open` and `from_vectors` make one. `add`, `update` and `remove` change it; what they
    have returned from is safe on the disk. Other processes may search meanwhile.

    Args:
        store: where its rows are.
        model: reads the texts and pictures that are added or searched with. Without it vectors
            can be searched with, and nothing added.

    Raises:
        ModelFormatError: the store holds vectors of another model.

    Example:
        >>> gallery = Gallery.create("pets", load())                        # doctest: +SKIP
        >>> gallery.add([Item("rex", Path("rex.jpg"), ("a dog runs",))])    # doctest: +SKIP
        >>> gallery.search("a dog", where="label IS NULL")                  # doctest: +SKIP
        >>> gallery.search(Mix((1, Path("rex.jpg")), (0.5, "at night")))    # doctest: +SKIP
    """

    def __init__(self, store: Store, model: CrossModalModel | None = None) -> None:
        if model is not None and model.fingerprint != store.model_id:
            raise ModelFormatError(
                f"the gallery holds vectors of model {shown(store.model_id)}, not of "
                f"{shown(model.fingerprint)}: they cannot be compared. Open it with that model, or "
                "index again with this one"
            )
        self.store = store
        self.model = model

    @classmethod
    def create(
        cls,
        directory: str | Path | None,
        model: CrossModalModel,
        *,
        model_name: str | None = None,
    ) -> Self:
        """An empty gallery.

        Args:
            directory: new or empty; None keeps the gallery in memory.
            model: makes its vectors.
            model_name: what `cmr_hub.load` takes to get this model again.

        Raises:
            ModelFormatError: something is in the directory, be it a gallery.
            GalleryInUseError: another process is writing there.
        """
        if directory is None:
            return cls(LocalStore(model.fingerprint, model_name), model)
        return cls(LocalStore.create(directory, model.fingerprint, model_name), model)

    @classmethod
    def open(
        cls,
        directory: str | Path,
        model: CrossModalModel | None = None,
        *,
        root: str | Path | None = None,
    ) -> Self:
        """Reads a gallery from its directory.

        Args:
            directory: where it is.
            model: the one that made its vectors; a gallery of another is refused.
            root: where the pictures are now, if the folder that they all are in has moved.

        Raises:
            ModelFormatError: not a gallery, not whole, of another version or another model.
        """
        store = LocalStore.open(directory, root=root)
        try:
            return cls(store, model)
        except ModelFormatError as error:
            raise ModelFormatError(f"{directory}: {error}") from error

    @classmethod
    def from_vectors(
        cls,
        items: pa.Table,
        *,
        image_embeddings: npt.ArrayLike | VectorColumn | None = None,
        text_embeddings: npt.ArrayLike | VectorColumn | None = None,
        model_id: str,
    ) -> Self:
        """A gallery in memory of items whose vectors are there already.

        Args:
            items: a table as `items.items_table` makes it.
            image_embeddings: (N, d) rows of length 1, row i for item i; or a `VectorColumn` where
                only some items have one; or None.
            text_embeddings: likewise.
            model_id: the fingerprint of the model that made them.

        Raises:
            ModelFormatError: vectors are missing, of different width, not finite or not of
                length 1, or the table is not one of items.
        """
        gallery = cls(LocalStore(model_id))
        gallery.add_vectors(
            items, image_embeddings=image_embeddings, text_embeddings=text_embeddings
        )
        return gallery

    def __repr__(self) -> str:
        parts = [f"{len(self):,} items", f"dim={self.dim}", f"targets={self.targets}"]
        if (directory := getattr(self.store, "directory", None)) is not None:
            parts.append(f"directory={str(directory.path)!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __len__(self) -> int:
        return len(self.store)

    @property
    def model_id(self) -> str:
        """The fingerprint of the model that made the vectors."""
        return self.store.model_id

    @property
    def dim(self) -> int | None:
        """Of the vectors; None as long as there are none."""
        return self.store.dim

    @property
    def items(self) -> pa.Table:
        """All items: `id`, `path`, `sentences`, `label` and what else was told of them."""
        return self.store.table()

    @property
    def targets(self) -> tuple[Modality, ...]:
        """What can be searched: "image", "text" or both."""
        return self.store.targets

    def add(
        self, items: Iterable[Item], *, cache: FeatureCache | None = None, progress: bool = False
    ) -> None:
        """Reads pictures and texts of new items and keeps them with their vectors.

        Args:
            items: with a picture, sentences or both; sentences without a word that the model
                knows get no vector.
            cache: keeps the features of pictures.
            progress: show a bar.

        Raises:
            QueryError: an id is there already (`update` replaces), or there is no model.
            ModelFormatError: the items do not make a table.
            CMRError: an item has neither a picture nor a known word; nothing is added.
            ImageError: a picture cannot be read; nothing is added.
        """
        rows = list(items)
        known = self.store.rows([item.id for item in rows])
        if len(known):
            raise QueryError(
                f"{len(known)} ids are in the gallery already, e.g. "
                f"{shown(known.items['id'][0].as_py())}: update() replaces them"
            )
        self.update(rows, cache=cache, progress=progress)

    def update(
        self, items: Iterable[Item], *, cache: FeatureCache | None = None, progress: bool = False
    ) -> None:
        """Adds items, each in place of an older one with its id. See `add`."""
        if self.model is None:
            raise QueryError(
                "nothing can be added to a gallery that was opened without its model: "
                "Gallery.open(directory, model)"
            )
        self.store.put(embedded(self.model, list(items), cache=cache, progress=progress))
        self.calibrate()

    def add_vectors(
        self,
        items: pa.Table,
        *,
        image_embeddings: npt.ArrayLike | VectorColumn | None = None,
        text_embeddings: npt.ArrayLike | VectorColumn | None = None,
    ) -> None:
        """As `update`, of items whose vectors are there already. See `from_vectors`."""
        self.store.put(segment_of(items, image_embeddings, text_embeddings, self.dim))
        self.calibrate()

    def calibrate(self) -> None:
        """Learns how neutral sentences score, unless that is known: then hits have a `z`.

        Whatever adds items does it too. A model that cannot read sentences learns nothing.
        """
        if self.model is None or self.store.neutral is not None:
            return
        if (neutral := neutral_of(self.model)) is not None:
            self.store.keep_neutral(neutral)

    def remove(self, ids: Iterable[str] = (), *, where: str | None = None) -> int:
        """Removes items by id and those that pass a condition; tells how many there were.

        Raises:
            QueryError: the condition cannot be understood.
        """
        chosen = list(ids)
        if where is not None:
            chosen += self.store.table(_condition(where)).column("id").to_pylist()
        return self.store.remove(chosen)

    def label(
        self,
        names: Sequence[str],
        *,
        template: str | Sequence[str] = TEMPLATE,
        column: str = COLUMN,
        min_probability: float | None = None,
        temperature: float | None = None,
        progress: bool = False,
    ) -> dict[str | None, int]:
        """Writes the most probable of some names of classes into a column; see `label_store`.

        The vectors that are there are compared, as `CrossModalModel.classify` does. Its probability
        goes into the column `<column>_probability`. Items without a picture get null.

        Args:
            names, template, temperature: as for `classify`.
            column: `label` takes the place of what the dataset said.
            min_probability: less probable names are not written: null.
            progress: show a bar.

        Returns:
            How many pictures have each name, the most frequent first; None: no name.
        """
        if self.model is None:
            raise QueryError("naming pictures needs the model: Gallery.open(directory, model)")
        return label_store(
            self.store,
            self.model,
            names,
            template=template,
            column=column,
            min_probability=min_probability,
            temperature=temperature,
            progress=progress,
        )

    def search(
        self,
        query: Query,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
        min_score: float | None = None,
        distinct: float | None = None,
        clear: float | None = None,
        query_modality: Modality | None = None,
    ) -> list[Hit]:
        """The items most similar to a text, a picture, a vector or a `Mix`.

        Args:
            query: a `str` is a text; a `Path`, an open picture or the `bytes` of a file is a
                picture; an array (d,) is a vector; a `Mix` is a weighted sum of these.
            k: how many; fewer come back where there are no more.
            target: compare with the items' pictures ("image") or texts ("text"). Default: the
                other modality than the query's, if the gallery has it.
            offset: how many of the best to pass over: page 3 of 10 hits is offset=20.
            where: a condition on the columns, e.g. "label = 'dog' AND year >= 2008", and on
                `modality`, which is 'image', 'text' or 'pair'.
            min_score: the least cosine similarity of a hit.
            distinct: leave out what is more similar than this to a better hit, e.g. .98.
            clear: the least `z` of a hit, which is looked for among the 1,000 best scores.
            query_modality: what a vector was made of; only hits of a text have a `z`.

        Returns:
            Hits, best first; ties in the order of the gallery.

        Raises:
            QueryError: the query, or another argument, cannot be used; the message says why.
            UnknownWordsError, ImageError: as the model's encoders.
        """
        neutral = neutral_for(self.store.neutral, query_modality or modality(query), clear)
        page = Page(k, offset, _condition(where), min_score, distinct, clear, neutral)
        vector = query_vector(self.model, query)
        return self._search(vector[None], chosen_target(target, query, self.targets), page)[0]

    def search_many(
        self,
        vectors: npt.ArrayLike,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
    ) -> list[list[Hit]]:
        """`search` with (Q, d) vectors at once: the same hits as one by one."""
        queries = np.asarray(vectors, dtype=np.float64)
        if queries.ndim != 2:
            raise QueryError(f"search_many takes rows of vectors, not shape {queries.shape}")
        page = Page(k, offset, _condition(where))
        return self._search(unit_rows(queries), chosen_target(target, queries, self.targets), page)

    def more_like(
        self,
        id: str,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
        min_score: float | None = None,
        distinct: float | None = None,
        clear: float | None = None,
    ) -> list[Hit]:
        """Items like one of the gallery, without itself.

        Args:
            id: of the item; its picture is compared with pictures, else its text with texts.
            k, offset, where, min_score, distinct, clear: as for `search`.
            target: compare with these instead.

        Raises:
            QueryError: no such item, or as `search`.
        """
        row = self.store.rows([id])
        if not len(row):
            raise QueryError(f"there is no item {shown(id)} in the gallery")
        if not row.vectors:
            raise QueryError(f"the item {shown(id)} has no vector to compare with others")
        own: Modality = "image" if "image" in row.vectors else "text"
        vector = row.vectors[own].matrix[0]
        page = Page(k, offset)
        last = page.offset + page.k
        hits = self.search(
            vector,
            last + 1,
            target or own,
            where=where,
            min_score=min_score,
            distinct=distinct,
            clear=clear,
        )
        others = [hit for hit in hits if hit.id != id][page.offset : last]
        return [hit.at_rank(rank) for rank, hit in enumerate(others, page.offset + 1)]

    def explain(self, hit: Hit, target: Modality = "image") -> Explanation:
        """Why an item was found where it was: its rank, score and nearest training class.

        Raises:
            QueryError: the item is not there any more, or has no vector of this modality.
        """
        row = self.store.rows([hit.id])
        if not len(row) or target not in row.vectors:
            raise QueryError(f"the gallery has no {target} vector of {shown(hit.id)}")
        name = None
        if self.model is not None and self.model.centroids is not None:
            (name,) = self.model.predict_classes(row.vectors[target].matrix, target)
        return Explanation(hit.rank, hit.score, len(self), name)

    def vectors(self, target: Modality) -> FloatArray:
        """(n, d) vectors of one modality, in the order of `items`, of those that have one."""
        rows = self.store.rows(self.items.column("id").to_pylist())
        if target not in rows.vectors:
            raise QueryError(f"this gallery has no {target} vectors")
        return np.asarray(rows.vectors[target].matrix)

    def save(self, directory: str | Path, *, root: str | None = None) -> None:
        """Writes a copy to a directory, all or nothing, in place of an older gallery there.

        Args:
            directory: a new one, or an older gallery's.
            root: the folder that `copy_pictures` copied to, as seen from the gallery's; default:
                the pictures are where they were.

        Raises:
            ModelFormatError: the directory is there and is not a gallery.
            GalleryInUseError: another process is writing to it.
        """
        if not isinstance(self.store, LocalStore):
            raise QueryError("only a gallery of this machine can be saved to a directory")
        self.store.save(directory, root=root)

    def copy_pictures(self, directory: str | Path) -> None:
        """Copies the pictures of all items, in the folders that they have below their common one.

        A saved gallery is then opened with `root=directory`, wherever that is taken.

        Raises:
            ImageError: a picture is not there or cannot be read.
        """
        copy_pictures(self.items, Path(directory))

    def _search(
        self, queries: npt.NDArray[np.float64], target: Modality, page: Page
    ) -> list[list[Hit]]:
        if not self.targets:
            return [[] for _ in queries]
        if queries.shape[1] != self.dim:
            raise QueryError(
                f"the gallery's vectors have {self.dim} numbers, the query has "
                f"{queries.shape[1]}: was it made by another model?"
            )
        return search_pages(self.store, queries, target, page)


def _condition(text: str | None) -> Where | None:
    """The condition that is asked for, if one is. Raises QueryError."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise QueryError(f'a condition is a text, e.g. "year >= 2008", not {shown(text)}')
    # With it comes a parser of SQL, which takes a tenth of the time of a search from the shell.
    from cmr_hub.gallery.where import Where

    return Where(text)

"""A gallery stores pictures and texts with their vectors, and searches them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from cmr_hub.atomic import storing
from cmr_hub.datasets.images import read_file
from cmr_hub.errors import ImageError, ModelFormatError, QueryError, shown
from cmr_hub.gallery.clear import neutral_for, neutral_of
from cmr_hub.gallery.contact_sheet import Hits
from cmr_hub.gallery.duplicates import ALIKE, KINDS, Duplicates, find_duplicates
from cmr_hub.gallery.items import Item, listed, split_root
from cmr_hub.gallery.label import COLUMN, label_store
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.pages import Page, picture_of, search_pages
from cmr_hub.gallery.query import Query, chosen_target, modality, query_vector, unit_rows
from cmr_hub.gallery.segment import encode_items, segment_of
from cmr_hub.gallery.text_in_pictures import TextCondition, TextQuery
from cmr_hub.hit import Explanation, Hit
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
    """A searchable collection of items, each of which is a picture, a text or both.

    Create one with `create`, `open` or `from_vectors`, and change it with `add`, `update` and
    `remove`. When these return, the change is on disk. Other processes can search at any time.

    Args:
        store: storage of the rows.
        model: model that encodes items and queries. Without a model, queries must be vectors, and
            no items can be added.

    Raises:
        ModelFormatError: another model made the vectors of the store.

    Example:
        >>> gallery = Gallery.create("pets", load())                        # doctest: +SKIP
        >>> gallery.add([Item("rex", Path("rex.jpg"), ("a dog runs",))])    # doctest: +SKIP
        >>> gallery.search("a dog", where="label IS NULL")                  # doctest: +SKIP
        >>> gallery.search(Mix((1, Path("rex.jpg")), (0.5, "at night")))    # doctest: +SKIP
    """

    def __init__(self, store: Store, model: CrossModalModel | None = None) -> None:
        if model is not None and model.fingerprint != store.model_id:
            raise ModelFormatError(
                f"the gallery has vectors of model {shown(store.model_id)}, not of "
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
        """Create an empty gallery.

        Args:
            directory: a new or empty directory; None keeps the gallery in memory.
            model: model that encodes the items.
            model_name: the name under which `cmr_hub.load` finds the model.

        Raises:
            ModelFormatError: the directory is not empty.
            GalleryInUseError: another process is writing to the directory.
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
        """Open a gallery from its directory.

        Args:
            directory: directory of the gallery.
            model: model that made the vectors.
            root: new location of the pictures' common folder, if it has moved.

        Raises:
            ModelFormatError: the directory is not a gallery, the gallery is incomplete, or it was
                written by another version or with another model.
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
        """Create an in-memory gallery from precomputed vectors.

        Args:
            items: a table as returned by `items.items_table`.
            image_embeddings: (N, d) unit vectors, row i for item i; or a `VectorColumn` if only
                some items have a vector; or None.
            text_embeddings: like `image_embeddings`, for the texts.
            model_id: fingerprint of the model that made the vectors.

        Raises:
            ModelFormatError: vectors are missing, have different dimensions, are not finite or not
                of length 1, or the table is invalid.
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
        """Fingerprint of the model that made the vectors."""
        return self.store.model_id

    @property
    def dim(self) -> int | None:
        """Dimension of the vectors; None if the gallery is empty."""
        return self.store.dim

    @property
    def items(self) -> pa.Table:
        """Table of all items: `id`, `path`, `sentences`, `label` and metadata columns."""
        return self.store.table()

    @property
    def targets(self) -> tuple[Modality, ...]:
        """Modalities that can be searched: "image", "text" or both."""
        return self.store.targets

    def add(
        self, items: Iterable[Item], *, cache: FeatureCache | None = None, progress: bool = False
    ) -> None:
        """Encode new items and store them with their vectors.

        Args:
            items: items with a picture, sentences or both. Sentences without a word known to the
                model get no vector.
            cache: cache for the features of pictures.
            progress: show a progress bar.

        Raises:
            QueryError: an id already exists (use `update`), or the gallery has no model.
            ModelFormatError: the items do not form a table.
            CMRError: an item has neither a picture nor a known word; nothing is added.
            ImageError: a picture cannot be read; nothing is added.
        """
        rows = listed("items", items, Item)
        existing = self.store.rows([item.id for item in rows])
        if len(existing):
            raise QueryError(
                f"{len(existing)} ids are already in the gallery, e.g. "
                f"{shown(existing.items['id'][0].as_py())}: update() replaces them"
            )
        self.update(rows, cache=cache, progress=progress)

    def update(
        self, items: Iterable[Item], *, cache: FeatureCache | None = None, progress: bool = False
    ) -> None:
        """Add items, replacing existing items with the same ids. See `add`."""
        if self.model is None:
            raise QueryError(
                "items can only be added to a gallery with its model: open it with "
                "Gallery.open(directory, model)"
            )
        self.store.put(
            encode_items(self.model, listed("items", items, Item), cache=cache, progress=progress)
        )
        self.calibrate()

    def add_vectors(
        self,
        items: pa.Table,
        *,
        image_embeddings: npt.ArrayLike | VectorColumn | None = None,
        text_embeddings: npt.ArrayLike | VectorColumn | None = None,
    ) -> None:
        """Add or replace items with precomputed vectors. See `from_vectors`."""
        self.store.put(segment_of(items, image_embeddings, text_embeddings, self.dim))
        self.calibrate()

    def calibrate(self) -> None:
        """Store the scores of neutral sentences if they are missing, so that hits have a `z`.

        Methods that add items call this method. It does nothing if the model has no text encoder.
        If the model comes with a gallery, the scores of that gallery are reused.
        """
        if self.model is None or self.store.neutral is not None:
            return
        own, neutral = self.model.gallery, None
        if isinstance(own, Gallery) and own.model_id == self.model_id:
            neutral = own.store.neutral
        if neutral is None:
            neutral = neutral_of(self.model)
        if neutral is not None:
            self.store.keep_neutral(neutral)

    def remove(self, ids: Iterable[str] = (), *, where: str | None = None) -> int:
        """Remove items by id or condition; return the number of removed items.

        Except in Milvus, `cmr index` skips these pictures unless `--restore` is given.

        Raises:
            QueryError: the condition cannot be parsed.
        """
        chosen = listed("ids", ids, str)
        if where is not None:
            chosen += self.store.table(_condition(where)).column("id").to_pylist()
        return self.store.remove(chosen, dismiss=True)

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
        """Write the most probable class name of each picture into a column.

        The stored vectors are classified as in `CrossModalModel.classify`. The probabilities are
        written to the column `<column>_probability`. Items without a picture get null. See
        `label_store`.

        Args:
            names, template, temperature: as for `classify`.
            column: name of the column. `label` replaces the labels of the dataset.
            min_probability: write null for lower probabilities.
            progress: show a progress bar.

        Returns:
            Number of pictures per name, most frequent first. The key None counts pictures without a
            name.
        """
        if self.model is None:
            raise QueryError(
                "labelling needs the model: open the gallery with Gallery.open(directory, model)"
            )
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
        distinct: bool | float = True,
        clear: float | None = None,
        query_modality: Modality | None = None,
        text: str | None = None,
    ) -> list[Hit]:
        """Return the items most similar to a text, a picture, a vector or a `Mix`.

        If text was read in the pictures (`index_folder(ocr=True)`), pictures whose text has words
        of the query move up: the ranking by similarity is fused with a ranking by words, see
        `fusion.fused`. `Hit.score` remains the similarity. For a query such as
        `airport text:"gate 12"`, the text of every hit has the phrase. If a query has only phrases
        and the model does not know their words, the scores are 0.

        Args:
            query: a text (`str`), a picture (`Path`, PIL image, the `bytes` of a file, or a uint8
                array (H, W, 3) or (H, W)), a vector (an array (d,)), or a weighted sum of these
                (`Mix`).
            k: maximum number of hits.
            target: compare with the pictures ("image") or the texts ("text") of the items. Default:
                the pictures, if the gallery has any.
            offset: number of best hits to skip: page 3 of 10 hits is offset=20.
            where: a condition on the columns, e.g. "label = 'dog' AND year >= 2008", and on
                `modality`, which is 'image', 'text' or 'pair'.
            min_score: minimum cosine similarity of a hit.
            distinct: True returns one hit per picture or video and counts its other copies or
                frames in `Hit.duplicates`. False returns all. A number, e.g. .98, also skips items
                whose similarity to a better hit is higher.
            clear: minimum `z` of a hit; only the 1,000 best scores are considered.
            query_modality: modality of a query vector; only the hits of a text query have a `z`.
            text: text to search for in the pictures if the query is a vector. Default: the text of
                the query.

        Returns:
            Hits, best first; ties keep the order of the gallery.

        Raises:
            QueryError: the query or another argument is invalid.
            UnknownWordsError, ImageError: the model cannot encode the query.
        """
        neutral = neutral_for(self.store.neutral, query_modality or modality(query), clear)
        text_query = TextQuery.of(query if text is None else text)
        column_condition = _condition(where)
        condition: Where | TextCondition | None = column_condition
        if text_query.phrases:
            if not self.store.has_text:
                raise QueryError(
                    'text:"…" needs a local gallery with the text in its pictures: '
                    "cmr index FOLDER --out gallery --ocr"
                )
            condition = TextCondition(text_query.phrases, column_condition)
        uses_text = text_query.phrases or (text_query.words and self.store.has_text)
        if text_query.phrases and isinstance(query, np.ndarray) and not query.any():
            vector = query.astype(np.float64)
        else:
            vector = query_vector(self.model, query)
        if not vector.any():  # the query has only phrases, whose words the model does not know
            neutral = None
        searched = text_query if uses_text else None
        page = Page(k, offset, condition, min_score, distinct, clear, neutral, searched)
        return Hits(self._search(vector[None], chosen_target(target, self.targets), page)[0])

    def search_many(
        self,
        vectors: npt.ArrayLike,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
    ) -> list[list[Hit]]:
        """Search with (Q, d) vectors at once; return the hits of `search` for each vector."""
        page = Page(k, offset, _condition(where))
        return self._search(unit_rows(vectors), chosen_target(target, self.targets), page)

    def more_like(
        self,
        id: str,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        *,
        where: str | None = None,
        min_score: float | None = None,
        distinct: bool | float = True,
        clear: float | None = None,
    ) -> list[Hit]:
        """Return the items most similar to an item of the gallery, without the item itself.

        Args:
            id: id of the item. Its picture is the query, or its text if it has no picture. Copies
                of the picture are only returned if `distinct` is False.
            k, offset, where, min_score, distinct, clear: as for `search`.
            target: modality to compare with. Default: the modality of the query.

        Raises:
            QueryError: the item does not exist, or an argument is invalid.
        """
        row = self.store.rows(listed("ids", [id], str))
        if not len(row):
            raise QueryError(f"there is no item {shown(id)} in the gallery")
        if not row.vectors:
            raise QueryError(f"the item {shown(id)} has no vector to search with")
        own: Modality = "image" if "image" in row.vectors else "text"
        vector = row.vectors[own].matrix[0]
        page = Page(k, offset)
        last = page.offset + page.k
        picture = None if distinct is False else picture_of(row.items.to_pylist()[0])
        hits = self.search(
            vector,
            last + 1,
            target or own,
            where=where,
            min_score=min_score,
            distinct=distinct,
            clear=clear,
        )
        others = [
            hit
            for hit in hits
            if hit.id != id and picture_of({**hit.metadata, "id": hit.id}) != picture
        ]
        others = others[page.offset : last]
        return Hits(hit.at_rank(rank) for rank, hit in enumerate(others, page.offset + 1))

    def duplicates(
        self, kinds: Sequence[str] = KINDS, *, alike: float = ALIKE, progress: bool = False
    ) -> list[Duplicates]:
        """Return groups of duplicates, in the order of the kinds and of the gallery.

        Nothing is removed. Copies of the same picture were found when their folder was indexed
        (`copies.PictureGroups`). In Milvus, only identical files are found.

        Args:
            kinds: some of "same bytes", "same picture" (for example a smaller copy) and "alike". A
                group has one item of each group of the previous kinds.
            alike: minimum cosine similarity to the first picture of a group. All pairs of pictures
                are compared, which takes minutes for 100,000 pictures.
            progress: show a progress bar.
        """
        return find_duplicates(self.store, kinds, alike, progress=progress)

    def explain(self, hit: Hit, target: Modality = "image") -> Explanation:
        """Return the rank and score of a hit, and the training class nearest to it.

        Raises:
            QueryError: the item no longer exists, or has no vector of this modality.
        """
        row = self.store.rows([hit.id])
        if not len(row) or target not in row.vectors:
            raise QueryError(f"the gallery has no {target} vector of {shown(hit.id)}")
        name = None
        if self.model is not None and self.model.centroids is not None:
            (name,) = self.model.predict_classes(row.vectors[target].matrix, target)
        return Explanation(hit.rank, hit.score, len(self), name)

    def vectors(self, target: Modality) -> FloatArray:
        """Return the (n, d) vectors of one modality, in the order of the items that have one."""
        rows = self.store.rows(self.items.column("id").to_pylist())
        if target not in rows.vectors:
            raise QueryError(f"this gallery has no {target} vectors")
        return np.asarray(rows.vectors[target].matrix)

    def save(self, directory: str | Path, *, root: str | None = None) -> None:
        """Write a copy to a directory atomically, replacing an existing gallery.

        Args:
            directory: a new directory, or the directory of a gallery.
            root: future folder of the pictures, relative to `directory`. Default: their current
                folder.

        Raises:
            ModelFormatError: the directory exists and is not a gallery.
            GalleryInUseError: another process is writing to the directory.
        """
        if not isinstance(self.store, LocalStore):
            raise QueryError("only a local gallery can be saved to a directory")
        self.store.save(directory, root=root)

    def copy_pictures(self, directory: str | Path) -> None:
        """Copy the pictures of all items, keeping their paths below their common folder.

        A frame of a video is copied as a picture with the same name. A saved gallery can then be
        opened with `root=directory`.

        Raises:
            ImageError: a picture is missing or cannot be read.
        """
        root, relative = split_root(self.items)
        if root is None:
            return
        for name in filter(None, relative.column("path").to_pylist()):
            target = Path(directory) / name
            try:
                content = read_file(Path(root) / name)
            except (OSError, ImageError) as error:
                raise ImageError(f"cannot copy {Path(root) / name}: {error}") from error
            with storing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def _search(
        self, queries: npt.NDArray[np.float64], target: Modality, page: Page
    ) -> list[list[Hit]]:
        if not self.targets:
            return [[] for _ in queries]
        if queries.shape[1] != self.dim:
            raise QueryError(
                f"the vectors of the gallery have {self.dim} dimensions, the query has "
                f"{queries.shape[1]}: was it encoded by another model?"
            )
        if self.model is not None:
            queries = self.model.without_slot(queries, target)
        return search_pages(self.store, queries, target, page)


def _condition(text: str | None) -> Where | None:
    """Parse a condition, if given. Raises QueryError."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise QueryError(f'a condition is a text, e.g. "year >= 2008", not {shown(text)}')
    # Importing the SQL parser takes 10 % of the time of a search from the shell.
    from cmr_hub.gallery.where import Where

    return Where(text)

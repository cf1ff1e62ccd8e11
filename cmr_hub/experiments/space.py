"""Embedded images and texts in a common space, and the retrieval quality of each query."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmr_hub.errors import QueryError
from cmr_hub.metrics.common_space import unit_rows
from cmr_hub.metrics.ranking import rank, ranked_chunks
from cmr_hub.metrics.retrieval import average_precision, mean
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, IntArray

Direction = Literal["i2t", "t2i"]
MAX_VECTORS = 50_000
"""Maximum number of vectors of a gallery that a page shows and a map is computed of."""


@dataclass(frozen=True)
class SpaceItem:
    """Description of an item of a space, for display only."""

    id: str
    label: str | None = None
    path: Path | None = None
    sentences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Shorten texts that are too long for a page."""
        if self.label is not None:
            object.__setattr__(self, "label", shortened(self.label))
        object.__setattr__(self, "sentences", tuple(map(shortened, self.sentences)))


@dataclass(frozen=True, eq=False)
class Space:
    """Embedded images and texts, and the items they belong to.

    Attributes:
        images: (Ni, d) vectors of approximately unit length.
        texts: (Nt, d) vectors in the same space.
        image_rows: (Ni,) indices of the images in `items`.
        text_rows: (Nt,) indices of the texts in `items`.
        items: all items.
        stages: images and texts at earlier epochs.
        epoch: epoch of `images` and `texts`; 0 if unknown.
        kept: share of the squared length of the full vectors that the stored ones keep.
        n_items: number of items of the gallery, of which `items` may be a sample.
    """

    images: FloatArray
    texts: FloatArray
    image_rows: IntArray
    text_rows: IntArray
    items: tuple[SpaceItem, ...]
    stages: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    epoch: int = 0
    kept: float = 1.0
    n_items: int | None = None

    @cached_property
    def classes(self) -> list[str]:
        """The names of the labels, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})

    @cached_property
    def labels(self) -> IntArray:
        """(N,) indices of all items into `classes`; −1 without a label."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places.get(item.label or "", -1) for item in self.items], dtype=np.int64)

    @cached_property
    def rows(self) -> IntArray:
        """(Ni + Nt,) indices into `items` of the images, then of the texts."""
        return np.concatenate([self.image_rows, self.text_rows])

    @cached_property
    def pairs(self) -> IntArray:
        """(P, 2) row of the image and row of the text of each item that has both."""
        texts = {int(row): place for place, row in enumerate(self.text_rows)}
        return np.array(
            [
                (place, texts[int(row)])
                for place, row in enumerate(self.image_rows)
                if int(row) in texts
            ],
            dtype=np.int64,
        ).reshape(-1, 2)

    def vectors(self) -> FloatArray:
        """Return the (Ni + Nt, d) vectors of the images, then of the texts."""
        return np.concatenate([self.images, self.texts]).astype(np.float32)

    def at(self, epoch: int) -> Space:
        """Return the space at an epoch of `stages`; the space itself for any other epoch."""
        if epoch not in self.stages:
            return self
        images, texts = self.stages[epoch]
        return replace(self, images=images, texts=texts)

    def relevant(self, direction: Direction) -> tuple[IntArray, IntArray]:
        """Return class numbers of queries and gallery; a hit of the same class is relevant.

        Each item without a label gets a separate class: only its partner is relevant.
        """
        own_class = len(self.classes) + np.arange(len(self.items))
        of_item = np.where(self.labels >= 0, self.labels, own_class)
        images, texts = of_item[self.image_rows], of_item[self.text_rows]
        return (images, texts) if direction == "i2t" else (texts, images)

    def sides(self, direction: Direction) -> tuple[FloatArray, FloatArray]:
        """Return the vectors of the queries and of the gallery."""
        if direction == "i2t":
            return self.images, self.texts
        return self.texts, self.images


def pair_losses(space: Space) -> npt.NDArray[np.float64]:
    """Return the (Ni + Nt,) alignment loss of each image and text; NaN without a partner.

        1 − cos(v, w)

    Source: half the squared distance of Wang and Isola, ICML 2020, equation 1 with α = 2.
    """
    losses = np.full(len(space.rows), np.nan)
    if len(space.pairs):
        image, text = space.pairs.T
        images, texts = unit_rows(space.images)[image], unit_rows(space.texts)[text]
        found = 1 - np.einsum("nd,nd->n", images, texts)
        losses[image] = found
        losses[len(space.images) + text] = found
    return losses


@dataclass(frozen=True, eq=False)
class Answers:
    """Retrieval quality of all queries of one direction.

    Attributes:
        ap: (Nq,) average precision over the full ranking; NaN for queries without relevant items.
        first: (Nq,) whether the best hit is relevant.
        confusion: (C, C) share of class j among the first hits for queries of class i; None
            without classes.
    """

    ap: npt.NDArray[np.float64]
    first: npt.NDArray[np.bool_]
    confusion: npt.NDArray[np.float64] | None

    @property
    def map(self) -> float:
        """MAP@all."""
        return mean(self.ap)

    def worst_first(self) -> IntArray:
        """Return the queries with relevant items, the worst first; ties keep their order."""
        order = np.argsort(self.ap, kind="stable")
        return order[: np.count_nonzero(~np.isnan(self.ap))]


def answers(space: Space, direction: Direction, depth: int = 10) -> Answers:
    """Run every query of one direction.

    Args:
        space: the embedded items.
        direction: image to text or text to image.
        depth: number of hits that `confusion` counts.

    Raises:
        QueryError: one of the modalities is missing, or values are not finite.
    """
    queries, gallery = space.sides(direction)
    if not len(queries) or not len(gallery):
        raise QueryError("this space has only one modality, so there is nothing to retrieve")
    wanted, given = space.relevant(direction)
    count = len(space.classes)
    ap, first = [], []
    confusion = np.zeros((count, count))
    for rows, order in ranked_chunks(queries, gallery):
        found = given[order]
        relevance = found == wanted[rows, None]
        ap.append(average_precision(relevance))
        first.append(relevance[:, 0])
        if count:
            top = found[:, :depth]
            asked = np.broadcast_to(wanted[rows, None], top.shape)
            both = (asked < count) & (top < count)
            np.add.at(confusion, (asked[both], top[both]), 1)
    totals = confusion.sum(1, keepdims=True)
    return Answers(
        np.concatenate(ap),
        np.concatenate(first),
        confusion / np.maximum(totals, 1) if count else None,
    )


@dataclass(frozen=True, eq=False)
class Ranking:
    """The full ranking of one query.

    Attributes:
        order: (Ng,) indices into the gallery, best first.
        scores: (Ng,) cosine similarities in that order.
        hits: (Ng,) whether each item is relevant.
        ap: average precision; None without relevant items.
    """

    order: IntArray
    scores: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]
    ap: float | None


def ranking(space: Space, direction: Direction, query: int) -> Ranking:
    """Return the ranking of one query, consistent with `answers`.

    Raises:
        QueryError: there is no such query.
    """
    queries, gallery = space.sides(direction)
    if not 0 <= query < len(queries):
        raise QueryError(f"there is no query {query}: there are {len(queries)}")
    wanted, given = space.relevant(direction)
    order = rank(queries[query : query + 1], gallery)[0]
    scores = (unit_rows(queries[query : query + 1]) @ unit_rows(gallery).T)[0][order]
    hits = given[order] == wanted[query]
    ap = float(average_precision(hits[None])[0])
    return Ranking(order, scores, hits, None if np.isnan(ap) else ap)

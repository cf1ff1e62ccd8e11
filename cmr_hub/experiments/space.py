"""Images and texts in one space, and which answers which."""

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


@dataclass(frozen=True)
class SpaceItem:
    """What is known of an item of a space; it is shown, and decides nothing."""

    id: str
    label: str | None = None
    path: Path | None = None
    sentences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Cuts what is longer than a page can lay out."""
        if self.label is not None:
            object.__setattr__(self, "label", shortened(self.label))
        object.__setattr__(self, "sentences", tuple(map(shortened, self.sentences)))


@dataclass(frozen=True, eq=False)
class Space:
    """Embedded items: images, texts, and what they are.

    Attributes:
        images: (Ni, d) rows of length 1 or nearly.
        texts: (Nt, d), in the same space.
        image_rows: (Ni,) positions of the images in `items`.
        text_rows: (Nt,) positions of the texts.
        items: all items.
        stages: by epoch the same images and texts as they were then; without the last.
        epoch: of `images` and `texts`; 0 where it is not known.
        kept: share of the squared length that the stored vectors keep of the whole ones.
    """

    images: FloatArray
    texts: FloatArray
    image_rows: IntArray
    text_rows: IntArray
    items: tuple[SpaceItem, ...]
    stages: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    epoch: int = 0
    kept: float = 1.0

    @cached_property
    def classes(self) -> list[str]:
        """The names of the labels, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})

    @cached_property
    def labels(self) -> IntArray:
        """(N,) of all items: positions in `classes`, −1 for none."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places.get(item.label or "", -1) for item in self.items], dtype=np.int64)

    @cached_property
    def rows(self) -> IntArray:
        """(Ni + Nt,) positions in `items` of the images and, after them, the texts."""
        return np.concatenate([self.image_rows, self.text_rows])

    @cached_property
    def pairs(self) -> IntArray:
        """(P, 2) an image's and a text's position among them, where they are of one item."""
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
        """(Ni + Nt, d) images and, after them, texts."""
        return np.concatenate([self.images, self.texts]).astype(np.float32)

    def at(self, epoch: int) -> Space:
        """The space as it was at an epoch that was kept; at any other, as it is."""
        if epoch not in self.stages:
            return self
        images, texts = self.stages[epoch]
        return replace(self, images=images, texts=texts)

    def relevant(self, direction: Direction) -> tuple[IntArray, IntArray]:
        """What decides whether an answer is right: class numbers of queries and of the gallery.

        An item without a label is a class of its own: only its own partner answers it.
        """
        alone = len(self.classes) + np.arange(len(self.items))
        of_item = np.where(self.labels >= 0, self.labels, alone)
        images, texts = of_item[self.image_rows], of_item[self.text_rows]
        return (images, texts) if direction == "i2t" else (texts, images)

    def sides(self, direction: Direction) -> tuple[FloatArray, FloatArray]:
        """The vectors of queries and gallery."""
        if direction == "i2t":
            return self.images, self.texts
        return self.texts, self.images


def pair_losses(space: Space) -> npt.NDArray[np.float64]:
    """(Ni + Nt,) the alignment loss of each image's and text's own pair; NaN without a partner.

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
    """How well the queries of one direction are answered.

    Attributes:
        ap: (Nq,) average precision over the whole ranking; NaN for a query without an answer.
        first: (Nq,) whether the best hit is right.
        confusion: (C, C) shares: of the first hits of class i's queries, those of class j; None
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
        """The queries that have an answer, the worst first; of equal ones in their order."""
        order = np.argsort(self.ap, kind="stable")
        return order[: np.count_nonzero(~np.isnan(self.ap))]


def answers(space: Space, direction: Direction, depth: int = 10) -> Answers:
    """Asks every query of one direction. `depth`: how many hits the confusion counts.

    Raises:
        QueryError: one of the modalities is missing, or values are not finite.
    """
    queries, gallery = space.sides(direction)
    if not len(queries) or not len(gallery):
        raise QueryError("this space has only one modality: nothing can be asked across")
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
    """The whole gallery in the order of one query.

    Attributes:
        order: (Ng,) positions in the gallery, best first.
        scores: (Ng,) cosine similarities in that order.
        hits: (Ng,) whether each answers the query.
        ap: average precision; None without an answer.
    """

    order: IntArray
    scores: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]
    ap: float | None


def ranking(space: Space, direction: Direction, query: int) -> Ranking:
    """The ranking of query number `query`, as `answers` scores it.

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

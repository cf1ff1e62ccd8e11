"""Compute all retrieval metrics of a model on a test set, from one ranking per direction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from cmr_hub.errors import QueryError
from cmr_hub.metrics.ranking import ranked_chunks
from cmr_hub.metrics.relevance import check_labels, ranked_shared_labels
from cmr_hub.metrics.retrieval import (
    Denominator,
    average_precision,
    bootstrap_interval,
    check_length,
    classification_accuracy,
    interpolated_precision,
    mean,
    ndcg_at_k,
    own_rank,
    per_class_map,
    precision_at_k,
    recall_at_k,
)
from cmr_hub.notebook import html_table

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import JSONObject

DEPTHS = (1, 5, 10)

_Row: TypeAlias = tuple[str, float | None, float | None]
"""A name and its values for image queries and text queries."""


@dataclass(frozen=True)
class DirectionReport:
    """Metrics of one direction, image-to-text or text-to-image."""

    map: float
    """MAP over the full ranking."""
    map_interval: tuple[float, float]
    """95 % interval of `map` over queries; see `bootstrap_interval`."""
    map50: float
    """MAP@50; its denominator is in the `RetrievalReport`."""
    precision: dict[int, float]
    """Precision@k by k."""
    recall: dict[int, float]
    """Recall@k by k: share of queries with a paired item among the first k."""
    median_rank: float
    """Median rank of the paired item, from 1; of several paired captions the first."""
    per_class_map: dict[str, float]
    """MAP over the full ranking by class; empty without classes."""
    pr_curve: tuple[float, ...]
    """Interpolated precision at `RetrievalReport.pr_recall`, mean over queries."""
    n_queries: int
    empty_queries: int
    """Number of queries without relevant items, which are excluded from means."""
    ndcg: dict[int, float] = field(default_factory=dict)
    """nDCG@k by k, if items have several labels; the gain is the number of shared labels."""


@dataclass(frozen=True)
class RetrievalReport:
    """Image-to-text (i2t) and text-to-image (t2i) retrieval on one test set."""

    i2t: DirectionReport
    t2i: DirectionReport
    relevance: Literal["class", "pair"]
    """Relevant items: those of the query's class, or without labels only the paired item."""
    map50_denominator: Denominator
    pr_recall: tuple[float, ...]
    image_accuracy: float | None
    """Accuracy of the model's classifier on images; None without one."""
    text_accuracy: float | None

    @property
    def map_i2t(self) -> float:
        """MAP@all of image-to-text retrieval."""
        return self.i2t.map

    @property
    def map_t2i(self) -> float:
        """MAP@all of text-to-image retrieval."""
        return self.t2i.map

    @property
    def map_avg(self) -> float:
        """Mean of MAP@all of the two directions."""
        return (self.i2t.map + self.t2i.map) / 2

    @property
    def map50_i2t(self) -> float:
        """MAP@50 of image-to-text retrieval."""
        return self.i2t.map50

    @property
    def map50_t2i(self) -> float:
        """MAP@50 of text-to-image retrieval."""
        return self.t2i.map50

    @property
    def map50_avg(self) -> float:
        """Mean of MAP@50 of the two directions."""
        return (self.i2t.map50 + self.t2i.map50) / 2

    @property
    def recall_avg(self) -> float:
        """Mean of Recall@1, @5 and @10 of the two directions."""
        shares = (*self.i2t.recall.values(), *self.t2i.recall.values())
        return sum(shares) / len(shares)

    def to_dict(self) -> JSONObject:
        """Return a flat dictionary of JSON values: `map_i2t`, `recall_t2i`, ..., `map_avg`, ..."""
        record: JSONObject = asdict(self)
        for direction in ("i2t", "t2i"):
            for figure, value in record.pop(direction).items():
                by_depth = figure in ("precision", "recall", "ndcg")
                if figure == "ndcg" and not value:
                    continue
                record[f"{figure}_{direction}"] = (
                    {str(k): share for k, share in value.items()} if by_depth else value
                )
        record["map_avg"], record["map50_avg"] = self.map_avg, self.map50_avg
        record["recall_avg"] = self.recall_avg
        return {key: list(v) if isinstance(v, tuple) else v for key, v in record.items()}

    def table(self, zero_shot: RetrievalReport | None = None) -> str:
        """Return the metrics as plain text, each followed by that of `zero_shot` if given."""
        i2t, t2i = self.i2t, self.t2i
        same = "class" if self.relevance == "class" else "own pair"
        if i2t.ndcg:
            same = "class, one at least"
        lines = [f"{f'relevant: same {same}':<32}{'image→text':>12}{'text→image':>12}{'mean':>8}"]
        lines += _lines(self._shares(), [] if zero_shot is None else zero_shot._shares())
        low_high = [f"{one.map_interval[0]:.3f}-{one.map_interval[1]:.3f}" for one in (i2t, t2i)]
        lines.append(f"{'MAP@all, 95 % over queries':<32}{low_high[0]:>12}{low_high[1]:>12}")
        lines.append(f"{'queries':<32}{i2t.n_queries:>12}{t2i.n_queries:>12}")
        if i2t.empty_queries or t2i.empty_queries:
            lines.append(f"{'without answer':<32}{i2t.empty_queries:>12}{t2i.empty_queries:>12}")
        lines += _lines(self._accuracies(), [] if zero_shot is None else zero_shot._accuracies())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        i2t, t2i = self.i2t, self.t2i
        rows = [(row[0], *_cells(row)) for row in (*self._shares(), *self._accuracies())]
        rows.append(("queries", str(i2t.n_queries), str(t2i.n_queries), ""))
        head = ("", "image→text", "text→image", "mean")
        return html_table(rows, head, f"relevant: same {self.relevance}")

    def _shares(self) -> list[_Row]:
        i2t, t2i = self.i2t, self.t2i
        return [
            ("MAP@all", i2t.map, t2i.map),
            (f"MAP@50 (divided by {self.map50_denominator})", i2t.map50, t2i.map50),
            *((f"nDCG@{k} (shared labels)", i2t.ndcg[k], t2i.ndcg[k]) for k in i2t.ndcg),
            *((f"Precision@{k}", i2t.precision[k], t2i.precision[k]) for k in DEPTHS),
            *((f"Recall@{k} (own pair)", i2t.recall[k], t2i.recall[k]) for k in DEPTHS),
        ]

    def captions(self) -> JSONObject:
        """Return recall and median rank of both directions as JSON values, for captions."""
        return {
            f"{figure}_{name}": value
            for name, direction in (("t2i", self.t2i), ("i2t", self.i2t))
            for figure, value in (
                ("recall", {str(k): share for k, share in direction.recall.items()}),
                ("median_rank", direction.median_rank),
                ("queries", direction.n_queries),
            )
        }

    def caption_table(self) -> str:
        """Return recall and median rank of both directions as plain text, for captions."""
        i2t, t2i = self.i2t, self.t2i
        lines = [f"{'single captions':<32}{'image→text':>12}{'text→image':>12}{'mean':>8}"]
        lines += [_line(f"Recall@{k}", i2t.recall[k], t2i.recall[k]) for k in DEPTHS]
        lines.append(f"{'median rank':<32}{i2t.median_rank:>12g}{t2i.median_rank:>12g}")
        lines.append(f"{'queries':<32}{i2t.n_queries:>12}{t2i.n_queries:>12}")
        return "\n".join(lines)

    def _accuracies(self) -> list[_Row]:
        rows = [
            ("image accuracy", self.image_accuracy, None),
            ("text accuracy", None, self.text_accuracy),
        ]
        return [row for row in rows if row[1:] != (None, None)]


def _lines(rows: list[_Row], zero_shot: list[_Row]) -> list[str]:
    pairs = zip_longest(rows, [("  zero-shot", *shares) for _, *shares in zero_shot])
    return [_line(*row) for pair in pairs for row in pair if row is not None]


def _cells(row: _Row) -> tuple[str, str, str]:
    _, i2t, t2i = row
    mean_ = None if i2t is None or t2i is None else (i2t + t2i) / 2
    first, second, third = ("" if share is None else f"{share:.3f}" for share in (i2t, t2i, mean_))
    return first, second, third


def _line(name: str, i2t: float | None, t2i: float | None) -> str:
    cells = _cells((name, i2t, t2i))
    return f"{name:<32}{cells[0]:>12}{cells[1]:>12}{cells[2]:>8}".rstrip()


def evaluate_retrieval(
    image_embeddings: npt.ArrayLike,
    text_embeddings: npt.ArrayLike,
    labels: npt.ArrayLike | None,
    *,
    text_owner: npt.ArrayLike | None = None,
    predicted_image_labels: npt.ArrayLike | None = None,
    predicted_text_labels: npt.ArrayLike | None = None,
    map50_denominator: Denominator = "relevant",
    pr_levels: int = 11,
) -> RetrievalReport:
    """Compute the retrieval metrics of a test set in both directions.

    Args:
        image_embeddings: (Ni, d) vectors.
        text_embeddings: (Nt, d) vectors in the same space.
        labels: (Ni,) classes of the images, as numbers or names; a text has the class of its
            image. For several labels per item, (Ni, C) rows of 0 and 1: items that share a label
            are relevant, and nDCG is computed. None if there are no classes: only the paired item
            is then relevant.
        text_owner: (Nt,) row of the image that each text belongs to, if images have several
            texts. Default: text i belongs to image i.
        predicted_image_labels: (Ni,) labels predicted by the model's classifier for images.
        predicted_text_labels: (Nt,) labels predicted by the model's classifier for texts.
        map50_denominator: see `metrics.average_precision`. With the default, "relevant", only a
            perfect ranking has the value 1.
        pr_levels: number of recall levels of the precision-recall curve, usually 11 or 101.

    Raises:
        QueryError: shapes do not match, values are not finite, or no query has relevant items.
    """
    n_images, n_texts = len(np.asarray(image_embeddings)), len(np.asarray(text_embeddings))
    images = np.arange(n_images)
    owner = np.arange(n_texts) if text_owner is None else np.asarray(text_owner)
    if text_owner is None and n_texts != n_images:
        raise QueryError(
            f"{n_images} images and {n_texts} texts are not pairs: pass the image of each text as "
            f"text_owner"
        )
    check_length("text_owner", owner, n_texts)
    if not np.issubdtype(owner.dtype, np.integer) or not np.isin(owner, images).all():
        raise QueryError(
            f"text_owner must contain image rows, whole numbers from 0 to {n_images - 1}"
        )
    names = None if labels is None else np.asarray(labels)
    if names is None:
        if predicted_image_labels is not None or predicted_text_labels is not None:
            raise QueryError("predicted labels need labels to compare with")
        classes = images
    else:
        check_labels("labels", names, n_images)
        classes = names if names.ndim == 2 else np.unique(names, return_inverse=True)[1]
    multi_label = classes.ndim == 2

    def direction(
        queries: npt.ArrayLike,
        gallery: npt.ArrayLike,
        query_pairs: npt.NDArray[np.int64],
        gallery_pairs: npt.NDArray[np.int64],
    ) -> DirectionReport:
        chunks = []
        for rows, order in ranked_chunks(queries, gallery):
            found = gallery_pairs[order]
            gains = ranked_shared_labels(classes[query_pairs[rows]], classes, found)
            relevant = gains > 0
            own = found == query_pairs[rows, None]
            chunks.append(
                np.column_stack(
                    [
                        average_precision(relevant),
                        average_precision(relevant, 50, map50_denominator),
                        *(precision_at_k(relevant, k) for k in DEPTHS),
                        *(recall_at_k(own, k) for k in DEPTHS),
                        own_rank(own),
                        interpolated_precision(relevant, pr_levels),
                        *(ndcg_at_k(gains, k) for k in DEPTHS if multi_label),
                    ]
                )
            )
        figures = np.concatenate(chunks).T
        first = 2 + 2 * len(DEPTHS)
        precision, recall = np.split(figures[2:first], 2)
        ranks, curve = figures[first], figures[first + 1 : first + 1 + pr_levels]
        graded = figures[first + 1 + pr_levels :]
        return DirectionReport(
            map=mean(figures[0]),
            map_interval=bootstrap_interval(figures[0]),
            map50=mean(figures[1]),
            precision={k: mean(column) for k, column in zip(DEPTHS, precision, strict=True)},
            recall={k: mean(column) for k, column in zip(DEPTHS, recall, strict=True)},
            median_rank=float(np.median(ranks[~np.isnan(ranks)])),
            per_class_map={} if names is None else per_class_map(figures[0], names[query_pairs]),
            pr_curve=tuple(mean(column) for column in curve),
            n_queries=len(query_pairs),
            empty_queries=int(np.count_nonzero(np.isnan(figures[0]))),
            ndcg={k: mean(column) for k, column in zip(DEPTHS, graded, strict=False)},
        )

    def accuracy(predicted: npt.ArrayLike | None, pairs: npt.NDArray[np.int64]) -> float | None:
        if predicted is None or names is None:
            return None
        return classification_accuracy(predicted, names[pairs])

    return RetrievalReport(
        i2t=direction(image_embeddings, text_embeddings, images, owner),
        t2i=direction(text_embeddings, image_embeddings, owner, images),
        relevance="pair" if names is None else "class",
        map50_denominator=map50_denominator,
        pr_recall=tuple(float(level) for level in np.linspace(0, 1, pr_levels)),
        image_accuracy=accuracy(predicted_image_labels, images),
        text_accuracy=accuracy(predicted_text_labels, owner),
    )

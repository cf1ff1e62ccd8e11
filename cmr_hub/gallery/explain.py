"""Explain a hit by words of the query, regions of the picture and training classes.

The methods work with any model: a part of the query or the picture is removed, and the score is
computed again.

Any change of the query or the picture changes the score slightly. The scores of neutral sentences
(`clear.Neutral`), if available, measure this noise: for a word, the standard deviation of their
scores with the same item; for a region, how much covering it changes their scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.texts.tokens import pieces, word_spans
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.query import Mix, Query, mixed, query_vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, ImageSource, Modality

MOST_WORDS = 64
"""Maximum number of explained words; the rest of a longer text is ignored."""
CELLS = 8
"""Number of rows and of columns of a saliency map."""
CLEAR_WORD = 1.0
"""Minimum |z| of a word that stands out. With an unrelated picture, fewer than 5 % of the words of
a caption reach it."""
CLEAR_PLACE = 3.0
"""Minimum z of a cell that stands out. Fewer than 5 % of neutral sentences reach it in any of
the 64 cells."""
_WINDOW = 2


@dataclass(frozen=True)
class WordContribution:
    """The contribution of one word of the query to the score of a hit."""

    word: str
    known: bool
    """Whether the model knows the word; the score of an unknown word is 0."""
    score: float
    """Decrease of the cosine similarity without the word; negative if it increases."""
    wanted: bool
    """False for a word of a part with a negative weight."""
    z: float | None = None
    """`score` divided by the standard deviation of the scores of neutral sentences for the same
    item; None without neutral scores."""


@dataclass(frozen=True, eq=False)
class Saliency:
    """A map of the regions of a picture that make it similar to a query."""

    cells: FloatArray
    """(CELLS, CELLS): decrease of the cosine similarity when the cell is covered."""
    box: tuple[float, float, float, float]
    """Part of the picture that the encoder sees: left, top, right, bottom, in [0, 1]."""
    z: FloatArray | None = None
    """(CELLS, CELLS): `cells` standardised by the decreases for neutral sentences; None without
    neutral scores."""


@dataclass(frozen=True)
class ClassScore:
    """The similarity of a vector to a class."""

    name: str
    score: float
    """Cosine similarity to the centroid of the training items of the class, in [-1, 1]."""


def strengths(z: npt.ArrayLike, least: float) -> npt.NDArray[np.float64]:
    """Map z-scores to opacities in [0, 1].

    The opacity is 0 below `least`, .5 at `least`, and 1 from twice `least`. The scale is fixed, so
    that equal z-scores always look the same.
    """
    sizes = np.abs(np.asarray(z, dtype=np.float64))
    return np.where(sizes >= least, np.minimum(sizes / (2 * least), 1), 0)


def word_contributions(
    model: CrossModalModel,
    query: Query,
    vector: npt.ArrayLike,
    neutral: Neutral | None = None,
) -> list[WordContribution]:
    """Compute the contribution of each word of a query to the score of a hit.

    The contribution of word t is c_t = cos(q, v) − cos(q₋ₜ, v), where q₋ₜ is the vector of the
    query without that word (Li et al. 2016, arXiv 1612.08220, "erasure"). If no other word is
    known, q₋ₜ is zero, and so is its cosine. Words interact, so the contributions do not sum to the
    score.

    Args:
        model: the model that encoded the query.
        query: a text or a mix; for a mix, the words of all its texts are explained.
        vector: (d,) unit vector of the hit.
        neutral: scores of neutral sentences, for z = c_t / sqrt(v'Cv).

    Returns:
        One contribution per word, in the order of the words.

    Raises:
        CMRError: the model has no text encoder, or a text has no known word.
    """
    if not model.text.has_encoder:
        raise CMRError("a model of precomputed features cannot read words")
    target = np.asarray(vector, dtype=np.float64)
    parts = query.parts if isinstance(query, Mix) else ((1.0, query),)
    weights = [weight for weight, _ in parts]
    part_vectors = [query_vector(model, part) for _, part in parts]
    spread = 0.0 if neutral is None else float(neutral.spreads(target[None])[0])
    score = _cosines(mixed(weights, part_vectors)[None], target)[0]
    contributions = []
    for index, (weight, part) in enumerate(parts):
        if not isinstance(part, str):
            continue
        plain, spans = word_spans(part)
        unknown = set(model.text.unknown_words(part))
        spans = spans[:MOST_WORDS]
        erased = [plain[:start] + " " + plain[end:] for _, start, end in spans]
        vectors = np.zeros((len(spans), len(target)))
        known = [row for row, text in enumerate(erased) if model.text.knows((text,))]
        if known:
            vectors[known] = model.encode_texts([erased[row] for row in known])
        queries = np.stack(
            [
                mixed(weights, [*part_vectors[:index], row, *part_vectors[index + 1 :]])
                for row in vectors
            ]
        )
        for (word, _, _), without in zip(spans, _cosines(queries, target), strict=True):
            is_known = word not in unknown and not unknown.issuperset(pieces(word))
            drop = float(score - without) if is_known else 0.0
            z = drop / spread if spread > 0 else None
            contributions.append(WordContribution(word, is_known, drop, weight > 0, z))
    return contributions


def saliency(
    model: CrossModalModel,
    picture: ImageSource,
    vector: npt.ArrayLike,
    neutral: Neutral | None = None,
) -> Saliency:
    """Compute which regions of a picture make it similar to a query.

    A window of 2 × 2 cells, filled with the mean colour of the encoder's training pictures, slides
    over a grid of `CELLS` × `CELLS` (occlusion: Zeiler and Fergus 2014, arXiv 1311.2901). For a
    picture x, the value of window w is cos(q, f(x)) − cos(q, f(x without w)); the value of a cell
    is the mean over the windows that cover it.

    Args:
        model: a model with an image encoder.
        picture: the picture of the hit.
        vector: (d,) unit vector of the query.
        neutral: scores of neutral sentences, to compute `z`; for text queries only.

    Raises:
        CMRError: the model has no image encoder.
        ImageError: the picture cannot be read.
    """
    if not model.image.has_encoder:
        raise CMRError("a model of precomputed features cannot read pictures")
    preprocessing = model.image.required_encoder.preprocessing
    canvas, box = preprocessing.canvas(read_image(picture, enough=preprocessing.enough))
    rows_at, columns_at = (
        np.linspace(0, length, CELLS + 1).astype(int) for length in canvas.shape[:2]
    )
    windows = [
        (row, column) for row in range(CELLS - _WINDOW + 1) for column in range(CELLS - _WINDOW + 1)
    ]
    covered = np.repeat(canvas[None], len(windows) + 1, axis=0)
    for view, (row, column) in zip(covered[1:], windows, strict=True):
        rows = slice(rows_at[row], rows_at[row + _WINDOW])
        view[rows, columns_at[column] : columns_at[column + _WINDOW]] = preprocessing.blank
    vectors = model.image.encode_pixels(preprocessing.from_canvas(covered)).astype(np.float64)
    sums = np.zeros((CELLS, CELLS, vectors.shape[1]))
    counts = np.zeros((CELLS, CELLS, 1))
    for change, (row, column) in zip(vectors[0] - vectors[1:], windows, strict=True):
        cells = slice(row, row + _WINDOW), slice(column, column + _WINDOW)
        sums[cells] += change
        counts[cells] += 1
    changes = (sums / counts).reshape(CELLS**2, -1)
    drops = changes @ np.asarray(vector, dtype=np.float64)
    z = None if neutral is None else _grid(neutral.z(drops, changes))
    return Saliency(_grid(drops), box, z)


def _grid(values: npt.NDArray[np.float64]) -> FloatArray:
    return values.reshape(CELLS, CELLS).astype(np.float32)


def nearest_classes(
    model: CrossModalModel, vector: npt.ArrayLike, modality: Modality, count: int = 3
) -> list[ClassScore]:
    """Return the training classes nearest to a vector, best first.

    Args:
        model: the model with the class centroids; without them the list is empty.
        vector: (d,) unit vector.
        modality: modality of the vector.
        count: maximum number of classes.

    Raises:
        QueryError: the vector has another dimension than the model.
    """
    if model.centroids is None:
        return []
    row = np.asarray(vector, dtype=np.float32)
    if row.shape != (model.dim,):
        raise QueryError(f"the vector must have the shape ({model.dim},), not {row.shape}")
    (scores,) = model.centroids.similarity(row[None], modality)
    order = np.argsort(-scores, kind="stable")[:count]
    return [
        ClassScore(model.classes[index], float(scores[index]))
        for index in order
        if np.isfinite(scores[index])
    ]


def _cosines(
    rows: npt.NDArray[np.float64], vector: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the (n,) cosines of (n, d) rows with a unit vector; 0 for a zero row."""
    lengths = np.linalg.norm(rows, axis=1)
    cosines: npt.NDArray[np.float64] = (rows @ vector) / np.where(lengths > 0, lengths, 1)
    return cosines

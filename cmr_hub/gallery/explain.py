"""Why was this found: what each word, each patch of the picture and each class has to do with it.

Nothing here looks into the networks: a part of the query or of the picture is taken away, and the
score is computed again. What is told is therefore true of every encoder.

Any change to the query or the picture changes the score a little. Where the scores of neutral
sentences are known (`clear.Neutral`), they show how much of a change is noise: for a word by how
much their scores with the same item differ, for a place by how much covering it changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.texts.tokens import word_spans
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.query import Mix, Query, mixed, query_vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, ImageSource, Modality

MOST_WORDS = 64
"""Of a longer text, the first so many words are explained."""
CELLS = 8
"""Rows and columns of a saliency map."""
CLEAR_WORD = 1.0
"""The least |z| of a word that stands out: with a picture of something else fewer than a twentieth
of a caption's words reach it."""
CLEAR_PLACE = 3.0
"""The least z of a place that stands out: of 64 places one reaches it for less than a twentieth of
neutral sentences."""
_WINDOW = 2


@dataclass(frozen=True)
class WordContribution:
    """One word of the query."""

    word: str
    known: bool
    """To the model; the score of an unknown word is 0."""
    score: float
    """What the hit's cosine similarity loses without it; below 0 it would gain."""
    wanted: bool
    """False for a word of a part with a minus sign."""
    z: float | None = None
    """The score in standard deviations of those that neutral sentences have with the same item;
    None where these are not known."""


@dataclass(frozen=True, eq=False)
class Saliency:
    """Where in a picture the similarity to a query comes from."""

    cells: FloatArray
    """(CELLS, CELLS): what the cosine similarity loses when this place is covered."""
    box: tuple[float, float, float, float]
    """The part of the picture that the network is shown: left, top, right, bottom, in [0, 1]."""
    z: FloatArray | None = None
    """(CELLS, CELLS): by how many standard deviations that is more than neutral sentences lose
    when the same place is covered; None where these are not known."""


@dataclass(frozen=True)
class ClassScore:
    """How near a vector is to a class."""

    name: str
    score: float
    """Cosine similarity to the centroid of the class's training items, in [-1, 1]."""


def strengths(z: npt.ArrayLike, least: float) -> npt.NDArray[np.float64]:
    """How strongly to draw what is so many standard deviations large: in [0, 1].

    0 below `least`, .5 at it, and 1 from twice as much: the same z looks the same everywhere.
    """
    sizes = np.abs(np.asarray(z, dtype=np.float64))
    return np.where(sizes >= least, np.minimum(sizes / (2 * least), 1), 0)


def word_contributions(
    model: CrossModalModel,
    query: Query,
    vector: npt.ArrayLike,
    neutral: Neutral | None = None,
) -> list[WordContribution]:
    """What each word of a query does for the score of a hit, in the order of the words.

    The contribution of word t is c_t = cos(q, v) − cos(q₋ₜ, v), with q₋ₜ the vector of the query
    without that word (Li et al. 2016, arXiv 1612.08220, "erasure"). Where nothing else is known
    q₋ₜ has no direction, and its cosine counts as 0. Words act together, so the contributions need
    not sum to the score.

    Args:
        model: that the query was encoded with.
        query: a text, or a mix; of a mix the words of every text.
        vector: (d,) of the hit, of length 1.
        neutral: how neutral sentences score: then there is a z = c_t / sqrt(v'Cv).

    Raises:
        CMRError: the model has no text encoder, or no word of a text is known.
    """
    if not model.text.has_encoder:
        raise CMRError("a model of precomputed features cannot read words")
    target = np.asarray(vector, dtype=np.float64)
    parts = query.parts if isinstance(query, Mix) else ((1.0, query),)
    weights = [weight for weight, _ in parts]
    own = [query_vector(model, part) for _, part in parts]
    spread = 0.0 if neutral is None else float(neutral.spreads(target[None])[0])
    score = _cosines(mixed(weights, own)[None], target)[0]
    found = []
    for place, (weight, part) in enumerate(parts):
        if not isinstance(part, str):
            continue
        plain, spans = word_spans(part)
        unknown = set(model.text.unknown_words(part))
        spans = spans[:MOST_WORDS]
        shorter = [plain[:start] + " " + plain[end:] for _, start, end in spans]
        instead = np.zeros((len(spans), len(target)))
        told = [row for row, text in enumerate(shorter) if model.text.knows((text,))]
        if told:
            instead[told] = model.encode_texts([shorter[row] for row in told])
        rest = np.stack([mixed(weights, [*own[:place], row, *own[place + 1 :]]) for row in instead])
        for (word, _, _), without in zip(spans, _cosines(rest, target), strict=True):
            lost = 0.0 if word in unknown else float(score - without)
            z = lost / spread if spread > 0 else None
            found.append(WordContribution(word, word not in unknown, lost, weight > 0, z))
    return found


def saliency(
    model: CrossModalModel,
    picture: ImageSource,
    vector: npt.ArrayLike,
    neutral: Neutral | None = None,
) -> Saliency:
    """Which places of a picture make it similar to a query.

    A window of 2 × 2 cells with the mean colour of the encoder's training pictures is laid over
    every place of a grid of `CELLS` × `CELLS` (occlusion: Zeiler and Fergus 2014, arXiv
    1311.2901). With x the picture, the value of window w is cos(q, f(x)) − cos(q, f(x without w)),
    and that of a cell the mean of the windows that cover it.

    Args:
        model: with an image encoder.
        picture: the hit's.
        vector: (d,) of the query, of length 1.
        neutral: how neutral sentences score, where the query is a text: then every cell has a z.

    Raises:
        CMRError: the model has no image encoder.
        ImageError: the picture cannot be read.
    """
    if not model.image.has_encoder:
        raise CMRError("a model of precomputed features cannot look at pictures")
    shown = model.image.required_encoder.preprocessing
    canvas, box = shown.canvas(read_image(picture, enough=shown.enough))
    rows_at, columns_at = (
        np.linspace(0, length, CELLS + 1).astype(int) for length in canvas.shape[:2]
    )
    windows = [
        (row, column) for row in range(CELLS - _WINDOW + 1) for column in range(CELLS - _WINDOW + 1)
    ]
    covered = np.repeat(canvas[None], len(windows) + 1, axis=0)
    for view, (row, column) in zip(covered[1:], windows, strict=True):
        rows = slice(rows_at[row], rows_at[row + _WINDOW])
        view[rows, columns_at[column] : columns_at[column + _WINDOW]] = shown.blank
    vectors = model.image.encode_pixels(shown.from_canvas(covered)).astype(np.float64)
    sums = np.zeros((CELLS, CELLS, vectors.shape[1]))
    counts = np.zeros((CELLS, CELLS, 1))
    for moved, (row, column) in zip(vectors[0] - vectors[1:], windows, strict=True):
        cells = slice(row, row + _WINDOW), slice(column, column + _WINDOW)
        sums[cells] += moved
        counts[cells] += 1
    moves = (sums / counts).reshape(CELLS**2, -1)
    lost = moves @ np.asarray(vector, dtype=np.float64)
    z = None if neutral is None else _grid(neutral.z(lost, moves))
    return Saliency(_grid(lost), box, z)


def _grid(values: npt.NDArray[np.float64]) -> FloatArray:
    return values.reshape(CELLS, CELLS).astype(np.float32)


def nearest_classes(
    model: CrossModalModel, vector: npt.ArrayLike, modality: Modality, count: int = 3
) -> list[ClassScore]:
    """The training classes nearest to a vector, best first; none where there were no classes.

    Args:
        model: whose centroids are compared with.
        vector: (d,) of length 1.
        modality: what the vector is of.
        count: how many at most.

    Raises:
        QueryError: the vector is of another width.
    """
    if model.centroids is None:
        return []
    row = np.asarray(vector, dtype=np.float32)
    if row.shape != (model.dim,):
        raise QueryError(f"a vector of {model.dim} numbers is needed, not of shape {row.shape}")
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
    """(n, d) rows of any length → (n,) cosines with a vector of length 1; 0 for a zero row."""
    lengths = np.linalg.norm(rows, axis=1)
    cosines: npt.NDArray[np.float64] = (rows @ vector) / np.where(lengths > 0, lengths, 1)
    return cosines

"""Compare the score of a hit with the scores of neutral sentences for the same item."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cmr_hub.array_files import load_arrays, save_arrays
from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import CMRError, ModelFormatError, QueryError, StorageError, UnknownWordsError
from cmr_hub.gallery.neutral import neutral_sentences
from cmr_hub.gallery.query import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

logger = logging.getLogger(__name__)

NOTHING_CLEAR = "Nothing here stands out for this query."
FEWEST = 100
"""Minimum number of sentences for a useful mean and standard deviation."""
_NOT_NEUTRAL = "the scores of neutral sentences must be a mean and a factor, both float32"


@dataclass(frozen=True, eq=False)
class Neutral:
    """Mean and standard deviation of the scores of neutral sentences for any item.

    If m and C are the mean and the covariance of the sentences' unit vectors, their scores with an
    item v have the mean v·m and the variance v'Cv. Both can be computed for every item, including
    items added later. An item with high scores for all queries does not stand out.

    Attributes:
        mean: (d,) float32, m.
        factor: (r, d) float32, R with R'R = C.

    Raises:
        ModelFormatError: the shapes do not match or values are not finite.
    """

    mean: FloatArray
    factor: FloatArray

    def __post_init__(self) -> None:
        shapes_match = self.mean.ndim == 1 and self.factor.shape[1:] == self.mean.shape
        arrays = (self.mean, self.factor)
        if not shapes_match or any(array.dtype != np.float32 for array in arrays):
            raise ModelFormatError(_NOT_NEUTRAL)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelFormatError("the scores of neutral sentences are not finite")

    @classmethod
    def of_vectors(cls, vectors: FloatArray) -> Self:
        """Compute the statistics from the (n, d) unit vectors of the sentences."""
        rows = vectors.astype(np.float64)
        mean = rows.mean(axis=0)
        factor = np.asarray(np.linalg.qr((rows - mean) / np.sqrt(len(rows)), mode="r"))
        return cls(mean.astype(np.float32), factor.astype(np.float32))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Restore the statistics from the output of `arrays`. Raises ModelFormatError."""
        if arrays.keys() != {"mean", "factor"}:
            raise ModelFormatError(_NOT_NEUTRAL)
        return cls(arrays["mean"], arrays["factor"])

    def arrays(self) -> dict[str, FloatArray]:
        """Return the mean and the factor by name."""
        return {"mean": self.mean, "factor": self.factor}

    def z(
        self, scores: npt.NDArray[np.float64], vectors: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """Standardise the scores of a text for n items: z = (score - mean) / spread.

        Args:
            scores: (n,) cosine similarities.
            vectors: (n, d) unit vectors of the items.

        Returns:
            (n,); 0 where all neutral sentences have the same score.
        """
        mean, _ = self._wide
        rows = vectors.astype(np.float64)
        spread = self.spreads(rows)
        z = np.zeros(len(rows))
        np.divide(scores - rows @ mean, spread, out=z, where=spread > 0)
        return z

    def spreads(self, vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the (n,) standard deviations of the neutral scores of (n, d) vectors."""
        _, factor = self._wide
        spreads: npt.NDArray[np.float64] = np.linalg.norm(
            vectors.astype(np.float64) @ factor.T, axis=1
        )
        return spreads

    @cached_property
    def _wide(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.mean.astype(np.float64), self.factor.astype(np.float64)


def neutral_for(
    stored: Neutral | None, modality: Modality | None, clear: float | None
) -> Neutral | None:
    """Return the neutral scores for a text query, and None for other queries.

    Raises:
        QueryError: `clear` is given but there are no neutral scores, or it is not finite.
    """
    neutral = stored if modality == "text" else None
    if clear is not None:
        number("clear", clear)
    if clear is not None and neutral is None:
        raise QueryError(
            "`clear` works for text queries only: leave it out"
            if modality != "text"
            else "this gallery has no scores of neutral sentences, so `clear` cannot be used: "
            "run `cmr index` again, or gallery.calibrate() with its model"
        )
    return neutral


def neutral_of(model: CrossModalModel) -> Neutral | None:
    """Compute the neutral scores of a model, or read them from the cache.

    Sentences without a known word are skipped. Return None if the model has no text encoder or if
    fewer than `FEWEST` sentences remain.
    """
    sentences = neutral_sentences()
    digest = hashlib.sha256("\n".join((model.fingerprint, *sentences)).encode()).hexdigest()
    path = default_cache_home() / f"neutral-{digest[:32]}.safetensors"
    cached = load_arrays(path)
    if cached is not None:
        return Neutral.of_arrays(cached)
    try:
        vectors = _vectors(model, sentences)
    except CMRError:  # the model has no text encoder
        return None
    if sum(map(len, vectors)) < FEWEST:
        return None
    neutral = Neutral.of_vectors(np.concatenate(vectors))
    try:
        save_arrays(path, neutral.arrays())
    except (OSError, StorageError) as error:
        logger.warning("%s; the neutral sentences will be encoded again next time", error)
    return neutral


def _vectors(model: CrossModalModel, sentences: Sequence[str]) -> list[FloatArray]:
    """Encode the sentences that have a known word, bisecting if some have none."""
    try:
        return [model.encode_texts(sentences)]
    except UnknownWordsError:
        if len(sentences) == 1:
            return []
        middle = len(sentences) // 2
        return _vectors(model, sentences[:middle]) + _vectors(model, sentences[middle:])

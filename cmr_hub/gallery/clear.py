"""How far a hit stands out: its score beside those of neutral sentences."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import CMRError, ModelFormatError, QueryError, StorageError, UnknownWordsError
from cmr_hub.gallery.neutral import neutral_sentences
from cmr_hub.kept_arrays import keep_arrays, kept_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

logger = logging.getLogger(__name__)

NOTHING_CLEAR = "Nothing here stands out for this query."
FEWEST = 100
"""A mean and a spread of fewer sentences than these say nothing."""


@dataclass(frozen=True, eq=False)
class Neutral:
    """Mean and spread of the scores that neutral sentences have with any item.

    With m and C the mean and the covariance of the sentences' unit vectors, their scores with an
    item v have the mean v·m and the variance v'Cv. So the two are known for every item, also for
    one that is added later, and an item that scores high with anything stands out with nothing.

    Attributes:
        mean: (d,) float32, m.
        factor: (r, d) float32, R with R'R = C.

    Raises:
        ModelFormatError: the arrays do not go together or are not finite.
    """

    mean: FloatArray
    factor: FloatArray

    def __post_init__(self) -> None:
        shapes = self.mean.ndim == 1 and self.factor.shape[1:] == self.mean.shape
        arrays = (self.mean, self.factor)
        if not shapes or any(array.dtype != np.float32 for array in arrays):
            raise ModelFormatError("scores of neutral sentences: not a mean and a factor")
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelFormatError("scores of neutral sentences: not finite")

    @classmethod
    def of_vectors(cls, vectors: FloatArray) -> Self:
        """Of (n, d) vectors of length 1 of the sentences."""
        rows = vectors.astype(np.float64)
        mean = rows.mean(axis=0)
        _, factor = np.linalg.qr((rows - mean) / np.sqrt(len(rows)))
        return cls(mean.astype(np.float32), factor.astype(np.float32))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """What `arrays` gave. Raises ModelFormatError."""
        if arrays.keys() != {"mean", "factor"}:
            raise ModelFormatError("scores of neutral sentences: not a mean and a factor")
        return cls(arrays["mean"], arrays["factor"])

    def arrays(self) -> dict[str, FloatArray]:
        """Both arrays by name."""
        return {"mean": self.mean, "factor": self.factor}

    def z(
        self, scores: npt.NDArray[np.float64], vectors: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """z = (score - mean) / spread of a text's scores with n items.

        Args:
            scores: (n,) cosine similarities.
            vectors: (n, d) of the items, of length 1.

        Returns:
            (n,); 0 where all neutral sentences score alike.
        """
        mean, _ = self._wide
        rows = vectors.astype(np.float64)
        spread = self.spreads(rows)
        z = np.zeros(len(rows))
        np.divide(scores - rows @ mean, spread, out=z, where=spread > 0)
        return z

    def spreads(self, vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """(n,) standard deviations of the scores of neutral sentences with (n, d) vectors."""
        _, factor = self._wide
        spreads: npt.NDArray[np.float64] = np.linalg.norm(
            vectors.astype(np.float64) @ factor.T, axis=1
        )
        return spreads

    @cached_property
    def _wide(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.mean.astype(np.float64), self.factor.astype(np.float64)


def neutral_for(
    known: Neutral | None, modality: Modality | None, clear: float | None
) -> Neutral | None:
    """What the scores of a query of this modality can be compared with: None but for a text.

    Raises:
        QueryError: `clear` is asked for, and there is nothing; or it is no number.
    """
    neutral = known if modality == "text" else None
    if clear is not None and not math.isfinite(clear):
        raise QueryError(f"`clear` must be a number of standard deviations, not {clear}")
    if clear is not None and neutral is None:
        raise QueryError(
            "what stands out is known for queries of words alone: leave `clear` out"
            if modality != "text"
            else "this gallery does not know how neutral sentences score, so nothing stands out: "
            "run `cmr index` again, or gallery.calibrate() with its model"
        )
    return neutral


def neutral_of(model: CrossModalModel) -> Neutral | None:
    """How neutral sentences score with a model's items; kept in the cache, by its fingerprint.

    Sentences of which it knows no word are left out. None where it cannot read sentences, or knows
    too few.
    """
    sentences = neutral_sentences()
    digest = hashlib.sha256("\n".join((model.fingerprint, *sentences)).encode()).hexdigest()
    path = default_cache_home() / f"neutral-{digest[:32]}.safetensors"
    kept = kept_arrays(path)
    if kept is not None:
        return Neutral.of_arrays(kept)
    try:
        known = _vectors(model, sentences)
    except CMRError:  # a model of precomputed features
        return None
    if sum(map(len, known)) < FEWEST:
        return None
    neutral = Neutral.of_vectors(np.concatenate(known))
    try:
        keep_arrays(path, neutral.arrays())
    except (OSError, StorageError) as error:
        logger.warning("%s; the sentences are encoded again next time", error)
    return neutral


def _vectors(model: CrossModalModel, sentences: Sequence[str]) -> list[FloatArray]:
    """Of those sentences of which the model knows a word."""
    try:
        return [model.encode_texts(sentences)]
    except UnknownWordsError:
        if len(sentences) == 1:
            return []
        half = len(sentences) // 2
        return _vectors(model, sentences[:half]) + _vectors(model, sentences[half:])

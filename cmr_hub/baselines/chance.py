"""Random embeddings, whose scores are the chance level."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmr_hub.baselines.base import Baseline, FittedBaseline

if TYPE_CHECKING:
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray


class RandomBaseline(Baseline):
    """Embed every item as a random point of the unit sphere.

    MAP is then close to the share of relevant items in the gallery, and slightly higher in small
    galleries.
    """

    name: ClassVar[str] = "random"
    is_projection: ClassVar[bool] = False
    takes_unlabelled: ClassVar[bool] = True

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        return FittedBaseline(RandomEmbedder(seed, 0), RandomEmbedder(seed, 1))


@dataclass(frozen=True)
class RandomEmbedder:
    """Map every distinct feature row to a random unit vector.

    Args:
        seed, stream: embedders that differ in one of them are independent.
        dim: dimension d.
    """

    seed: int
    stream: int
    dim: int = 64

    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, dim) float32 unit vectors."""
        # Seeded by the row's bytes, not its index, so that an item has the same vector in every
        # split, and different items have different ones.
        vectors = np.stack(
            [
                np.random.default_rng(
                    [self.seed, self.stream, zlib.crc32(row.tobytes())]
                ).standard_normal(self.dim)
                for row in rows
            ]
        )
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)

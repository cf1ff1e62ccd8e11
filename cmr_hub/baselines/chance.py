"""Chance: what a figure is worth nothing against."""

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
    """Every item a random point of the unit sphere: retrieval by chance.

    MAP is then near the share of the gallery that is relevant, and a little above it in small
    galleries.
    """

    name: ClassVar[str] = "random"
    is_projection: ClassVar[bool] = False
    takes_unlabelled: ClassVar[bool] = True

    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        return FittedBaseline(RandomEmbedder(seed, 0), RandomEmbedder(seed, 1))


@dataclass(frozen=True)
class RandomEmbedder:
    """A random unit vector for every feature row: another row, another vector.

    Args:
        seed, stream: two embedders that differ in one of them have nothing in common.
        dim: d.
    """

    seed: int
    stream: int
    dim: int = 64

    def embed(self, rows: FloatArray) -> FloatArray:
        """(N, in_dim) features → (N, dim) float32 unit vectors."""
        # From the row's own bytes, not from its place: training row 3 and test row 3 must not
        # share a vector, and one item must not have two.
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

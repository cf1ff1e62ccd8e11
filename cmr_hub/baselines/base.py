"""What a baseline is: a method without an objective, fitted in closed form or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from cmr_hub.training.data import validation_score

if TYPE_CHECKING:
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray, JSONObject


class Embedder(Protocol):
    """Feature rows of one modality into the common space; a `Projector` is one."""

    def embed(self, rows: FloatArray) -> FloatArray:
        """(N, in_dim) features → (N, d) float32 unit vectors."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """What `Baseline.fit` gives.

    Attributes:
        images, texts: into one common space. Where both are `Projector`s the baseline can be
            saved and searched with like any trained model.
        settings: what validation chose, as JSON.
    """

    images: Embedder
    texts: Embedder
    settings: JSONObject = field(default_factory=dict)


MOST_PAIRS: Final = 3000
"""What compares all pairs with each other draws at most so many to learn from."""


class Baseline(ABC):
    """Base of all baselines. They are tuned as carefully as the methods they are held against."""

    name: ClassVar[str]
    takes_unlabelled: ClassVar[bool] = False
    """Whether it learns from pairs alone."""
    is_projection: ClassVar[bool] = True
    """Whether it gives two `Projector`s, and so a model that can be saved."""

    def fit(self, splits: TrainingSplits, seed: int, score: Score | None = None) -> FittedBaseline:
        """Chooses settings on the validation pairs, then learns from `splits.final`.

        Args:
            splits: pairs to learn from and pairs that choose the settings.
            seed: random seed.
            score: what to maximise on the validation pairs. Default: `validation_score`.

        Raises:
            TrainingError: there is nothing to learn from: one class only, or rows all the same.
        """
        return self._fit(splits.plain(), seed, score or validation_score(splits.validation))

    def needs_labels(self) -> list[str]:
        """What of it cannot do without a label for every pair; empty for most."""
        return [] if self.takes_unlabelled else [self.name]

    @abstractmethod
    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        """`fit`, of pairs that have an image row each."""

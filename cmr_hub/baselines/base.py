"""The base class of baselines: methods in closed form, or without any training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from cmr_hub.training.data import validation_score

if TYPE_CHECKING:
    from cmr_hub.training.data import Score, TrainingSplits
    from cmr_hub.types import FloatArray, JSONObject


class Embedder(Protocol):
    """Map features of one modality into the common space, like a `Projector`."""

    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, d) float32 unit vectors."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """The result of `Baseline.fit`.

    Attributes:
        images, texts: map features into one common space. If both are `Projector`s, the baseline
            can be saved and searched like any trained model.
        settings: settings chosen by validation, as JSON.
    """

    images: Embedder
    texts: Embedder
    settings: JSONObject = field(default_factory=dict)


MOST_PAIRS: Final = 3000
"""Maximum number of training pairs for methods that compare all pairs with each other."""


class Baseline(ABC):
    """Base class of baselines, whose settings are tuned on validation pairs."""

    name: ClassVar[str]
    takes_unlabelled: ClassVar[bool] = False
    """Whether the baseline needs only pairs and no labels."""
    is_projection: ClassVar[bool] = True
    """Whether the baseline returns two `Projector`s, so that the model can be saved."""

    def fit(self, splits: TrainingSplits, seed: int, score: Score | None = None) -> FittedBaseline:
        """Choose settings on the validation pairs, then fit on `splits.final`.

        Args:
            splits: pairs to learn from and pairs to choose settings on.
            seed: random seed.
            score: score to maximise on the validation pairs. Default: `validation_score`.

        Raises:
            TrainingError: there is only one class, or all rows are the same.
        """
        return self._fit(splits.plain(), seed, score or validation_score(splits.validation))

    def needs_labels(self) -> list[str]:
        """Return the baseline's name if it needs a label for every pair; otherwise nothing."""
        return [] if self.takes_unlabelled else [self.name]

    @property
    def takes_several_labels(self) -> bool:
        """Whether items may have several labels; baselines with labels fit a classifier."""
        return self.takes_unlabelled

    @abstractmethod
    def _fit(self, splits: TrainingSplits, seed: int, score: Score) -> FittedBaseline:
        """Implement `fit`, for pairs with one image row each."""

"""The base class of losses: a module that maps images, texts and labels to a scalar."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from cmr_hub.errors import CMRError, shown


class Loss(nn.Module, ABC):
    """Base class of all losses.

    A loss may have parameters (a classifier, proxies), which are trained with the projectors.
    `logs` contains additional detached scalars for the history (an accuracy, λ).

    Inputs:
        images: (B, d) outputs z of the image projector, not normalised.
        texts: (B, d) outputs of the text projector; `images[i]` and `texts[i]` are a pair.
        labels: (B,) int64 classes in [0, n_classes), or (B, n_classes) floats, 1 for every class of
            an item and otherwise 0. With `takes_unlabelled`, −1 or a row of zeros means no label.
    """

    takes_unlabelled: ClassVar[bool] = False
    log_line: ClassVar[str] = ""
    """Format string of a line to print after every step. Its fields are `epoch`, `step`, `steps`
    (per epoch), `time` (seconds since training began) and the names in `logs`."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Tensor] = {}

    @abstractmethod
    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; zero if there is nothing to learn from it."""

    def schedule(self, progress: float) -> None:
        """Update scheduled values before every step; `progress` in [0, 1] is the share done."""

    def observe(self, image_features: Tensor, text_features: Tensor) -> None:
        """Receive the input features of the batch before `forward`; most losses ignore them."""

    def observe_items(self, items: Tensor) -> None:
        """Receive the (B,) items of the pairs of the batch before `forward`.

        Called only if items have several pairs, one per caption. Most losses ignore it.
        """

    def observe_label_weights(self, weights: Tensor) -> None:
        """Receive the (B,) label weights of the pairs of the batch before `forward`.

        Called only if the weights differ. Most losses ignore it.
        """


def zero_loss(images: Tensor, texts: Tensor) -> Tensor:
    """Return a zero that depends on the batch, so that `backward` works with nothing to learn."""
    return 0.0 * (images.sum() + texts.sum())


def require_positive(**options: float) -> None:
    """Raise CMRError for the first option that is not a finite number above zero."""
    for name, value in options.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value > 0):
            raise CMRError(f"{name} must be a number above zero, not {shown(value)}")

"""What a loss is: a module of three tensors that gives a scalar."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from cmr_hub.errors import CMRError, shown


class Loss(nn.Module, ABC):
    """Base of all losses.

    A loss may own parameters (a classifier, proxies); they are trained with the projectors.
    `logs` holds detached scalars beside the loss itself, for the history (an accuracy, λ).

    Inputs:
        images: (B, d) rows z of the image projector, not normalised.
        texts: (B, d) rows of the text projector; `images[i]` and `texts[i]` belong together.
        labels: (B,) int64 classes in [0, n_classes). Where `takes_unlabelled`, also −1: no label.
    """

    takes_unlabelled: ClassVar[bool] = False
    log_line: ClassVar[str] = ""
    """What to print after every epoch: a format of `epoch`, `time` (seconds since training began)
    and the names in `logs`, which then stand for their means over the epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Tensor] = {}

    @abstractmethod
    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        """The loss of one batch, a scalar; zero where the batch holds nothing to learn from."""

    def schedule(self, progress: float) -> None:
        """Called before every step with the share of training done, in [0, 1]."""

    def observe(self, image_features: Tensor, text_features: Tensor) -> None:
        """Called before `forward` with the batch's input features; most losses ignore it."""

    def observe_items(self, items: Tensor) -> None:
        """Called before `forward` where an item has several pairs, one for each of its captions:
        (B,) the item that each pair of the batch is of. Most losses ignore it."""

    def observe_label_weights(self, weights: Tensor) -> None:
        """Called before `forward` where labels do not all count alike: (B,) how much that of each
        pair of the batch does. Most losses ignore it."""


def nothing(images: Tensor, texts: Tensor) -> Tensor:
    """A zero of the batch's graph: what a loss gives when the batch cannot teach it."""
    return 0.0 * (images.sum() + texts.sum())


def require_positive(**options: float) -> None:
    """Raises CMRError for the first option that is not a finite number above zero."""
    for name, value in options.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value > 0):
            raise CMRError(f"{name} must be a number above zero, not {shown(value)}")

"""What a loss is: a module of three tensors that gives a scalar."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """Base of all losses.

    A loss may own parameters (a classifier, proxies); they are trained with the projectors.
    `logs` holds detached scalars beside the loss itself, for the history (an accuracy, λ).

    Inputs:
        images: (B, d) rows z of the image projector, not normalised.
        texts: (B, d) rows of the text projector; `images[i]` and `texts[i]` belong together.
        labels: (B,) int64 classes in [0, n_classes).
    """

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Tensor] = {}

    @abstractmethod
    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        """The loss of one batch, a scalar; zero where the batch holds nothing to learn from."""

    def schedule(self, progress: float) -> None:
        """Called before every step with the share of training done, in [0, 1]."""

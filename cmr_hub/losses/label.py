"""The label loss: one classifier shared by both modalities."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, nothing


class LabelLoss(Loss):
    """Cross-entropy of one linear classifier C, shared by images and texts.

    Equation:
        L = Σᵢ uᵢ [CE(C(vᵢ), yᵢ) + CE(C(wᵢ), yᵢ)] / Σᵢ uᵢ  over the pairs that have a label, or,
        with `of_batch`, divided by B: where few have one, they then count for no more

        uᵢ is 1, or what `observe_label_weights` says.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.
        of_batch: divide by all pairs of the batch, not by those with a label.

    Inputs:
        images, texts: (B, dim), used as they are. labels: (B,).

    References:
        Wang et al., Adversarial Cross-Modal Retrieval (ACMR), ACM MM 2017, equation 2.

    When to prefer:
        The first term to try wherever relevance means "same class". The cosine of the search
        never enters it: add a term on unit vectors, or take `CosFaceLoss`.
    """

    takes_unlabelled = True

    def __init__(self, dim: int, n_classes: int, of_batch: bool = False) -> None:
        super().__init__()
        self.of_batch = of_batch
        self.classifier = nn.Linear(dim, n_classes)
        self._weights: Tensor | None = None

    def observe_label_weights(self, weights: Tensor) -> None:
        self._weights = weights

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        weights, self._weights = self._weights, None
        known, pairs = labels >= 0, len(labels)
        if not known.all():
            images, texts, labels = images[known], texts[known], labels[known]
            if not len(labels):
                return nothing(images, texts)
        logits = self.classifier(images), self.classifier(texts)
        if weights is None:
            both = cross_entropy(logits[0], labels) + cross_entropy(logits[1], labels)
            return both * (len(labels) / pairs) if self.of_batch else both
        weights = weights[known]
        each = sum(cross_entropy(part, labels, reduction="none") for part in logits)
        total: Tensor = (weights * each).sum() / (pairs if self.of_batch else weights.sum())
        return total

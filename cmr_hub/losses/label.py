"""The label loss: one classifier shared by both modalities."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, zero_loss
from cmr_hub.losses.targets import has_label, soft_targets


class LabelLoss(Loss):
    """Cross-entropy of one linear classifier C, shared by images and texts.

    Equation:
        L = Σᵢ uᵢ [CE(C(vᵢ), yᵢ) + CE(C(wᵢ), yᵢ)] / Σᵢ uᵢ  over the pairs with a label; with
        `of_batch` divided by B, so that few labels in a batch do not get a higher weight

        uᵢ is the weight given by `observe_label_weights`, or 1.

    Args:
        dim: dimensions of the common space.
        n_classes: number of classes.
        of_batch: divide by the number of all pairs of the batch, not of those with a label.

    Inputs:
        images, texts: (B, dim), not normalised. labels: (B,), −1 for none; or (B, n_classes)
        multi-hot, zeros for none: CE is −y·log softmax(C(z)), as in the paper, with y divided by
        the number of classes, so that each item counts once.

    References:
        Wang et al., Adversarial Cross-Modal Retrieval (ACMR), ACM MM 2017, equation 2.

    When to prefer:
        As the first term to try if relevance means "same class". It does not use the cosine of the
        search: add a term on unit vectors, or use `CosFaceLoss`.
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
        known, pairs = has_label(labels), len(labels)
        if not known.all():
            images, texts, labels = images[known], texts[known], labels[known]
            if not len(labels):
                return zero_loss(images, texts)
        logits = self.classifier(images), self.classifier(texts)
        targets = soft_targets(labels, images)
        if weights is None:
            both = cross_entropy(logits[0], targets) + cross_entropy(logits[1], targets)
            return both * (len(labels) / pairs) if self.of_batch else both
        weights = weights[known]
        each = sum(cross_entropy(part, targets, reduction="none") for part in logits)
        total: Tensor = (weights * each).sum() / (pairs if self.of_batch else weights.sum())
        return total

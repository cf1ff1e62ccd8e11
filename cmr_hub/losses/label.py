"""The label loss: one classifier shared by both modalities."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.losses.base import Loss, nothing


class LabelLoss(Loss):
    """Cross-entropy of one linear classifier C, shared by images and texts.

    Equation:
        L = meanᵢ [CE(C(vᵢ), yᵢ) + CE(C(wᵢ), yᵢ)]  over the pairs that have a label, or, with
        `of_batch`, their sum divided by B: where few have one, they then count for no more

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

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        known, share = labels >= 0, 1.0
        if not known.all():
            pairs = len(labels)
            images, texts, labels = images[known], texts[known], labels[known]
            if not len(labels):
                return nothing(images, texts)
            if self.of_batch:
                share = len(labels) / pairs
        both = cross_entropy(self.classifier(images), labels) + cross_entropy(
            self.classifier(texts), labels
        )
        return both * share

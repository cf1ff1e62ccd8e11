"""The objective that ACMR's released code minimises."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.errors import CMRError
from cmr_hub.losses.base import Loss
from cmr_hub.losses.targets import same_class, soft_targets
from cmr_hub.losses.unit import unit


class ACMRReleasedLoss(Loss):
    """The three losses of the released code, including its faults, for reproduction only.

    Equation:
        L = emb + domain
        emb = 100 · label + triplet,  label = mean [CE(C(v), y) + CE(C(w), y)]
        triplet = [.1 + 5 v_pos − v_neg]₊ + [.1 + 5 w_pos − w_neg]₊, one hinge for the whole batch
        v_pos = ½ Σ ‖v − w⁺‖², v_neg = ½ Σ ‖v − w⁻‖², and w_pos, w_neg with the roles exchanged
        domain = mean [CE(D(v), image) + CE(D(w), text)]

        w⁺ is the paired text; w⁻ the text paired with the image of the batch whose raw features
        are most similar to v's, where images of v's class have similarity 0 (and are chosen only
        if no similarity is above 0). The paper has other terms: see `TripletLoss`,
        `AdversarialLoss`.

        C is linear and stays random, because no optimiser of the release includes it. D (dim →
        dim/2 → dim/4 → 2) has no activation. The release reverses its gradient but does not apply
        it to the projectors: `domain` trains only D. Here C is frozen and D gets detached rows; as
        the two share no parameters, one Adam over L is equivalent to the release's two.

    Args:
        dim: dimensions of the common space (40 in the release).
        n_classes: number of classes.

    Inputs:
        images, texts: (B, dim), not normalised. labels: (B,), or (B, n_classes) multi-hot: the
        target of CE then has equal parts of the classes. `observe` must be called with the
        features of the batch before each call; otherwise CMRError is raised.

    Logs:
        emb_loss, domain_loss, label_loss, triplet_loss, v_pos, v_neg, w_pos, w_neg: the values of
        the log line of the 2019 project, which is printed for every step.

    References:
        Wang et al., Adversarial Cross-Modal Retrieval (ACMR), ACM MM 2017: the authors' TensorFlow
        code, which differs from the paper.
    """

    log_line = (
        "Epoch: [{epoch:2d}][{step:4d}/{steps:4d}] time: {time:.4f}, emb_loss: {emb_loss:.8f}, "
        "domain_loss: {domain_loss:.8f}, Label_loss: {label_loss:.8f}, "
        "triplet_loss: {triplet_loss:.8f}, {v_pos:.8f}, {v_neg:.8f}, {w_pos:.8f}, {w_neg:.8f}"
    )

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, n_classes)
        widths = [dim, max(dim // 2, 1), max(dim // 4, 1), 2]
        self.modality_classifier = nn.Sequential(
            *(nn.Linear(wide, narrow) for wide, narrow in pairwise(widths))
        )
        for layer in [self.classifier, *self.modality_classifier]:
            nn.init.xavier_uniform_(layer.weight)  # the default of TensorFlow's slim layers
            nn.init.zeros_(layer.bias)
        self.classifier.requires_grad_(False)
        self._features: tuple[Tensor, Tensor] | None = None

    def observe(self, image_features: Tensor, text_features: Tensor) -> None:
        self._features = image_features.detach(), text_features.detach()

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        like_image, like_text = self._negatives(labels)
        v_pos = w_pos = (images - texts).square().sum() / 2
        v_neg = (images - texts[like_image]).square().sum() / 2
        w_neg = (texts - images[like_text]).square().sum() / 2
        triplet = (0.1 + 5 * v_pos - v_neg).relu() + (0.1 + 5 * w_pos - w_neg).relu()
        targets = soft_targets(labels, images)
        label = cross_entropy(self.classifier(images), targets) + cross_entropy(
            self.classifier(texts), targets
        )
        image = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
        text = torch.ones_like(image)
        domain = cross_entropy(self.modality_classifier(images.detach()), image) + cross_entropy(
            self.modality_classifier(texts.detach()), text
        )
        emb = 100 * label + triplet
        parts = {
            "emb_loss": emb,
            "domain_loss": domain,
            "label_loss": label,
            "triplet_loss": triplet,
            "v_pos": v_pos,
            "v_neg": v_neg,
            "w_pos": w_pos,
            "w_neg": w_neg,
        }
        self.logs = {name: value.detach() for name, value in parts.items()}
        return emb + domain

    def _negatives(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most similar row of another class for each row, by image and text features."""
        features, self._features = self._features, None
        if features is None or any(len(rows) != len(labels) for rows in features):
            raise CMRError(
                "ACMRReleasedLoss chooses its negatives by the input features: call "
                "observe(image_features, text_features) with the rows of this batch first"
            )
        other = ~same_class(labels)
        image_rows, text_rows = (unit(rows) for rows in features)
        return (
            (image_rows @ image_rows.T * other).argmax(1),
            (text_rows @ text_rows.T * other).argmax(1),
        )

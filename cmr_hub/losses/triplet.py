"""The triplet loss between the modalities, with three ways of mining."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from cmr_hub.errors import UnknownNameError
from cmr_hub.losses.base import Loss, require_positive, zero_loss
from cmr_hub.losses.targets import same_class
from cmr_hub.losses.unit import unit

Mining = Literal["random", "semi-hard", "batch-hard"]


class TripletLoss(Loss):
    """Pull images nearer to texts of their class than to those of other classes, and vice versa.

    Equation:
        L = mean over the 2B anchors of [m + d(a, p) − d(a, n)]₊

        with d(a, b) = ‖a − b‖² = 2 − 2 cos(a, b) on unit vectors; squared, because the plain
        distance has no gradient for identical rows. a runs over the images with p, n among the
        texts, then over the texts with p, n among the images; p has a's class, n another one. For
        a row without a label, p is its partner.

    Args:
        margin: m, in squared distance (0 to 4).
        mining: how p and n are chosen for each anchor, at O(B²):
            "random": both uniformly (torch's global generator);
            "semi-hard": p uniformly, n the nearest that is farther than p, or the farthest if
            there is none;
            "batch-hard": the farthest p and the nearest n.

    Inputs:
        images, texts: (B, d), normalised inside. labels: (B,), −1 for none; or (B, classes)
        multi-hot: rows have a's class if they share one with it. If all rows do, the loss is zero.

    References:
        Schroff et al., FaceNet, CVPR 2015, arXiv 1503.03832 (semi-hard).
        Hermans et al., In Defense of the Triplet Loss, 2017, arXiv 1703.07737 (batch-hard).

    When to prefer:
        Try "random" first, then "semi-hard" when the loss with "random" has converged near zero.
        Use "batch-hard" only with clean labels and a warm start, because it may collapse all rows
        into one point.
    """

    takes_unlabelled = True

    def __init__(self, margin: float = 0.3, mining: Mining = "random") -> None:
        super().__init__()
        require_positive(margin=margin)
        if mining not in get_args(Mining):
            raise UnknownNameError("mining", mining, list(get_args(Mining)))
        self.margin = margin
        self.mining = mining

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        same = same_class(labels)
        if same.all():
            return zero_loss(images, texts)
        distance = 2 - 2 * unit(images) @ unit(texts).T
        return (self._hinges(distance, same) + self._hinges(distance.T, same)).mean() / 2

    def _hinges(self, distance: Tensor, same: Tensor) -> Tensor:
        """Return (B,) hinges with the rows of `distance` as anchors; each has a p and an n."""
        with torch.no_grad():
            positive, negative = self._mine(distance, same)
        rows = torch.arange(len(distance), device=distance.device)
        return (self.margin + distance[rows, positive] - distance[rows, negative]).relu()

    def _mine(self, distance: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
        if self.mining == "batch-hard":
            return (
                distance.masked_fill(~same, -torch.inf).argmax(1),
                distance.masked_fill(same, torch.inf).argmin(1),
            )
        positive = torch.rand_like(distance).masked_fill(~same, -1).argmax(1)
        if self.mining == "random":
            return positive, torch.rand_like(distance).masked_fill(same, -1).argmax(1)
        too_near = distance <= distance.gather(1, positive[:, None])
        nearest = distance.masked_fill(same | too_near, torch.inf).min(1)
        farthest = distance.masked_fill(same, -torch.inf).argmax(1)
        return positive, torch.where(nearest.values.isinf(), farthest, nearest.indices)

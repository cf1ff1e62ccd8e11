"""InfoNCE, the loss of CLIP: identify the paired item in the batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmr_hub.errors import CMRError
from cmr_hub.losses.base import Loss, require_positive
from cmr_hub.losses.unit import unit

_LARGEST_SCALE = 100.0  # CLIP's; a sharper softmax makes training unstable


class InfoNCELoss(Loss):
    """Contrast of each row's partner with all other rows of the other modality.

    Equation:
        L = ½ meanᵢ [−log e^{s_ii/τ} / Σⱼ e^{s_ij/τ} − log e^{s_ii/τ} / Σⱼ e^{s_ji/τ}]

        s_ij is the cosine of image i and text j. With `mask_same_item`, j runs only over i itself
        and the pairs of other items.

    Args:
        temperature: τ, or its initial value if it is learnt (.07 in CLIP).
        learn_temperature: learn log(1/τ), with 1/τ at most 100.
        mask_same_item: leave other captions of the same picture out of the sum, because they
            describe it too. Requires calls of `observe_items`.

    Inputs:
        images, texts: (B, d), normalised inside. labels: ignored.

    Logs:
        temperature: τ, if it is learnt.

    References:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018,
        arXiv 1807.03748. Radford et al., CLIP, ICML 2021, arXiv 2103.00020.

    When to prefer:
        When the paired item is the target (Recall@K) or there are no labels. It pushes rows of the
        same class apart; `SupConLoss` does not.
    """

    takes_unlabelled = True

    def __init__(
        self,
        temperature: float = 0.07,
        learn_temperature: bool = False,
        mask_same_item: bool = False,
    ) -> None:
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature
        self.mask_same_item = mask_same_item
        self.log_scale: nn.Parameter | None = None
        if learn_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self._items: Tensor | None = None

    def schedule(self, progress: float) -> None:
        if self.log_scale is not None:
            # A value clamped in `forward` would get no gradient.
            with torch.no_grad():
                self.log_scale.clamp_(max=math.log(_LARGEST_SCALE))

    def observe_items(self, items: Tensor) -> None:
        self._items = items

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        similarity = unit(images) @ unit(texts).T
        if self.log_scale is None:
            similarity = similarity / self.temperature
        else:
            similarity = similarity * self.log_scale.exp()
            self.logs = {"temperature": (-self.log_scale.detach()).exp()}
        own = torch.arange(len(images), device=images.device)
        items, self._items = self._items, None
        if self.mask_same_item and items is not None:
            if len(items) != len(images):
                raise CMRError(
                    f"observe_items received {len(items)} items for a batch of {len(images)} "
                    "pairs: call it with the items of this batch before the loss"
                )
            same = (items[:, None] == items) & (own[:, None] != own)
            similarity = similarity.masked_fill(same, -torch.inf)
        return cross_entropy(torch.cat([similarity, similarity.T]), own.repeat(2))

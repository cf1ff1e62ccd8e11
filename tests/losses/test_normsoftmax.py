from __future__ import annotations

from typing import Any

import torch

from cmr_hub.losses.cosface import CosFaceLoss
from cmr_hub.losses.normsoftmax import NormSoftmaxLoss


def test_is_cosface_without_a_margin(batch: Any) -> None:
    loss = NormSoftmaxLoss(6, 4).double()
    twin = CosFaceLoss(6, 4, scale=20.0, margin=0.0).double()
    twin.load_state_dict(loss.state_dict())
    assert torch.equal(loss(*batch), twin(*batch))

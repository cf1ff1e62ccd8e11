from __future__ import annotations

import math
from typing import Any

import torch

from cmr_hub.losses.label import LabelLoss


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = LabelLoss(6, 4).double()
    weight, bias = (p.detach().numpy() for p in loss.classifier.parameters())
    v, w, y = batch.arrays()
    total = 0.0
    for i in range(len(y)):
        for z in (v[i], w[i]):
            logits = [sum(weight[k] * z) + bias[k] for k in range(4)]
            total += math.log(sum(math.exp(x) for x in logits)) - logits[y[i]]
    assert math.isclose(loss(*batch).item(), total / len(y), rel_tol=1e-12)


def test_uninformed_classifier_gives_twice_log_k(batch: Any) -> None:
    loss = LabelLoss(6, 4).double()
    torch.nn.init.zeros_(loss.classifier.weight)
    torch.nn.init.zeros_(loss.classifier.bias)
    assert math.isclose(loss(*batch).item(), 2 * math.log(4))

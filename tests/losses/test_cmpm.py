from __future__ import annotations

import math
from typing import Any

import torch

from cmr_hub.losses.cmpm import CMPMLoss


def test_equals_a_plain_loop(batch: Any) -> None:
    (v, w, y), (v1, w1, _) = batch.arrays(), batch.unit_arrays()
    size = len(y)
    total = 0.0
    for anchors, others in ((v, w1), (w, v1)):
        for i in range(size):
            e = [math.exp(sum(anchors[i] * others[j])) for j in range(size)]
            same = [float(y[j] == y[i]) for j in range(size)]
            for j in range(size):
                p = e[j] / sum(e)
                total += p * math.log(p / (same[j] / sum(same) + 1e-8)) / size
    assert math.isclose(CMPMLoss()(*batch).item(), total, rel_tol=1e-10)


def test_perfect_match_costs_nothing_and_a_mismatch_much() -> None:
    labels = torch.arange(4)
    z = 100 * torch.eye(4)
    assert abs(CMPMLoss()(z, z, labels).item()) < 1e-6
    assert CMPMLoss()(z, z.roll(1, 0), labels).item() > 2 * 18

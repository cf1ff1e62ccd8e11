from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cmr_hub.losses.infonce import InfoNCELoss


def test_equals_a_plain_loop(batch: Any) -> None:
    v, w, _ = batch.unit_arrays()
    size, tau = len(v), 0.07
    total = 0.0
    for anchors, others in ((v, w), (w, v)):
        for i in range(size):
            e = [math.exp(sum(anchors[i] * others[j]) / tau) for j in range(size)]
            total -= math.log(e[i] / sum(e))
    assert math.isclose(InfoNCELoss(tau)(*batch).item(), total / (2 * size), rel_tol=1e-12)


def test_one_pair_is_always_found() -> None:
    assert InfoNCELoss()(torch.ones(1, 3), -torch.ones(1, 3), torch.zeros(1).long()) == 0


def test_orthogonal_pairs_have_a_known_value() -> None:
    z = torch.eye(4)
    expected = math.log(1 + 3 * math.exp(-2))
    assert InfoNCELoss(0.5)(z, z, torch.zeros(4).long()).item() == pytest.approx(expected)

from __future__ import annotations

import math
from typing import Any

import torch

from cmr_hub.losses.multimodal_contrastive import multimodal_contrastive


def test_equals_a_plain_loop(batch: Any) -> None:
    v, w, y = batch.unit_arrays()
    size, tau = len(y), 0.4
    rows = [*v, *w]
    total = 0.0
    for i, z in enumerate(rows):
        e = [math.exp(sum(z * a) / tau) for a in rows]
        total -= math.log(e[(i + size) % (2 * size)] / (sum(e) - e[i]))
    value = multimodal_contrastive(torch.tensor(v), torch.tensor(w), tau)
    assert math.isclose(value.item(), total / size, rel_tol=1e-12)

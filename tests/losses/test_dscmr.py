from __future__ import annotations

import math
from typing import Any

from scipy.spatial.distance import cosine

from cmr_hub.losses.dscmr import DSCMRLoss


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = DSCMRLoss(6, 4).double()
    weight, bias = (p.detach().numpy() for p in loss.classifier.parameters())
    v, w, y = batch.arrays()
    size = len(y)
    j1 = 0.0
    for z in (v, w):
        for i in range(size):
            p = [sum(weight[k] * z[i]) + bias[k] for k in range(4)]
            j1 += math.sqrt(sum((p[k] - (k == y[i])) ** 2 for k in range(4))) / size
    j2 = 0.0
    for a, b in ((v, v), (v, w), (w, w)):
        for i in range(size):
            for j in range(size):
                theta = 0.5 * (1 - cosine(a[i], b[j]))
                j2 += (math.log(1 + math.exp(theta)) - (y[i] == y[j]) * theta) / size**2
    j3 = sum(math.dist(v[i], w[i]) for i in range(size)) / size
    assert math.isclose(loss(*batch).item(), j1 + 1e-3 * j2 + 0.1 * j3, rel_tol=1e-12)

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.spatial.distance import cosine
from torch.nn.functional import cosine_similarity, cross_entropy

from cmr_hub.losses.cosface import CosFaceLoss


@pytest.mark.parametrize(("scale", "margin"), [(5.0, 0.2), (64.0, 0.35)])
def test_equals_a_plain_loop(batch: Any, scale: float, margin: float) -> None:
    loss = CosFaceLoss(6, 4, scale=scale, margin=margin).double()
    prototypes = loss.prototypes.detach().numpy()
    v, w, y = batch.arrays()
    total = 0.0
    for i in range(len(y)):
        for z in (v[i], w[i]):
            s = [1 - cosine(z, c) for c in prototypes]
            logits = [scale * (s[k] - margin * (k == y[i])) for k in range(4)]
            total += math.log(sum(math.exp(x) for x in logits)) - logits[y[i]]
    assert math.isclose(loss(*batch).item(), total / len(y), rel_tol=1e-10)


def test_without_margin_it_is_cross_entropy_of_cosines(batch: Any) -> None:
    loss = CosFaceLoss(6, 4, scale=3.0, margin=0.0).double()
    expected = sum(
        cross_entropy(3 * cosine_similarity(z[:, None], loss.prototypes, dim=2), batch.labels)
        for z in (batch.images, batch.texts)
    )
    torch.testing.assert_close(loss(*batch), expected)


def test_margin_makes_it_harder(batch: Any) -> None:
    with_margin, without = CosFaceLoss(6, 4, 10, 0.3).double(), CosFaceLoss(6, 4, 10, 0).double()
    without.load_state_dict(with_margin.state_dict())
    assert with_margin(*batch) > without(*batch)

from __future__ import annotations

import math
from typing import Any

import torch

from cmr_hub.losses.fume import FUMELoss
from cmr_hub.losses.multimodal_contrastive import multimodal_contrastive
from cmr_hub.losses.unit import unit


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = FUMELoss(6, 4, alpha=0.7).double()
    directions = loss.directions.numpy()
    v, w, y = batch.unit_arrays()
    fuzzy = 0.0
    for z, label in [*zip(v, y, strict=True), *zip(w, y, strict=False)]:
        mu = [max(0.0, sum(directions[:, k] * z)) for k in range(4)]
        squares = 0.0
        for k in range(4):
            rivals = [mu[j] for j in range(4) if j != label] if k == label else [mu[label]]
            credibility = (mu[k] + 1 - max(rivals)) / 2
            squares += (credibility - (k == label)) ** 2
        fuzzy += math.sqrt(squares) / len(y)
    contrast = multimodal_contrastive(unit(batch.images), unit(batch.texts), 1.0).item()
    assert math.isclose(loss(*batch).item(), fuzzy + 0.7 * contrast, rel_tol=1e-12)


def test_rows_on_their_directions_are_fully_credible(batch: Any) -> None:
    loss = FUMELoss(6, 4, alpha=1e-9).double()
    z = loss.directions.T[batch.labels]
    assert loss(z, z, batch.labels).item() < 1e-6
    assert not list(loss.parameters())


def test_directions_are_saved_with_the_model() -> None:
    assert torch.equal(FUMELoss(6, 4).state_dict()["directions"], FUMELoss(6, 4).directions)

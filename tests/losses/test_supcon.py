from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cmr_hub.losses.infonce import InfoNCELoss
from cmr_hub.losses.supcon import SupConLoss


def test_equals_a_plain_loop(batch: Any) -> None:
    v, w, y = batch.unit_arrays()
    size, tau = len(y), 0.2
    total = 0.0
    for anchors, others in ((v, w), (w, v)):
        for i in range(size):
            e = [math.exp(sum(anchors[i] * others[a]) / tau) for a in range(size)]
            positives = [p for p in range(size) if y[p] == y[i]]
            total -= sum(math.log(e[p] / sum(e)) for p in positives) / len(positives)
    assert math.isclose(SupConLoss(tau)(*batch).item(), total / (2 * size), rel_tol=1e-12)


def test_with_one_row_of_each_class_it_is_infonce(batch: Any) -> None:
    alone = batch._replace(labels=torch.randperm(12))
    torch.testing.assert_close(SupConLoss(0.3)(*alone), InfoNCELoss(0.3)(*alone))


def test_one_point_gives_log_b() -> None:
    z = torch.ones(8, 3)
    assert SupConLoss()(z, z, torch.arange(8) % 2).item() == pytest.approx(math.log(8))


def test_a_row_without_label_has_its_own_partner_only(batch: Any) -> None:
    v, w, y = batch.unit_arrays()
    y = [-1 if i % 3 == 0 else label for i, label in enumerate(y)]
    size, tau = len(y), 0.2
    total = 0.0
    for anchors, others in ((v, w), (w, v)):
        for i in range(size):
            e = [math.exp(sum(anchors[i] * others[a]) / tau) for a in range(size)]
            positives = [p for p in range(size) if p == i or (y[p] == y[i] and y[i] >= 0)]
            total -= sum(math.log(e[p] / sum(e)) for p in positives) / len(positives)
    unlabelled = batch._replace(labels=torch.tensor(y))
    assert math.isclose(SupConLoss(tau)(*unlabelled).item(), total / (2 * size), rel_tol=1e-12)


def test_without_any_label_it_is_infonce(batch: Any) -> None:
    none = batch._replace(labels=torch.full((12,), -1))
    torch.testing.assert_close(SupConLoss(0.3)(*none), InfoNCELoss(0.3)(*none))

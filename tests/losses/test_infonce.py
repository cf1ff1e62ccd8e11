from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cmr_hub.errors import CMRError
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


def test_a_learnt_temperature_starts_where_it_is_told_and_is_learnt(batch: Any) -> None:
    loss = InfoNCELoss(0.2, learn_temperature=True).double()
    value = loss(*batch)
    torch.testing.assert_close(value, InfoNCELoss(0.2)(*batch))
    assert loss.logs["temperature"].item() == pytest.approx(0.2)
    value.backward()
    assert loss.log_scale is not None
    step = 1e-6
    with torch.no_grad():
        loss.log_scale += step
        risen = loss(*batch)
    assert loss.log_scale.grad.item() == pytest.approx(((risen - value) / step).item(), rel=1e-3)


def test_a_learnt_temperature_stays_above_a_hundredth_and_can_come_back(batch: Any) -> None:
    loss = InfoNCELoss(0.001, learn_temperature=True).double()
    loss.schedule(0.5)
    loss(*batch).backward()
    assert loss.logs["temperature"].item() == pytest.approx(0.01)
    assert loss.log_scale is not None
    assert loss.log_scale.grad.item() != 0


def test_other_captions_of_a_picture_are_no_negatives(batch: Any) -> None:
    v, w, _ = batch.unit_arrays()
    items, tau = [0, 0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 0], 0.1
    total = 0.0
    for anchors, others in ((v, w), (w, v)):
        for i in range(len(v)):
            seen = [j for j in range(len(v)) if j == i or items[j] != items[i]]
            e = {j: math.exp(sum(anchors[i] * others[j]) / tau) for j in seen}
            total -= math.log(e[i] / sum(e.values()))
    loss = InfoNCELoss(tau, mask_same_item=True)
    loss.observe_items(torch.tensor(items))
    assert math.isclose(loss(*batch).item(), total / (2 * len(v)), rel_tol=1e-12)
    # Told of one batch only; and no one else looks at items.
    torch.testing.assert_close(loss(*batch), InfoNCELoss(tau)(*batch))
    plain = InfoNCELoss(tau)
    plain.observe_items(torch.tensor(items))
    torch.testing.assert_close(plain(*batch), InfoNCELoss(tau)(*batch))


def test_items_of_another_batch_are_refused(batch: Any) -> None:
    loss = InfoNCELoss(mask_same_item=True)
    loss.observe_items(torch.arange(3))
    with pytest.raises(CMRError, match="received 3 items for a batch of 12 pairs"):
        loss(*batch)

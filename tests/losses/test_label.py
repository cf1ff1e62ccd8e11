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


def test_pairs_without_a_label_do_not_count(batch: Any) -> None:
    loss = LabelLoss(6, 4).double()
    some = batch._replace(labels=torch.where(torch.arange(12) % 3 > 0, batch.labels, -1))
    known = some.labels >= 0
    value = loss(*some)
    assert math.isclose(value.item(), loss(*(tensor[known] for tensor in batch)).item())
    value.backward()
    assert not batch.images.grad[~known].any()
    assert batch.images.grad[known].any()


def test_weights_count_a_pair_several_times(batch: Any) -> None:
    loss = LabelLoss(6, 4).double()
    twice = torch.tensor([0, *range(12)])
    expected = loss(*(tensor[twice] for tensor in batch))
    weights = torch.ones(12, dtype=torch.float64)
    weights[0] = 2
    loss.observe_label_weights(weights)
    assert math.isclose(loss(*batch).item(), expected.item())
    assert not math.isclose(loss(*batch).item(), expected.item()), "weights are of one batch"
    of_batch = LabelLoss(6, 4, of_batch=True).double()
    of_batch.load_state_dict(loss.state_dict())
    of_batch.observe_label_weights(weights)
    assert math.isclose(of_batch(*batch).item(), 13 / 12 * expected.item())


def test_no_label_at_all_teaches_nothing(batch: Any) -> None:
    loss = LabelLoss(6, 4).double()
    value = loss(batch.images, batch.texts, torch.full_like(batch.labels, -1))
    value.backward()
    assert value == 0
    assert not batch.images.grad.any()
    assert not batch.texts.grad.any()

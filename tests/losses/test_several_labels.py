"""Losses of items with several labels each: rows of 0 and 1 in place of class numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from cmr_hub.errors import CMRError
from cmr_hub.losses import LOSSES, build_loss
from cmr_hub.losses.objective import build_objective

STEADY = {"triplet": {"mining": "batch-hard"}}
ROWS = torch.tensor(
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1]] * 2,
    dtype=torch.float32,  # as in training, where only the projections may be float64 in a test
)


def value(name: str, batch: Any, labels: torch.Tensor, **options: Any) -> torch.Tensor:
    torch.manual_seed(1)
    loss = build_loss(name, 6, 4, **STEADY.get(name, {}) | options).double()
    loss.schedule(0.5)
    loss.observe(batch.images.detach(), batch.texts.detach())
    found: torch.Tensor = loss(batch.images, batch.texts, labels)
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_one_class_an_item_is_the_same_in_both_forms(name: str, batch: Any) -> None:
    rows = one_hot(batch.labels, 4).float()
    torch.testing.assert_close(value(name, batch, rows), value(name, batch, batch.labels))


@pytest.mark.parametrize("name", LOSSES)
def test_several_labels_give_a_finite_value_and_gradient(name: str, batch: Any) -> None:
    takes_unlabelled = LOSSES[name].takes_unlabelled
    labels = ROWS * (torch.arange(12) > 2)[:, None] if takes_unlabelled else ROWS
    found = value(name, batch, labels)
    assert found.shape == ()
    assert torch.isfinite(found)
    found.backward()
    assert torch.isfinite(batch.images.grad).all()


def several(batch: Any) -> tuple[Any, Any, list[set[int]]]:
    v, w, _ = batch.unit_arrays()
    return v, w, [set(np.flatnonzero(row).tolist()) for row in ROWS.numpy()]


def test_label_is_the_mean_of_the_classes(batch: Any) -> None:
    torch.manual_seed(1)
    loss = build_loss("label", 6, 4).double()
    weight, bias = (p.detach().numpy() for p in loss.classifier.parameters())
    total = 0.0
    for z in (batch.images.detach().numpy(), batch.texts.detach().numpy()):
        for row, classes in zip(z, several(batch)[2], strict=True):
            logits = weight @ row + bias
            log_sum = math.log(sum(math.exp(x) for x in logits))
            total += sum(log_sum - logits[k] for k in classes) / len(classes)
    assert math.isclose(loss(batch.images, batch.texts, ROWS).item(), total / 12)


def test_supcon_has_all_rows_that_share_a_class_as_positives(batch: Any) -> None:
    v, w, classes = several(batch)
    total = 0.0
    for anchors, others in ((v, w), (w, v)):
        for i in range(12):
            similarity = others @ anchors[i] / 0.1
            log_sum = math.log(sum(math.exp(x) for x in similarity))
            positives = [j for j in range(12) if classes[i] & classes[j]]
            total += sum(log_sum - similarity[j] for j in positives) / len(positives)
    assert math.isclose(value("supcon", batch, ROWS).item(), total / 24)


def test_proxy_anchor_pulls_a_row_to_each_of_its_classes(batch: Any) -> None:
    torch.manual_seed(1)
    loss = build_loss("proxy-anchor", 6, 4).double()
    proxies = loss.proxies.detach().numpy()
    proxies = proxies / np.linalg.norm(proxies, axis=1, keepdims=True)
    v, w, classes = several(batch)
    pull = push = 0.0
    for k, proxy in enumerate(proxies):
        near, far = 1.0, 1.0
        for row, own in zip(np.concatenate([v, w]), classes * 2, strict=True):
            if k in own:
                near += math.exp(-32 * (row @ proxy - 0.1))
            else:
                far += math.exp(32 * (row @ proxy + 0.1))
        pull, push = pull + math.log(near), push + math.log(far)
    assert math.isclose(loss(batch.images, batch.texts, ROWS).item(), (pull + push) / 4)


def test_mrl_and_dscmr_as_their_docstrings_say(batch: Any) -> None:
    v, w, classes = several(batch)
    torch.manual_seed(1)
    mrl = build_loss("mrl", 6, 4, beta=1.0).double()
    centres = mrl.centres.detach().numpy()
    centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    clustering = 0.0
    for row, own in zip(np.concatenate([v, w]), classes * 2, strict=True):
        p = np.exp(centres @ row) / np.exp(centres @ row).sum()
        clustering += sum(math.log(1 - p[k]) for k in own) / len(own)
    assert math.isclose(mrl(batch.images, batch.texts, ROWS).item(), clustering / 12)
    likelihood = 0.0
    for a, b in ((v, v), (v, w), (w, w)):
        for i in range(12):
            for j in range(12):
                theta = a[i] @ b[j] / 2
                same = bool(classes[i] & classes[j])
                likelihood += (math.log(1 + math.exp(theta)) - same * theta) / 144
    torch.manual_seed(1)
    dscmr = build_loss("dscmr", 6, 4).double()
    with torch.no_grad():
        predictions = [dscmr.classifier(z) for z in (batch.images, batch.texts)]
        label = sum(float((p - ROWS).norm(dim=1).mean()) for p in predictions)
        pairs = float((batch.images - batch.texts).norm(dim=1).mean())
    expected = label + 1e-3 * likelihood + 0.1 * pairs
    assert math.isclose(dscmr(batch.images, batch.texts, ROWS).item(), expected)


def test_an_objective_takes_rows_and_refuses_other_shapes(batch: Any) -> None:
    objective = build_objective({"label": {}, "supcon": {}}, 6, 4).double()
    total, parts = objective(batch.images, batch.texts, ROWS)
    assert math.isclose(total.item(), sum(part.item() for part in parts.values()))
    with pytest.raises(CMRError, match=r"labels \(B,\) or \(B, classes\)"):
        objective(batch.images, batch.texts, ROWS[:5])

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from cmr_hub.losses.adversarial import AdversarialLoss


def test_schedule_is_the_published_one() -> None:
    loss = AdversarialLoss(4)
    assert loss.strength == 0
    for progress, expected in [(0, 0), (0.1, 0.46211716), (0.5, 0.98661430), (1, 0.99990920)]:
        loss.schedule(progress)
        assert math.isclose(loss.strength, expected, abs_tol=1e-7)


def test_equals_a_plain_loop_and_logs(batch: Any) -> None:
    loss = AdversarialLoss(6, hidden=[]).double()
    loss.schedule(0.3)
    weight, bias = (p.detach().numpy() for p in loss.modality_classifier.parameters())
    v, w, _ = batch.arrays()
    total, right = 0.0, 0
    for modality, rows in enumerate((v, w)):
        for z in rows:
            logits = [sum(weight[k] * z) + bias[k] for k in range(2)]
            total += math.log(sum(math.exp(x) for x in logits)) - logits[modality]
            right += logits[modality] > logits[1 - modality]
    assert math.isclose(loss(*batch).item(), total / 24, rel_tol=1e-12)
    assert math.isclose(loss.logs["modality_accuracy"].item(), right / 24)
    assert math.isclose(loss.logs["lambda"].item(), math.tanh(1.5))


def test_uninformed_classifier_gives_log_2(batch: Any) -> None:
    loss = AdversarialLoss(6).double()
    torch.nn.init.zeros_(loss.modality_classifier[-1].weight)
    torch.nn.init.zeros_(loss.modality_classifier[-1].bias)
    assert math.isclose(loss(*batch).item(), math.log(2))


def test_gradient_is_reversed_for_the_rows_only(batch: Any) -> None:
    loss = AdversarialLoss(6, hidden=[5]).double()
    loss.schedule(0.2)
    loss(*batch).backward()
    images, texts = batch.images.detach(), batch.texts.detach()
    joint = torch.cat([images, texts]).requires_grad_()
    plain = cross_entropy(loss.modality_classifier(joint), torch.arange(2).repeat_interleave(12))
    gradients = torch.autograd.grad(plain, [joint, *loss.parameters()])
    torch.testing.assert_close(
        torch.cat([batch.images.grad, batch.texts.grad]), -loss.strength * gradients[0]
    )
    for parameter, gradient in zip(loss.parameters(), gradients[1:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_widths() -> None:
    def widths(loss: AdversarialLoss) -> list[int]:
        return [m.out_features for m in loss.modality_classifier if hasattr(m, "out_features")]

    assert widths(AdversarialLoss(40)) == [20, 10, 2]
    assert widths(AdversarialLoss(2)) == [1, 1, 2]
    assert widths(AdversarialLoss(40, hidden=[7])) == [7, 2]


def test_classifier_learns_what_can_be_told_apart() -> None:
    loss = AdversarialLoss(16)
    images, texts, labels = torch.randn(64, 16) + 1, torch.randn(64, 16), torch.zeros(64).long()
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(50):
        optimiser.zero_grad()
        loss(images, texts, labels).backward()
        optimiser.step()
    assert loss.logs["modality_accuracy"].item() == pytest.approx(1, abs=0.02)

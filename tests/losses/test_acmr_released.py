from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cmr_hub.errors import CMRError
from cmr_hub.losses.acmr_released import ACMRReleasedLoss

NAMES = ["emb_loss", "domain_loss", "label_loss", "triplet_loss"]
NAMES += ["v_pos", "v_neg", "w_pos", "w_neg"]


def features() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(12, 9, generator=generator), torch.rand(12, 5, generator=generator)


def cross_entropy(layers: Any, z: Any, target: int) -> float:
    for layer in layers:
        z = [
            sum(a * b for a, b in zip(row, z, strict=True)) + bias
            for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
    return math.log(sum(math.exp(x) for x in z)) - z[target]


def most_like(rows: Any, y: list[int]) -> list[int]:
    rows = rows.double().numpy()
    found = []
    for i, a in enumerate(rows):
        cosines = {
            j: a @ b / np.sqrt((a @ a) * (b @ b)) for j, b in enumerate(rows) if y[j] != y[i]
        }
        found.append(max(cosines, key=lambda j: cosines[j]))
    return found


def test_equals_a_plain_loop_and_logs_every_part(batch: Any) -> None:
    loss = ACMRReleasedLoss(6, 4).double()
    image_features, text_features = features()
    loss.observe(image_features.double(), text_features.double())
    value = loss(*batch).item()
    v, w, y = batch.arrays()
    by_image, by_text = most_like(image_features, y), most_like(text_features, y)
    pairs = range(12)
    expected = {
        "v_pos": sum(math.dist(v[i], w[i]) ** 2 for i in pairs) / 2,
        "v_neg": sum(math.dist(v[i], w[by_image[i]]) ** 2 for i in pairs) / 2,
        "w_pos": sum(math.dist(w[i], v[i]) ** 2 for i in pairs) / 2,
        "w_neg": sum(math.dist(w[i], v[by_text[i]]) ** 2 for i in pairs) / 2,
    }
    expected["triplet_loss"] = sum(
        max(0, 0.1 + 5 * expected[f"{side}_pos"] - expected[f"{side}_neg"]) for side in "vw"
    )
    expected["label_loss"] = (
        sum(cross_entropy([loss.classifier], z[i], y[i]) for z in (v, w) for i in pairs) / 12
    )
    expected["domain_loss"] = (
        sum(
            cross_entropy(loss.modality_classifier, z[i], modality)
            for modality, z in enumerate((v, w))
            for i in pairs
        )
        / 12
    )
    expected["emb_loss"] = 100 * expected["label_loss"] + expected["triplet_loss"]
    assert list(loss.logs) == NAMES
    for name in NAMES:
        assert math.isclose(loss.logs[name].item(), expected[name], rel_tol=1e-9), name
    assert math.isclose(value, expected["emb_loss"] + expected["domain_loss"], rel_tol=1e-9)


def test_the_domain_loss_reaches_the_modality_classifier_only(batch: Any) -> None:
    loss = ACMRReleasedLoss(6, 4).double()
    gradients = []
    for _ in range(2):
        loss.observe(*features())
        gradients.append(torch.autograd.grad(loss(*batch), batch.images)[0])
        for layer in loss.modality_classifier:
            torch.nn.init.normal_(layer.weight)
    assert torch.equal(*gradients)
    loss.observe(*features())
    loss(*batch).backward()
    assert all(p.grad is not None for p in loss.modality_classifier.parameters())
    assert all(p.grad is None and not p.requires_grad for p in loss.classifier.parameters())


def test_one_adam_equals_the_release_with_its_two(batch: Any) -> None:
    """The release minimises emb and domain by two optimisers with their own variables."""

    def train(together: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        loss = ACMRReleasedLoss(6, 4).double()
        rows = [z.detach().clone().requires_grad_() for z in (batch.images, batch.texts)]
        domain = list(loss.modality_classifier.parameters())
        groups = [rows + domain] if together else [rows, domain]
        optimisers = [torch.optim.Adam(group, lr=0.01, betas=(0.5, 0.999)) for group in groups]
        for _ in range(5):
            loss.observe(*features())
            gradients = torch.autograd.grad(loss(*rows, batch.labels), rows + domain)
            for leaf, gradient in zip(rows + domain, gradients, strict=True):
                leaf.grad = gradient
            for optimiser in optimisers:
                optimiser.step()
        return rows + domain

    for one, two in zip(train(True), train(False), strict=True):
        assert torch.equal(one, two)


def test_modality_classifier_has_the_released_widths_and_no_activation() -> None:
    layers = list(ACMRReleasedLoss(40, 10).modality_classifier)
    assert [type(layer) for layer in layers] == [torch.nn.Linear] * 3
    assert [layer.out_features for layer in layers] == [20, 10, 2]


def test_features_must_be_shown_before_every_batch(batch: Any) -> None:
    loss = ACMRReleasedLoss(6, 4).double()
    with pytest.raises(
        CMRError, match=r"^ACMRReleasedLoss chooses .* call observe\(image_features"
    ):
        loss(*batch)
    loss.observe(*features())
    loss(*batch)
    with pytest.raises(CMRError, match="observe"):
        loss(*batch)
    loss.observe(*(rows[:7] for rows in features()))
    with pytest.raises(CMRError, match="observe"):
        loss(*batch)


@pytest.mark.parametrize(("dim", "widths"), [(40, [20, 10, 2]), (3, [1, 1, 2]), (1, [1, 1, 2])])
def test_widths_of_the_modality_classifier(dim: int, widths: list[int]) -> None:
    layers = ACMRReleasedLoss(dim, 2).modality_classifier
    assert [layer.out_features for layer in layers] == widths

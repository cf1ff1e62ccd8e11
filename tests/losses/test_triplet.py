from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cmr_hub.errors import UnknownNameError
from cmr_hub.losses.triplet import TripletLoss

MARGIN = 0.3


def distances(batch: Any) -> list[tuple[list[list[float]], list[int]]]:
    """Squared distances with images as anchors, then with texts as anchors."""
    v, w, y = batch.unit_arrays()
    forward = [[sum((a - b) ** 2) for b in w] for a in v]
    return [(forward, y), ([list(column) for column in zip(*forward, strict=True)], y)]


def expectation(batch: Any, choices: Any) -> float:
    """Mean hinge over the anchors, each averaged over its possible (d_p, d_n)."""
    means = []
    for table, y in distances(batch):
        for i, row in enumerate(table):
            positives = [d for j, d in enumerate(row) if y[j] == y[i]]
            negatives = [d for j, d in enumerate(row) if y[j] != y[i]]
            pairs = choices(positives, negatives)
            means.append(np.mean([max(0.0, MARGIN + p - n) for p, n in pairs]))
    return float(np.mean(means))


def all_pairs(positives: list[float], negatives: list[float]) -> list[tuple[float, float]]:
    return [(p, n) for p in positives for n in negatives]


def semi_hard(positives: list[float], negatives: list[float]) -> list[tuple[float, float]]:
    return [(p, min((n for n in negatives if n > p), default=max(negatives))) for p in positives]


def batch_hard(positives: list[float], negatives: list[float]) -> list[tuple[float, float]]:
    return [(max(positives), min(negatives))]


def test_batch_hard_equals_a_plain_loop(batch: Any) -> None:
    loss = TripletLoss(MARGIN, "batch-hard")
    assert math.isclose(loss(*batch).item(), expectation(batch, batch_hard), rel_tol=1e-12)


@pytest.mark.parametrize(("mining", "choices"), [("random", all_pairs), ("semi-hard", semi_hard)])
def test_draws_are_uniform(batch: Any, mining: Any, choices: Any) -> None:
    loss = TripletLoss(MARGIN, mining)
    draws = [loss(*batch).item() for _ in range(3000)]
    expected = expectation(batch, choices)
    assert abs(np.mean(draws) - expected) < 4 * np.std(draws) / math.sqrt(len(draws))
    assert np.std(draws) > 0.01, "different draws must take different triplets"


def test_semi_hard_equals_a_plain_loop_where_nothing_is_drawn(batch: Any) -> None:
    alone = batch._replace(labels=torch.arange(12))
    loss = TripletLoss(MARGIN, "semi-hard")
    assert math.isclose(loss(*alone).item(), expectation(alone, semi_hard), rel_tol=1e-12)


def test_semi_hard_falls_back_to_the_farthest() -> None:
    images = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    texts = torch.tensor([[-1.0, 0.0], [0.0, 1.0]])
    # Image 0: d_p = 4, d_n = 2. Image 1: d_p = 2, d_n = 4. Texts: (4, 4) and (2, 2).
    expected = ((0.3 + 4 - 2) + 0 + 0.3 + 0.3) / 4
    value = TripletLoss(0.3, "semi-hard")(images, texts, torch.tensor([0, 1]))
    assert math.isclose(value.item(), expected, rel_tol=1e-6)


def test_semi_hard_is_farther_than_the_positive_not_as_far() -> None:
    images = torch.tensor([[1.0, 0.0]] * 3)
    texts = torch.tensor([[0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    # Images: (2, 4), (2, 4) and (4, 2), where nothing is farther. Texts: all as far as their own.
    expected = (0 + 0 + 2.3 + 0.3 + 0.3 + 0.3) / 6
    value = TripletLoss(0.3, "semi-hard")(images, texts, torch.arange(3))
    assert math.isclose(value.item(), expected, rel_tol=1e-6)


def test_global_seed_fixes_the_draw(batch: Any) -> None:
    loss = TripletLoss()
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(loss(*batch).item())
    assert values[0] == values[1] != values[2]


def test_length_of_a_row_does_not_matter(batch: Any) -> None:
    loss = TripletLoss(mining="batch-hard")
    torch.testing.assert_close(loss(*batch), loss(batch.images * 9, batch.texts, batch.labels))


@pytest.mark.parametrize("mining", ["random", "semi-hard", "batch-hard"])
def test_one_class_teaches_nothing(batch: Any, mining: Any) -> None:
    value = TripletLoss(mining=mining)(batch.images, batch.texts, torch.zeros(12).long())
    value.backward()
    assert value == 0
    assert not batch.images.grad.any()


@pytest.mark.parametrize("mining", ["random", "semi-hard", "batch-hard"])
def test_separated_classes_cost_nothing(mining: Any) -> None:
    labels = torch.arange(9) % 3
    z = torch.eye(3)[labels]
    assert TripletLoss(MARGIN, mining)(z, z, labels) == 0
    # Swapped classes: every positive at 2, every negative at 0 or 2.
    assert TripletLoss(MARGIN, "batch-hard")(z, z.roll(1, 0), labels).item() == pytest.approx(2.3)


def test_unknown_mining_is_told_with_the_known_ones() -> None:
    told = "^unknown mining 'hardest'; choose one of: random, semi-hard, batch-hard$"
    with pytest.raises(UnknownNameError, match=told):
        TripletLoss(mining="hardest")

"""Losses that do without labels: a row without one is like its own partner only."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cmr_hub.losses import LOSSES, build_loss, loss_class
from cmr_hub.losses.targets import same_class

WITHOUT = [name for name in LOSSES if loss_class(name).takes_unlabelled]


def test_which_they_are() -> None:
    assert set(LOSSES) - set(WITHOUT) == {
        *("acmr-released", "cosface", "dscmr", "fume", "mrl", "normsoftmax", "posterior"),
        *("proxy-anchor", "sdml"),
    }


def test_same_class() -> None:
    found = same_class(torch.tensor([0, 1, -1, 0, -1]))
    expected = torch.eye(5, dtype=torch.bool)
    expected[0, 3] = expected[3, 0] = True
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", WITHOUT)
def test_without_any_label_every_pair_is_a_class(name: str, batch: Any) -> None:
    """But for the label loss, which then has nothing to say."""
    options = {"mining": "batch-hard"} if name == "triplet" else {}
    torch.manual_seed(0)
    loss = build_loss(name, 6, 12, **options).double()
    loss.schedule(0.5)
    none = batch._replace(labels=torch.full((12,), -1))
    value = loss(*none)
    value.backward()
    assert torch.isfinite(batch.images.grad).all()
    if name == "label":
        assert value == 0
    else:
        alone = batch._replace(labels=torch.randperm(12))
        torch.testing.assert_close(value, loss(*alone))
        assert batch.images.grad.any()

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cmr_hub.errors import CMRError
from cmr_hub.losses.mrl import MRLLoss
from cmr_hub.losses.multimodal_contrastive import multimodal_contrastive
from cmr_hub.losses.unit import unit


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = MRLLoss(6, 4, beta=0.6, temperature=0.5).double()
    torch.nn.init.normal_(loss.centres)
    centres = unit(loss.centres).detach().numpy()
    v, w, y = batch.unit_arrays()
    clustering = 0.0
    for z, label in [*zip(v, y, strict=True), *zip(w, y, strict=False)]:
        e = [math.exp(sum(c * z) / 0.5) for c in centres]
        clustering += math.log(1 - e[label] / sum(e)) / len(y)
    contrast = multimodal_contrastive(unit(batch.images), unit(batch.texts), 0.5).item()
    expected = 0.6 * clustering + 0.4 * contrast
    assert math.isclose(loss(*batch).item(), expected, rel_tol=1e-12)


def test_sure_rows_lead_the_gradient() -> None:
    """A row that its label fits pulls harder than one it does not: the point of the loss."""
    loss = MRLLoss(2, 2, beta=1.0, temperature=0.2)
    loss.centres.data = torch.eye(2)
    angle = torch.tensor([0.6, math.pi / 2 - 0.6])
    z = torch.stack([angle.cos(), angle.sin()], dim=1).requires_grad_()
    loss(z, z.detach(), torch.tensor([0, 0])).backward()
    sure, doubtful = z.grad.norm(dim=1)
    assert sure > 2 * doubtful


def test_probability_near_one_stays_finite() -> None:
    loss = MRLLoss(3, 3, temperature=0.01)
    loss.centres.data = torch.eye(3)
    z = torch.eye(3).requires_grad_()
    value = loss(z, z.detach(), torch.arange(3))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(z.grad).all()


def test_one_class_is_too_few() -> None:
    with pytest.raises(CMRError, match=r"^MRL needs at least two classes"):
        MRLLoss(4, 1)


def test_either_part_alone(batch: Any) -> None:
    v, w = unit(batch.images), unit(batch.texts)
    contrast = MRLLoss(6, 4, beta=0.0).double()(*batch)
    torch.testing.assert_close(contrast, multimodal_contrastive(v, w, 1.0))
    assert MRLLoss(6, 4, beta=1.0).double()(*batch) < 0

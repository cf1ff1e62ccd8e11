from __future__ import annotations

import torch

from cmr_hub.losses.unit import SMALLEST_NORM, unit


def test_rows_and_columns_have_length_one() -> None:
    z = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(unit(z), torch.nn.functional.normalize(z))
    torch.testing.assert_close(unit(z, dim=0), torch.nn.functional.normalize(z, dim=0))


def test_zero_row_stays_zero_and_its_gradient_stays_small() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    unit(z).sum().backward()
    assert not unit(z).any()
    assert z.grad is not None
    assert z.grad.abs().max() <= 1


def test_gradient_is_the_derivative() -> None:
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, (z,))


def test_rows_too_short_to_have_a_direction_stay_as_they_are() -> None:
    rows = torch.full((2, 3), SMALLEST_NORM / 10)
    assert torch.equal(unit(rows), rows)

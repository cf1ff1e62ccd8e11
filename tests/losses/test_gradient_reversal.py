from __future__ import annotations

import torch

from cmr_hub.losses.adversarial import gradient_reversal


def test_identity_forward_and_minus_lambda_backward() -> None:
    z = torch.randn(4, 3, requires_grad=True)
    reversed_z = gradient_reversal(z, 0.7)
    assert torch.equal(reversed_z, z)
    weights = torch.randn(4, 3)
    (reversed_z * weights).sum().backward()
    torch.testing.assert_close(z.grad, -0.7 * weights)


def test_nothing_flows_at_zero() -> None:
    z = torch.randn(4, requires_grad=True)
    gradient_reversal(z, 0.0).sum().backward()
    assert z.grad is not None
    assert not z.grad.any()

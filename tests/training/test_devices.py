"""Nothing in training is left behind on the CPU when a run is on another device.

The `meta` device stands for an accelerator: it refuses to mix with the CPU as any other does, and
is there on every machine. It has shapes and no values.
"""

import pytest
import torch
from torch.fx.experimental import _config

from cmr_hub.losses.objective import build_objective
from cmr_hub.models.projector import Projector
from cmr_hub.training.presets import PRESETS

CLASSES = 20


@pytest.fixture
def no_values(monkeypatch):
    """A condition on values, which `meta` has not, is false."""
    own = torch.Tensor.__bool__
    monkeypatch.setattr(
        torch.Tensor, "__bool__", lambda value: False if value.is_meta else own(value)
    )
    # How many labels a batch has is a value, too: all of them.
    with _config.patch(meta_nonzero_assume_all_nonzero=True):
        yield


def test_meta_does_not_mix():
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device="meta") + torch.ones(3)


# The covariance of torch has no kernel for `meta`; it makes no tensor of its own.
@pytest.mark.parametrize("name", sorted(PRESETS.keys() - {"coral"}))
def test_a_step_of_every_preset(name, no_values):
    preset = PRESETS[name]
    dim = 64 if preset.residual else CLASSES + 2 if preset.dim is None else preset.dim
    posterior = preset.output == "posterior"
    projectors = [
        Projector(
            64,
            hidden,
            dim,
            preset.activation,
            preset.dropout,
            f"posterior-{slot}" if posterior else preset.output,
            preset.radius,
        ).to("meta")
        for slot, hidden in enumerate((preset.image_hidden, preset.text_hidden))
    ]
    objective = build_objective(preset.objective, dim, CLASSES).to("meta").train()
    images, texts = torch.randn(2, 32, 64, device="meta")
    objective.schedule(0.5)
    objective.observe(images, texts)
    labels = torch.zeros(32, dtype=torch.int64, device="meta")
    total, parts = objective(projectors[0](images), projectors[1](texts), labels)
    total.backward()
    assert total.is_meta
    assert all(part.is_meta for part in parts.values())
    weights = [weight for projector in projectors for weight in projector.parameters()]
    assert all(weight.grad.is_meta for weight in weights)

"""What is left of a trained projector gives what the projector gives, without torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cmr_hub.models.projection import Projection, shapes
from cmr_hub.models.projector import Projector

KINDS = {
    "linear": {},
    "sphere": {"output": "sphere", "radius": 5.0},
    "blocks": {"output": "sphere", "blocks": 3},
    "linear part": {"output": "sphere", "radius": 5.0, "linear_dim": 3, "linear_share": 0.3},
    "both": {"output": "sphere", "blocks": 3, "linear_dim": 3, "linear_share": 0.3},
    "two linear parts": {"output": "sphere", "linear_dim": [1, 2], "linear_share": [0.2, 0.3]},
    "softmax": {"output": "softmax"},
    "tanh": {"output": "tanh"},
    "posterior-0": {"output": "posterior-0"},
    "posterior-1": {"output": "posterior-1"},
    "residual": {"residual": True},
}
HIDDEN = [(), (9,), (6, 3)]


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(3, 2, (count, 6)).astype(np.float32)


def trained(hidden, activation, kind):
    torch.manual_seed(0)
    projector = Projector(6, hidden, 6, activation, (0.5, 0.5), **KINDS[kind]).eval()
    projector.scaling.fit(torch.from_numpy(rows(50, seed=1)))
    with torch.no_grad():
        for parameter in projector.parameters():  # a residual one begins with zeros
            parameter.normal_(std=0.5)
    return projector


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_what_torch_gives(hidden, activation, kind) -> None:
    projector = trained(hidden, activation, kind)
    with torch.inference_mode():
        expected = normalize(projector(torch.from_numpy(rows(40)))).numpy()
    found = projector.projection().embed(rows(40))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(projector.embed(rows(40)), found)
    assert projector.projection().embed(rows(0)).shape == (0, 6)
    alone = [projector.projection().embed(row[np.newaxis]) for row in rows(40)]
    np.testing.assert_allclose(np.concatenate(alone), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "sphere", "blocks"])
def test_what_has_no_direction_stays_zero(kind) -> None:
    projector = trained((), "relu", kind)
    with torch.no_grad():
        projector.layers[-1].bias.zero_()
    nothing = projector.scaling.mean.numpy()[np.newaxis]
    assert not projector.projection().embed(nothing).any()


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_those_of_torch(hidden, kind) -> None:
    projector = trained(hidden, "relu", kind)
    expected = {name: tuple(value.shape) for name, value in projector.state_dict().items()}
    assert shapes(projector.settings) == expected
    again = Projection(projector.settings, projector.projection().arrays)
    np.testing.assert_array_equal(again.embed(rows(9)), projector.embed(rows(9)))


def test_later_training_does_not_change_it() -> None:
    projector = trained((5,), "relu", "linear")
    before = projector.projection()
    expected = before.embed(rows(9))
    with torch.no_grad():
        projector.layers[-1].weight.zero_()
    np.testing.assert_array_equal(before.embed(rows(9)), expected)

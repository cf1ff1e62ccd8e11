import numpy as np
import pytest
import torch
from torch import nn

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.projector import BlockLinear, InputScaling, Projector


def rows(n, dim, seed=0):
    return np.random.default_rng(seed).normal(3, 2, (n, dim)).astype(np.float32)


def loop(projector, features):
    """The network by plain matrix products, dropout off, without normalisation."""
    state = {name: value.numpy() for name, value in projector.state_dict().items()}
    hidden = (features - state["scaling.mean"]) * state["scaling.scale"]
    linear = [module for module in projector.layers if isinstance(module, nn.Linear)]
    for layer in linear:
        hidden = hidden @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        if layer is not linear[-1]:
            tanh = projector.settings["activation"] == "tanh"
            hidden = np.tanh(hidden) if tanh else hidden.clip(0)
    return hidden


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("output", ["linear", "sphere", "softmax", "tanh"])
def test_forward_and_embed(hidden, activation, output):
    torch.manual_seed(0)
    projector = Projector(4, hidden, 6, activation, (0.5, 0.5), output, radius=5.0).eval()
    projector.scaling.fit(torch.from_numpy(rows(50, 4, seed=1)))
    features = rows(9, 4)
    last = loop(projector, features)
    expected = {
        "linear": last,
        "sphere": 5 * last / np.linalg.norm(last, axis=1, keepdims=True),
        "softmax": np.exp(last) / np.exp(last).sum(axis=1, keepdims=True),
        "tanh": np.tanh(last),
    }[output]
    found = projector(torch.from_numpy(features)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    unit = projector.embed(features)
    assert unit.dtype == np.float32
    assert unit.shape == (9, 6)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, expected / lengths, rtol=1e-4, atol=1e-5)
    assert projector.embed(features[:0]).shape == (0, 6)


@pytest.mark.parametrize("training", [True, False])
def test_embed_drops_nothing_and_keeps_the_mode(training):
    projector = Projector(4, (64,), 6, dropout=(0.5, 0.5)).train(training)
    features = rows(9, 4)
    np.testing.assert_array_equal(projector.embed(features), projector.embed(features))
    assert projector.training is training
    assert all(module.training is training for module in projector.modules())


def test_mode_is_kept_after_an_error():
    projector = Projector(4, (), 6).train()
    with pytest.raises(ValueError, match="broadcast"):
        projector.embed(rows(3, 5))
    assert projector.training


def test_dropout_drops_in_training():
    projector = Projector(4, (64,), 6, dropout=(0.0, 0.5)).train()
    features = torch.from_numpy(rows(9, 4))
    assert not torch.equal(projector(features), projector(features))
    assert [m.p for m in projector.layers if isinstance(m, nn.Dropout)] == [0, 0.5]


def test_posteriors_rank_by_the_probability_of_one_class():
    torch.manual_seed(0)
    images = Projector(4, (5,), 3 + 2, output="posterior-0")
    texts = Projector(6, (), 3 + 2, output="posterior-1")
    found = []
    for projector, features in ((images, rows(9, 4)), (texts, rows(8, 6))):
        last = loop(projector, features)
        assert last.shape[1] == 3
        posterior = np.exp(last) / np.exp(last).sum(axis=1, keepdims=True)
        unit = projector.embed(features)
        np.testing.assert_allclose(unit[:, :3], posterior, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
        found.append((posterior, unit))
    (p, v), (q, w) = found
    np.testing.assert_allclose(v @ w.T, p @ q.T, rtol=1e-4, atol=1e-6)


def test_scaling_is_one_number_for_all_dimensions():
    features = rows(200, 4)
    scaling = InputScaling(4)
    scaling.fit(torch.from_numpy(features))
    scaled = scaling(torch.from_numpy(features)).numpy()
    centred = features - features.mean(axis=0)
    expected = 10 * centred / np.sqrt((centred**2).sum(axis=1).mean())
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sqrt((scaled**2).sum(axis=1).mean()), 10, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 5])
def test_scaling_of_equal_rows(count):
    features = torch.full((count, 4), 7.0)
    scaling = InputScaling(4)
    scaling.fit(features)
    assert torch.equal(scaling(features), torch.zeros(count, 4))
    assert torch.equal(scaling(features + 1), torch.ones(count, 4))


def test_scaling_is_saved_but_not_trained():
    projector = Projector(4, (), 2)
    assert {"scaling.mean", "scaling.scale"} <= projector.state_dict().keys()
    assert "scaling.mean" not in dict(projector.named_parameters())


def test_settings_build_it_again():
    projector = Projector(4, [5, 3], 2, "tanh", (0, 0.25), "sphere", 2)
    assert Projector(**projector.settings).settings == projector.settings
    assert repr(projector.settings) == repr(
        {
            "in_dim": 4,
            "hidden": [5, 3],
            "dim": 2,
            "activation": "tanh",
            "dropout": (0.0, 0.25),
            "output": "sphere",
            "radius": 2.0,
        }
    )


def scramble(projector):
    """Another last layer than the one at zero that a residual projector begins with."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in projector.layers[-1].parameters():
            parameter.normal_()
    return projector.eval()


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
@pytest.mark.parametrize("fitted", [False, True])
def test_residual_starts_as_the_identity(hidden, fitted):
    projector = Projector(4, hidden, 4, dropout=(0.5, 0.5), residual=True).train()
    if fitted:
        projector.scaling.fit(torch.from_numpy(rows(50, 4, seed=1)))
    features = rows(9, 4)
    assert torch.equal(projector(torch.from_numpy(features)), torch.from_numpy(features))
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(projector.embed(features), features / lengths, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
def test_residual_adds_to_the_row_in_its_own_units(hidden):
    projector = Projector(4, hidden, 4, "tanh", residual=True)
    projector.scaling.fit(torch.from_numpy(rows(50, 4, seed=1)))
    scramble(projector)
    features = rows(9, 4)
    found = projector(torch.from_numpy(features)).detach().numpy()
    added = loop(projector, features) / projector.scaling.scale.item()
    assert np.abs(added).max() > 0.1
    np.testing.assert_allclose(found, features + added, rtol=1e-4, atol=1e-4)

    longer = Projector(4, hidden, 4, "tanh", residual=True)
    longer.load_state_dict(projector.state_dict())
    longer.scaling.fit(torch.from_numpy(1000 * rows(50, 4, seed=1)))
    np.testing.assert_allclose(longer.embed(1000 * features), projector.embed(features), atol=1e-5)


def test_dropout_leaves_the_row_alone():
    projector = scramble(Projector(4, (8,), 4, dropout=(0.0, 0.99), residual=True)).train()
    with torch.no_grad():
        projector.layers[-1].bias.zero_()
    features = torch.from_numpy(rows(50, 4))
    untouched = (projector(features) == features).all(1)
    assert untouched.float().mean() > 0.5


def test_residual_learns():
    projector = Projector(4, (8,), 4, residual=True)
    projector(torch.from_numpy(rows(9, 4))).square().sum().backward()
    assert projector.layers[-1].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("dim", "output"),
    [(5, "linear"), (4, "sphere"), (4, "softmax"), (4, "tanh"), (4, "posterior-0")],
)
def test_residual_of_another_shape_is_refused(dim, output):
    with pytest.raises(ModelFormatError, match=f"not 4 → {dim} and '{output}'"):
        Projector(4, (), dim, output=output, residual=True)


def test_residual_is_in_the_settings_only_where_it_is():
    assert "residual" not in Projector(4, (), 4).settings
    projector = Projector(4, (3,), 4, residual=True)
    assert projector.settings["residual"] is True
    again = Projector(**projector.settings)
    assert again.residual
    assert again.settings == projector.settings


@pytest.mark.parametrize("blocks", [1, 3])
def test_layers_side_by_side_are_one_with_a_block_diagonal_weight(blocks):
    torch.manual_seed(0)
    layer = BlockLinear(6, 9, blocks)
    features = torch.from_numpy(rows(5, 6))
    whole = torch.block_diag(*layer.weight.chunk(blocks))
    assert whole.shape == (9, 6)
    torch.testing.assert_close(layer(features), features @ whole.T + layer.bias)


def test_a_hidden_layer_has_room_for_all_blocks():
    with pytest.raises(ModelFormatError, match=r"4 blocks need .* \[6, 8\]"):
        Projector(7, (6,), 8, output="sphere", blocks=4)

"""What becomes one projector gives what the parts gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.config import ProjectorConfig
from cmr_hub.models.joining import beside, with_class_names, with_linear, with_one_scale
from cmr_hub.models.projector import InputScaling, Projector


def rows(n, dim, seed=0):
    return np.random.default_rng(seed).normal(3, 2, (n, dim)).astype(np.float32)


def trained(seed, hidden, each=False):
    torch.manual_seed(seed)
    projector = Projector(7, hidden, 4, "relu", (0.1, 0.3), "sphere", 5.0)
    projector.scaling = InputScaling(7, each=each)
    projector.scaling.fit(torch.from_numpy(rows(50, 7, seed=9) * np.arange(7, dtype=np.float32)))
    return projector.eval()


@pytest.mark.parametrize("hidden", [(), (5,), (6, 3)])
def test_beside_gives_the_mean_of_the_cosines(hidden):
    parts = [trained(seed, hidden) for seed in range(3)]
    whole = beside(parts)
    first, second = rows(9, 7), rows(8, 7, seed=1)
    mean = np.mean([part.embed(first) @ part.embed(second).T for part in parts], axis=0)
    np.testing.assert_allclose(whole.embed(first) @ whole.embed(second).T, mean, atol=1e-6)
    side_by_side = np.concatenate([part.embed(first) for part in parts], 1) / np.sqrt(3)
    np.testing.assert_allclose(whole.embed(first), side_by_side, atol=1e-6)
    # No zeros are kept, or multiplied by.
    count = sum(value.numel() for value in whole.layers.parameters())
    assert count == 3 * sum(value.numel() for value in parts[0].layers.parameters())
    lengths = torch.linalg.vector_norm(whole(torch.from_numpy(first)), dim=1)
    np.testing.assert_allclose(lengths.detach(), 5, rtol=1e-5)


def test_its_config_builds_it_again():
    whole = beside([trained(seed, (5,)) for seed in range(2)])
    config = ProjectorConfig(**whole.settings)
    assert config.model_dump()["blocks"] == 2
    again = Projector(**config.model_dump())
    again.load_state_dict(whole.state_dict())
    np.testing.assert_array_equal(again.embed(rows(5, 7)), whole.embed(rows(5, 7)))
    # What has no blocks says nothing of them: older releases read it.
    assert "blocks" not in ProjectorConfig(**trained(0, ()).settings).model_dump()


def test_class_names_take_their_share_of_the_cosine():
    """Norouzi et al. 2014: the classes' names, each as likely as the picture is of it."""
    classes, dim = 4, 5
    images = beside([trained(seed, (6,)) for seed in range(2)])
    torch.manual_seed(5)
    texts = Projector(dim, (6,), 8, "relu", (0, 0), "sphere", 5.0, blocks=2).eval()
    texts.scaling.fit(torch.from_numpy(rows(30, dim, seed=4)))
    names = rows(classes, dim, seed=3)
    whole = with_class_names(images, texts, torch.from_numpy(names), 0.3)
    pictures, sentences = rows(9, 7), rows(8, dim, seed=1)

    def unit(values):
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    # A row of a picture ends in its posteriors.
    centred = (pictures - images.scaling.mean.numpy())[:, -classes:]
    told = unit(centred @ unit(names)), unit(sentences - texts.scaling.mean.numpy())
    expected = 0.7 * images.embed(pictures) @ texts.embed(sentences).T + 0.3 * told[0] @ told[1].T
    found = [part.embed(some) for part, some in zip(whole, (pictures, sentences), strict=True)]
    np.testing.assert_allclose(found[0] @ found[1].T, expected, atol=1e-5)
    again = Projector(**ProjectorConfig(**whole[0].settings).model_dump())
    again.load_state_dict(whole[0].state_dict())
    np.testing.assert_array_equal(again.embed(pictures), found[0])
    with pytest.raises(ModelFormatError, match="can be combined"):
        beside([whole[0], whole[0]])


def test_a_further_linear_part_takes_its_share_of_all_before():
    before = with_linear(trained(0, (6,)), torch.from_numpy(rows(3, 7, seed=1)), 0.2)
    weight = rows(2, 7, seed=2)
    whole = with_linear(before, torch.from_numpy(weight), 0.25)
    some = rows(9, 7)
    part = (some - before.scaling.mean.numpy()) @ weight.T
    part /= np.linalg.norm(part, axis=1, keepdims=True)
    old, new = before.embed(some), whole.embed(some)
    np.testing.assert_allclose(new @ new.T, 0.75 * old @ old.T + 0.25 * part @ part.T, atol=1e-5)
    config = ProjectorConfig(**whole.settings).model_dump()
    assert (config["linear_dim"], config["linear_share"]) == ([3, 2], pytest.approx([0.15, 0.25]))
    again = Projector(**config)
    again.load_state_dict(whole.state_dict())
    np.testing.assert_array_equal(again.embed(some), new)


@pytest.mark.parametrize(
    ("output", "dim", "share"),
    [
        ("linear", 3, 0.3),
        ("sphere", 4, 0.3),
        ("sphere", 3, 1.0),
        ("sphere", [1, 2], [0.5, 0.5]),
        ("sphere", [1, 2], [0.5, 0.0]),
    ],
)
def test_a_linear_part_has_a_share_of_a_sphere(output, dim, share):
    with pytest.raises(ModelFormatError, match="a share in"):
        Projector(7, (), 4, output=output, linear_dim=dim, linear_share=share)


def test_a_scale_for_each_dimension_goes_into_the_first_layer():
    projector = trained(0, (5,), each=True)
    before = projector.embed(rows(9, 7))
    found = with_one_scale(projector)
    np.testing.assert_allclose(found.embed(rows(9, 7)), before, atol=1e-6)
    assert found.scaling.scale.shape == ()
    assert found.state_dict().keys() == trained(0, (5,)).state_dict().keys()


def test_what_is_not_alike_does_not_become_one():
    with pytest.raises(ModelFormatError, match="can be combined"):
        beside([trained(0, (5,)), trained(1, (6,))])
    linear = Projector(7, (), 4)
    with pytest.raises(ModelFormatError, match="can be combined"):
        beside([linear, linear])


@pytest.mark.parametrize(("output", "dim"), [("linear", 4), ("sphere", 5)])
def test_blocks_are_equal_parts_of_a_sphere(output, dim):
    with pytest.raises(ModelFormatError, match="need the output 'sphere'"):
        Projector(7, (), dim, output=output, blocks=2)


def test_scaling_each_dimension_against_a_loop():
    features = rows(40, 5) * np.array([0, 1, 10, 100, 0.01], np.float32)
    scaling = InputScaling(5, each=True)
    scaling.fit(torch.from_numpy(features))
    found = scaling(torch.from_numpy(features)).numpy()
    variances = features.var(axis=0)
    for k in range(5):
        spread = np.sqrt(variances[k] + variances.mean() / 100)
        expected = (features[:, k] - features[:, k].mean()) / spread
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-3, atol=1e-4)
    scaling.fit(torch.ones(3, 5))
    assert scaling(torch.ones(3, 5)).abs().max() == 0

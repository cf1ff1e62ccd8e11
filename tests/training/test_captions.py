"""Several pairs of one item, views, the learning rate's way, and trainings side by side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.errors import TrainingError
from cmr_hub.training import trainer
from cmr_hub.training.data import Captions, PairedFeatures, TrainingSplits
from cmr_hub.training.presets import CAPTIONS, PRESETS
from cmr_hub.training.snapshots import Snapshots
from cmr_hub.training.trainer import train_projectors


def captioned(items=30, each=3, views=1, seed=0, labels=None):
    """Every item has a place of its own, which its picture and its captions show a little."""
    generator = np.random.default_rng(seed)
    places = np.random.default_rng(99).normal(size=(items, 6))
    owner = np.repeat(np.arange(items), each)
    shown = places @ np.random.default_rng(1).normal(size=(6, 12))
    told = (places @ np.random.default_rng(2).normal(size=(6, 9)))[owner]
    images = shown[:, None] + 0.2 * generator.normal(size=(items, views, 12))
    return PairedFeatures(
        (images if views > 1 else images[:, 0]).astype(np.float32),
        (told + 0.2 * generator.normal(size=told.shape)).astype(np.float32),
        np.full(len(owner), -1) if labels is None else labels[owner],
        0 if labels is None else 3,
        Captions(owner, np.zeros(len(owner), bool), np.zeros(len(owner), np.int64)),
    )


@pytest.fixture
def preset():
    return replace(
        CAPTIONS,
        image_hidden=(32,),
        text_hidden=(32,),
        dim=16,
        batch_size=16,
        epochs=30,
        weight_decay=0.0,
        dropout=(0.0, 0.0),
        learning_rate=1e-2,
    )


def only(pairs):
    return TrainingSplits(pairs, pairs, refit=None)


def never(*arguments):
    raise AssertionError("validation was asked")


def found_first(trained, pairs):
    """The share of captions whose own picture comes first."""
    plain = pairs.plain()
    images = trained.image_projector.embed(plain.images)
    texts = trained.text_projector.embed(plain.texts)
    items = pairs.captions.items
    gallery = images[[np.flatnonzero(items == item)[0] for item in range(items.max() + 1)]]
    return ((texts @ gallery.T).argmax(axis=1) == items).mean()


@pytest.mark.parametrize("views", [1, 3])
def test_captions_find_their_pictures(preset, views):
    pairs = captioned(views=views)
    trained = train_projectors(only(pairs), preset, 0, never)
    assert found_first(trained, captioned(views=views, seed=5)) > 0.8  # by chance 1/30
    temperatures = [row["infonce/temperature"] for row in trained.history]
    assert len(set(temperatures)) == preset.epochs
    assert all("label" in row for row in trained.history)


def test_the_loss_is_told_which_item_each_pair_is_of(preset, monkeypatch):
    pairs, seen = captioned(), []
    from cmr_hub.losses.infonce import InfoNCELoss

    monkeypatch.setattr(
        InfoNCELoss, "observe_items", lambda self, items: seen.extend(items.tolist())
    )
    train_projectors(only(pairs), replace(preset, epochs=1), 0, never)
    assert sorted(seen) == sorted(pairs.captions.items.tolist())


def test_a_row_is_trained_with_the_picture_of_its_item(preset, monkeypatch):
    pairs, seen = captioned(views=2), []
    drawn = trainer._Networks.sample

    def watch(self, images, texts):
        found = drawn(self, images, texts)
        seen.append(tuple(part.numpy() for part in found))
        return found

    monkeypatch.setattr(trainer._Networks, "sample", watch)
    train_projectors(only(pairs), replace(preset, epochs=2), 0, never)
    views = set()
    for images, texts in seen:
        for image, text in zip(images, texts, strict=True):
            (row,) = np.flatnonzero((pairs.texts == text).all(axis=1))
            of_item = pairs.images[pairs.captions.items[row]]
            (view,) = np.flatnonzero((of_item == image).all(axis=1))
            views.add(view)
    assert views == {0, 1}


def test_subsets_keep_the_pictures_of_their_pairs():
    pairs = captioned()
    some = pairs.subset(np.array([5, 40, 41, 88]))
    assert some.captions.items.tolist() == [0, 1, 1, 2]
    assert len(some.images) == 3
    np.testing.assert_array_equal(some.plain().images, pairs.plain().images[[5, 40, 41, 88]])
    assert len(pairs.thinned(7, 0)) == 7
    assert pairs.thinned(90, 0) is pairs
    assert pairs.sha256 != pairs.plain().sha256
    with pytest.raises(TrainingError, match="the items of captions must lie in"):
        PairedFeatures(pairs.images[:2], pairs.texts, pairs.labels, 0, pairs.captions)


def test_the_learning_rate_rises_and_falls(preset):
    preset = replace(preset, epochs=8, warmup=2.0)
    shares = [trainer._share_of_rate(preset, done) for done in np.linspace(0, 1, 9)]
    expected = [0.01, 0.5, *((1 + np.cos(np.pi * k / 6)) / 2 for k in range(7))]
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    history = train_projectors(only(captioned()), preset, 0, never).history
    rates = [row["learning_rate"] for row in history]
    assert max(rates) <= preset.learning_rate
    assert rates[-1] < rates[4] < rates[2]
    plain = replace(preset, warmup=0.0, cosine=False)
    assert {trainer._share_of_rate(plain, done) for done in (0, 0.3, 1)} == {1.0}


def test_trainings_side_by_side_are_the_mean_of_their_cosines(preset):
    preset = replace(preset, epochs=3, seeds=3)
    pairs, asked = captioned(), captioned(seed=5).plain()
    whole = train_projectors(only(pairs), preset, 7, never)
    parts = [
        train_projectors(only(pairs), replace(preset, seeds=1), seed, never)
        for seed, _ in trainer._members(7, 3)
    ]
    cosines = [
        trained.image_projector.embed(asked.images) @ trained.text_projector.embed(asked.texts).T
        for trained in (whole, *parts)
    ]
    np.testing.assert_allclose(cosines[0], np.mean(cosines[1:], axis=0), atol=1e-5)
    assert not np.allclose(cosines[1], cosines[2], atol=1e-2)
    assert [row["phase"] for row in whole.history] == (
        ["final"] * 3 + ["final-2"] * 3 + ["final-3"] * 3
    )


def test_trainings_side_by_side_are_resumed(preset, tmp_path):
    preset = replace(preset, epochs=2, seeds=2)
    pairs = captioned()
    first = train_projectors(only(pairs), preset, 0, never, checkpoints=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "final-2.safetensors",
        "final.safetensors",
    ]
    again = train_projectors(only(pairs), preset, 0, never, checkpoints=tmp_path)
    assert again.history == first.history
    state = first.image_projector.state_dict()
    for name, value in again.image_projector.state_dict().items():
        assert torch.equal(value, state[name])
    trainer.remove_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())


def test_side_by_side_nothing_is_fine_tuned_or_watched(preset):
    pairs = captioned()
    watch = Snapshots(pairs, [])
    with pytest.raises(TrainingError, match="combines 2 seeds"):
        train_projectors(only(pairs), replace(preset, seeds=2), 0, never, snapshots=watch)


def test_standardising_is_gone_when_training_ends(preset):
    trained = train_projectors(only(captioned()), replace(preset, epochs=1), 0, never)
    assert trained.image_projector.scaling.scale.ndim == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"views": 0}, "at least one view"),
        ({"seeds": 0}, "at least one view and one seed"),
        ({"warmup": 99.0}, "warm-up within its epochs"),
        ({"seeds": 2, "output": "linear"}, "need the output 'sphere'"),
    ],
)
def test_settings_that_go_against_each_other(preset, changes, match):
    with pytest.raises(TrainingError, match=match):
        replace(preset, **changes)
    with pytest.raises(TrainingError, match="cannot standardise"):
        replace(PRESETS["adapter"], standardise=True)

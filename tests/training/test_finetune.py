"""Fine-tuning, on a network of three blocks that is trained in a moment."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import cmr_hub.encoders.images as registry
from cmr_hub import memory
from cmr_hub.baselines import baseline
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError, ImageError, TrainingError
from cmr_hub.experiments.run import run_experiment
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.finetune import FineTuning, ImageTail, view_activations
from cmr_hub.training.trainer import train_projectors


def convolution(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (
            convolution(3, 8),
            convolution(8, 12),
            nn.Linear(12, 6),
        )
        self.classifier = nn.Linear(6, 2)


class SmallEncoder(NetworkEncoder):
    name: ClassVar[str] = "small"
    dim: ClassVar[int] = 6
    preprocessing: ClassVar[Preprocessing] = Preprocessing(16, 16)

    build = staticmethod(Network)

    @staticmethod
    def blocks(network):
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.third)
        return nn.Sequential(network.first, network.second, pool)

    @staticmethod
    def download():
        raise AssertionError("tests never download")


@pytest.fixture
def encoder(monkeypatch):
    monkeypatch.setitem(registry.IMAGE_ENCODERS._places, "small", f"{__name__}:SmallEncoder")
    monkeypatch.setattr(registry, "image_encoder_class", lambda name: SmallEncoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = Network()
        network.train().first(torch.randn(20, 3, 16, 16))  # statistics that are not 0 and 1
        network.second(network.first(torch.randn(20, 3, 16, 16)))
    return SmallEncoder(network.state_dict(), "file")


@pytest.fixture
def dataset(colour_folder):
    return load_dataset("folder", colour_folder)


@pytest.fixture
def tuning():
    return FineTuning(blocks=2, views=3, learning_rate=1e-3)


@pytest.fixture
def splits(encoder, dataset, tuning):
    train = dataset.split("train")
    words = text_encoder("bow", min_df=2).fit(train.sentences)
    whole = PairedFeatures(
        view_activations(encoder, train.images, tuning, seed=0),
        words.transform(train.sentences),
        train.labels,
        3,
    )
    fit, validation = np.arange(0, 24, 2), np.arange(1, 24, 2)
    return TrainingSplits(whole.subset(fit), whole.subset(validation), refit=whole)


def tail_of(encoder, tuning):
    return ImageTail(encoder.cut(tuning.blocks)[1], tuning.learning_rate)


def state(*modules):
    return {
        f"{number}.{name}": value.clone()
        for number, module in enumerate(modules)
        for name, value in module.state_dict().items()
    }


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def trained_state(trained):
    return state(trained.image_projector, trained.text_projector, trained.image_tail)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_two_parts_are_the_whole(encoder, dataset, blocks):
    frozen, tail = encoder.cut(blocks)
    assert len(tail) == blocks
    pictures = torch.stack([encoder.preprocessing(read_image(path)) for path in dataset.images[:5]])
    with torch.no_grad():
        features = tail(frozen(pictures)).numpy()
    np.testing.assert_allclose(features, encoder.encode(dataset.images[:5]), rtol=1e-4, atol=1e-5)
    assert not any(weight.requires_grad for weight in frozen.parameters())
    assert all(weight.requires_grad for weight in tail.parameters())


@pytest.mark.parametrize("blocks", [-1, 0, 3, 4])
def test_blocks_that_are_not_there(encoder, blocks):
    with pytest.raises(CMRError, match=f"its last 1 to 2 blocks, not in {blocks}"):
        encoder.cut(blocks)


def test_unchanged_tail_is_the_same_encoder(encoder):
    again = encoder.with_tail(encoder.cut(2)[1])
    assert again.weights_sha256 == encoder.weights_sha256
    assert again.source == "file"


def test_new_weights_are_in_the_new_encoder_only(encoder, dataset):
    before, sha256 = encoder.encode(dataset.images), encoder.weights_sha256
    _, tail = encoder.cut(1)
    with torch.no_grad():
        for weight in tail.parameters():
            weight.mul_(2)
    changed = encoder.with_tail(tail)
    np.testing.assert_allclose(changed.encode(dataset.images), 2 * before, rtol=1e-5)
    np.testing.assert_array_equal(encoder.encode(dataset.images), before)
    assert changed.fingerprint != encoder.fingerprint
    different = {
        name for name, value in encoder.state.items() if not torch.equal(value, changed.state[name])
    }
    assert different == {"third.weight", "third.bias"}
    assert SmallEncoder(encoder.state, "file").weights_sha256 == sha256


def test_first_view_is_the_encoders_own(encoder, dataset, tuning):
    paths = dataset.split("train").images
    views = view_activations(encoder, paths, tuning, seed=0)
    assert views.shape == (24, 3, 8, 8, 8)
    assert views.dtype == np.float16
    features = tail_of(encoder, tuning).plain(torch.from_numpy(views)).numpy()
    np.testing.assert_allclose(features, encoder.encode(paths), rtol=2e-3, atol=2e-3)


def test_views_are_of_the_seed_and_differ(encoder, dataset, tuning):
    paths = [*dataset.images[:3], dataset.images[0]]
    first, again, other = (
        view_activations(encoder, paths, tuning, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0], other[:, 0])
    assert not np.array_equal(first[:, 1], other[:, 1])
    assert not np.array_equal(first[:, 1], first[:, 2])
    assert not np.array_equal(first[0, 1], first[3, 1])
    fewer = view_activations(encoder, paths[:2], replace(tuning, views=2), seed=0)
    np.testing.assert_array_equal(fewer, first[:2, :2])


def test_augmented_views_lie_in_the_picture():
    """A picture whose red and green tell the place: every view is a box of it, maybe mirrored."""
    prepare = Preprocessing(32, 32, mean=(0, 0, 0), std=(1, 1, 1))
    down, right = np.mgrid[0:100, 0:200]
    picture = Image.fromarray(
        np.stack([right, 2 * down, np.zeros_like(down)], axis=2).astype(np.uint8)
    )
    mirrored, areas = 0, []
    for seed in range(60):
        view = prepare.augmented(picture, np.random.default_rng(seed)).numpy() * 255
        assert view.shape == (3, 32, 32)
        across = np.diff(view[0].mean(axis=0))
        downwards = np.diff(view[1].mean(axis=1))
        assert (np.sign(across) == np.sign(across[0])).all()
        mirrored += across[0] < 0
        assert (downwards > 0).all()
        width, height = 32 * abs(across[5:-5].mean()), 16 * downwards[5:-5].mean()
        areas.append(width * height / 20_000)
        assert width <= 202
        assert height <= 101
    assert 15 < mirrored < 45
    assert min(areas) > 0.3
    assert max(areas) <= 1.01
    assert max(areas) - min(areas) > 0.2


def test_gradients_reach_the_tail_and_nothing_else(encoder, splits, preset, tuning):
    tail = tail_of(encoder, tuning)
    before, own = state(tail), state(encoder.network)
    trained = train_projectors(splits, preset, 0, validation_map, image_tail=tail)
    assert same(state(tail), before)
    assert same(state(encoder.network), own)
    after = state(trained.image_tail)
    for name, value in after.items():
        fixed = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) == fixed, name


def test_learning_rate_is_the_tails_own(encoder, splits, preset, tuning):
    """Adam's first step moves every weight by the learning rate, whatever the gradient."""
    preset = replace(
        preset, epochs=1, batch_size=64, weight_decay=0.0, early_stopping=False, learning_rate=1e-2
    )
    tail = tail_of(encoder, replace(tuning, learning_rate=1e-3))
    trained = train_projectors(splits, preset, 0, validation_map, image_tail=tail)
    moved = (trained.image_tail.blocks[1][2].weight - tail.blocks[1][2].weight).detach().abs()
    assert float(moved.max()) == pytest.approx(1e-3, rel=1e-2)


def test_tail_that_does_not_move_is_training_on_features(encoder, splits, preset, tuning):
    """One view and no learning: the same as training on the frozen features, to rounding."""
    tail = tail_of(encoder, replace(tuning, learning_rate=1e-30))

    def first_view(part):
        return replace(part, images=part.images[:, :1])

    def features(part):
        return replace(part, images=tail.plain(torch.from_numpy(part.images)).numpy())

    # The drawing of views takes random numbers, so nothing else in a step may.
    preset = replace(preset, objective={"label": {}}, dropout=(0.0, 0.0), weight_decay=0.0)
    parts = (splits.fit, splits.validation, splits.refit)
    tuned = train_projectors(
        TrainingSplits(*map(first_view, parts)), preset, 0, validation_map, image_tail=tail
    )
    frozen = train_projectors(TrainingSplits(*map(features, parts)), preset, 0, validation_map)
    assert frozen.image_tail is None
    for name, value in state(tail).items():
        torch.testing.assert_close(state(tuned.image_tail)[name], value, rtol=0, atol=1e-20)
    for row, other in zip(tuned.history, frozen.history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)


def test_same_seed_same_bits(encoder, splits, preset, tuning):
    runs = [
        train_projectors(splits, preset, seed, validation_map, image_tail=tail_of(encoder, tuning))
        for seed in (4, 4, 5)
    ]
    assert same(trained_state(runs[0]), trained_state(runs[1]))
    assert not same(trained_state(runs[0]), trained_state(runs[2]))


def test_best_epoch_of_the_tail_is_kept(encoder, splits, preset, tuning):
    shown = []

    def score(images, texts, labels):
        shown.append(images)
        return [0.1, 0.9, 0.3, 0.2, 0.2, 0.2][len(shown) - 1]

    trained = train_projectors(
        replace(splits, refit=None), preset, 0, score, image_tail=tail_of(encoder, tuning)
    )
    assert trained.epochs == 2
    features = trained.image_tail.plain(torch.from_numpy(splits.validation.images)).numpy()
    np.testing.assert_array_equal(trained.image_projector.embed(features), shown[1])
    assert not np.array_equal(shown[5], shown[1])


def test_stopped_fine_tuning_goes_on(encoder, splits, preset, tuning, tmp_path, monkeypatch):
    monkeypatch.setattr("cmr_hub.training.trainer._CHECKPOINT_SECONDS", 0.0)
    tail = tail_of(encoder, tuning)
    whole = train_projectors(splits, preset, 0, validation_map, image_tail=tail)
    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validation_map(*arguments)

    with pytest.raises(KeyboardInterrupt):
        train_projectors(splits, preset, 0, interrupt, image_tail=tail, checkpoints=tmp_path)
    resumed = train_projectors(
        splits, preset, 0, validation_map, image_tail=tail, checkpoints=tmp_path
    )
    assert same(trained_state(whole), trained_state(resumed))
    other = ImageTail(tail.blocks, 2e-3)
    with pytest.raises(TrainingError, match="another preset, seed, data or encoder"):
        train_projectors(splits, preset, 0, validation_map, image_tail=other, checkpoints=tmp_path)


def run(encoder, dataset, preset, tuning, **options):
    return run_experiment(
        dataset,
        preset,
        0,
        image_encoder=encoder,
        text_encoder=text_encoder("bow", min_df=2),
        fine_tuning=tuning,
        **options,
    )


def test_experiment(encoder, dataset, preset, tuning, tmp_path):
    frozen = run(encoder, dataset, preset, None)
    tuned = run(encoder, dataset, preset, tuning)
    assert frozen.record.fine_tuned is None
    assert tuned.record.fine_tuned == {"blocks": 2, "views": 3, "learning_rate": 1e-3}
    assert tuned.record.image_weights == encoder.weights_sha256
    assert tuned.record.pairs == frozen.record.pairs
    assert {row["phase"] for row in tuned.history} == {"select", "final"}
    model = tuned.model
    assert model.image.encoder.weights_sha256 != encoder.weights_sha256

    test = dataset.split("test")
    embeddings = model.encode_images(test.images)
    np.testing.assert_allclose(embeddings, tuned.test_embeddings[0], atol=1e-5)
    # The projector was trained on the features that the new encoder gives.
    assert tuned.report.map_avg > 0.8
    model.save_pretrained(tmp_path / "model")
    again = CrossModalModel.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.encode_images(test.images), embeddings)
    assert again.fingerprint == model.fingerprint


def test_the_test_split_changes_nothing_that_is_learnt(encoder, dataset, preset, tuning):
    train = dataset.splits == "train"
    fewer = dataset.subset([*np.flatnonzero(train), *np.flatnonzero(~train)[:2]])
    first, second = (run(encoder, data, preset, tuning).model for data in (dataset, fewer))
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.centroids.images, second.centroids.images)


def test_what_cannot_be_fine_tuned(encoder, dataset, preset, tuning, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="pictures and sentences, and encoders of both"):
        run(None, dataset, preset, tuning)
    with pytest.raises(TrainingError, match="is not trained in steps"):
        run(encoder, dataset, baseline("cca"), tuning)
    with pytest.raises(CMRError, match="its last 1 to 2 blocks, not in 9"):
        run(encoder, dataset, preset, replace(tuning, blocks=9))
    with pytest.raises(TrainingError, match="at least one picture"):
        view_activations(encoder, [], tuning, seed=0)
    (tmp_path / "half.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"half\.png"):
        view_activations(encoder, [*dataset.images[:2], tmp_path / "half.png"], tuning, seed=0)
    for wrong in ({"blocks": 0}, {"views": 0}, {"learning_rate": 0.0}):
        with pytest.raises(TrainingError, match="at least one block, at least one view"):
            FineTuning(**({"blocks": 1} | wrong))
    # 3 pictures, 3 views of 8 × 8 × 8 numbers of 2 bytes, twice: 18 KiB of a machine with 20.
    sizes = {"SC_PAGE_SIZE": 1024, "SC_PHYS_PAGES": 20}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    with pytest.raises(TrainingError, match="small with 3 views of 3 pictures needs"):
        view_activations(encoder, dataset.images[:3], tuning, seed=0)
    assert len(view_activations(encoder, dataset.images[:1], tuning, seed=0)) == 1

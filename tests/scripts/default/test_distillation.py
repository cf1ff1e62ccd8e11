"""Distillation, on pictures of four coloured quarters that a network learns in seconds."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.datasets import load_dataset
from cmr_hub.errors import TrainingError, UnknownNameError
from scripts.default import distillation as module
from scripts.default import epochs
from scripts.default.augmentation import resized
from scripts.default.distillation import (
    Distillation,
    Pictures,
    Targets,
    augment,
    distill,
    distillation_loss,
    training_pictures,
)
from scripts.default.views import Views

N, V, SIDE, D, K = 40, 2, 32, 6, 5
SETTINGS = Distillation(
    epochs=4, batch_size=8, learning_rate=3e-3, warmup=1, sizes=((32, 1.0),), validate_every=2
)


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    monkeypatch.setattr(module, "low_precision", nullcontext)


@pytest.fixture
def views():
    """The teacher's features are a linear map of each quarter's colour."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(20, 236, (N, V, 4, 3), generator=generator)
    pixels = colours.view(N, V, 2, 2, 3)
    pixels = pixels.repeat_interleave(SIDE // 2, 2).repeat_interleave(SIDE // 2, 3)
    features = (colours / 128 - 1) @ torch.randn(3, D, generator=generator)
    keys = tuple(str(number) for number in range(N))
    return Views(pixels.to(torch.uint8), features.half(), keys)


@pytest.fixture
def pictures():
    labels = np.where(np.arange(N) < 20, np.arange(N) % 2, -1)
    return Pictures(tuple(f"{number}.png" for number in range(N)), labels, np.arange(N) % 5 == 0)


@pytest.fixture
def classifier():
    return torch.randn(K, D + 1, generator=torch.Generator().manual_seed(1))


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_standardised_targets(views, classifier):
    targets = Targets(views.targets, classifier)
    rows = views.targets.float().numpy()
    whole, cells = targets.standardised(views.targets.flatten(0, 1).float())
    mean = rows.mean((0, 1, 2))
    expected = (rows.mean(2) - mean) / rows.mean(2).reshape(-1, D).std(0, ddof=1)
    np.testing.assert_allclose(whole.numpy(), expected.reshape(-1, D), rtol=1e-4, atol=1e-4)
    spread = np.sqrt(((rows[:, 0] - mean) ** 2).mean((0, 1)))
    expected = ((rows - mean) / spread).reshape(-1, 4, D)
    np.testing.assert_allclose(cells.numpy(), expected, rtol=1e-4, atol=1e-4)
    logits = rows.mean(2).reshape(-1, D) @ classifier[:, :-1].numpy().T + classifier[:, -1].numpy()
    np.testing.assert_allclose(targets.logits(whole).numpy(), logits, rtol=1e-3, atol=1e-3)


def test_loss_is_a_plain_loops(views, classifier):
    targets = Targets(views.targets, classifier)
    settings = replace(SETTINGS, cells=0.7, logits=0.4, temperature=3.0)
    generator = torch.Generator().manual_seed(2)
    whole = torch.randn(4, D, generator=generator)
    cells = torch.randn(4, 4, D, generator=generator)
    taught = views.targets[:4, 1].float()
    total, parts = distillation_loss(whole, cells, taught, targets, settings)

    whole_target, cell_target = targets.standardised(taught)
    features = quarters = divergence = 0.0
    for row in range(4):
        for at in range(D):
            features += float(whole[row, at] - whole_target[row, at]) ** 2 / (4 * D)
            for cell in range(4):
                apart = float(cells[row, cell, at] - cell_target[row, cell, at])
                quarters += apart**2 / (16 * D)
        p, q = (
            np.exp(targets.logits(rows)[row].double().numpy() / 3) for rows in (whole_target, whole)
        )
        p, q = p / p.sum(), q / q.sum()
        divergence += sum(p[k] * np.log(p[k] / q[k]) for k in range(K)) / 4
    assert float(parts["features"]) == pytest.approx(features, rel=1e-4)
    assert float(parts["cells"]) == pytest.approx(quarters, rel=1e-4)
    assert float(parts["logits"]) == pytest.approx(9 * divergence, rel=1e-4)
    assert float(total) == pytest.approx(features + 0.7 * quarters + 0.4 * 9 * divergence, rel=1e-4)


def test_the_teacher_itself_has_no_loss(views, classifier):
    targets = Targets(views.targets, classifier)
    taught = views.targets[:, 0].float()
    total, _ = distillation_loss(*targets.standardised(taught), taught, targets, SETTINGS)
    assert float(total) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("mix", [0.0, 1.0])
def test_each_quarter_keeps_its_own_target(mix):
    """Grey quarters whose target is their value: what augmentation does is linear in it."""
    rows = 64
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 256, (rows, 4), generator=generator)
    pixels = values.view(rows, 2, 2).repeat_interleave(32, 1).repeat_interleave(32, 2)
    pixels = pixels[..., None].repeat(1, 1, 1, 3).to(torch.uint8)
    torch.manual_seed(3)
    seen, taught = augment(pixels, values[..., None].float(), 64, mix)
    assert seen.shape == (rows, 3, 64, 64)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    centres = seen[:, 1, 16::32, 16::32].flatten(1)
    moved = changed = 0
    for row in range(rows):
        target = taught[row, :, 0]
        slope, shift = np.polyfit(target.numpy(), centres[row].numpy(), 1)
        assert slope > 0
        fitted = slope * target.numpy() + shift
        np.testing.assert_allclose(centres[row].numpy(), fitted, atol=0.02)
        own = set(values[row].tolist())
        changed += not set(target.int().tolist()) <= own
        moved += target.tolist() == values[row, [1, 0, 3, 2]].tolist()
    assert changed >= 0.95 * rows if mix else changed == 0
    assert mix or 0.3 * rows < moved < 0.7 * rows


def test_augmentation_leaves_the_views_as_they_are(views):
    pixels, targets = views.pixels[:, 0].clone(), views.targets[:, 0].float()
    before = targets.clone()
    augment(pixels, targets, 32, 1.0)
    assert torch.equal(pixels, views.pixels[:, 0])
    assert torch.equal(targets, before)


def test_it_learns(views, pictures, classifier):
    settings = replace(SETTINGS, epochs=30, mix=0.25, validate_every=30)
    result = distill(views, pictures, classifier, settings, 0)
    last = result.history[-1]
    assert last["loss"] < 0.6 * result.history[0]["loss"]
    assert last["held_out_cosine"] > 0.6
    assert last["held_out_explained"] > 0.3


def test_history_and_encoder(views, pictures, classifier):
    saved = []
    result = distill(views, pictures, classifier, SETTINGS, 0, save=saved.append)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert [("held_out_probe" in row) for row in result.history] == [False, True, False, True]
    assert [len(found.history) for found in saved] == [4, 4]
    assert result.projection["weight"].shape == (D, 512)
    settings = replace(SETTINGS, validate_every=1)
    run = module._Run(views, pictures, classifier, settings, 0, None)
    run.train(None, progress=False)
    out = torch.from_numpy(np.flatnonzero(pictures.held_out))
    with torch.inference_mode():
        features = result.encoder.network(resized(views.pixels[out, 0], 32))
        torch.testing.assert_close(features, run._features(out, 32), rtol=1e-3, atol=1e-3)
        seen = features @ result.projection["weight"].T + result.projection["bias"]
    taught, _ = run.targets.standardised(views.targets[out, 0].float())
    cosine = torch.nn.functional.cosine_similarity(seen, taught)
    assert result.history[-1]["held_out_cosine"] == pytest.approx(float(cosine.mean()), abs=1e-3)
    explained = 1 - float(((seen - taught) ** 2).sum() / (taught**2).sum())
    assert result.history[-1]["held_out_explained"] == pytest.approx(explained, abs=1e-3)


def test_held_out_pictures_teach_nothing(views, pictures, classifier):
    out = torch.from_numpy(pictures.held_out)
    pixels, targets = views.pixels.clone(), views.targets.clone()
    pixels[out], targets[out] = 255 - pixels[out], targets[out] + 50
    first = distill(views, pictures, classifier, SETTINGS, 0)
    other = distill(Views(pixels, targets, views.keys), pictures, classifier, SETTINGS, 0)
    assert other.encoder.weights_sha256 == first.encoder.weights_sha256
    assert other.history[-1]["held_out_cosine"] != first.history[-1]["held_out_cosine"]
    assert other.history[-1]["loss"] == first.history[-1]["loss"]


def test_labels_teach_nothing(views, pictures, classifier):
    none = replace(pictures, labels=np.full(N, -1))
    first = distill(views, pictures, classifier, SETTINGS, 0)
    other = distill(views, none, classifier, SETTINGS, 0)
    assert other.encoder.weights_sha256 == first.encoder.weights_sha256
    assert "held_out_probe" not in other.history[-1]


class StoppedError(Exception):
    """As a kill would end it."""


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_run_is_as_if_never_stopped(
    views, pictures, classifier, tmp_path, monkeypatch, stop_after
):
    monkeypatch.setattr(epochs, "_CHECKPOINT_SECONDS", 0.0)
    whole = distill(views, pictures, classifier, SETTINGS, 0)
    write, written = epochs.write_checkpoint, []

    def write_and_stop(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == stop_after:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_checkpoint", write_and_stop)
        with pytest.raises(StoppedError):
            distill(views, pictures, classifier, SETTINGS, 0, checkpoints=tmp_path)
    torch.rand(7)
    resumed = distill(views, pictures, classifier, SETTINGS, 0, checkpoints=tmp_path)
    assert resumed.encoder.weights_sha256 == whole.encoder.weights_sha256
    for name, value in whole.projection.items():
        assert torch.equal(resumed.projection[name], value)
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    again = distill(views, pictures, classifier, SETTINGS, 0, checkpoints=tmp_path)
    assert again.history == resumed.history


def test_seed(views, pictures, classifier):
    first, second = (distill(views, pictures, classifier, SETTINGS, seed) for seed in (0, 1))
    assert first.encoder.weights_sha256 != second.encoder.weights_sha256


def test_the_callers_random_numbers_are_left_alone(views, pictures, classifier):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distill(views, pictures, classifier, replace(SETTINGS, epochs=1), 0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("change", "seed"), [({"learning_rate": 1e-4}, 0), ({"mix": 0.1}, 0), ({}, 1)]
)
def test_checkpoint_of_another_run_is_refused(views, pictures, classifier, tmp_path, change, seed):
    short = replace(SETTINGS, epochs=1)
    distill(views, pictures, classifier, short, 0, checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="another preset, seed, data"):
        distill(views, pictures, classifier, replace(short, **change), seed, checkpoints=tmp_path)


def test_loss_that_is_not_finite(views, pictures, classifier):
    broken = replace_targets(views, float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1"):
        distill(broken, pictures, classifier, SETTINGS, 0)


def replace_targets(views, value):
    targets = views.targets.clone()
    targets[1] = value
    return Views(views.pixels, targets, views.keys)


def test_nothing_to_train_on(views, pictures, classifier):
    nothing = replace(pictures, held_out=np.arange(N) > 0)
    with pytest.raises(TrainingError, match="at least two pictures"):
        distill(views, nothing, classifier, SETTINGS, 0)
    fewer = Views(views.pixels[1:], views.targets[1:], views.keys[1:])
    with pytest.raises(TrainingError, match="39 rows of views for 40 pictures"):
        distill(fewer, pictures, classifier, SETTINGS, 0)


def test_training_pictures(colour_folder):
    dataset = load_dataset("folder", colour_folder)
    found = training_pictures([dataset, dataset], seed=0, labelled=0.25)
    assert len(found.images) == 48
    assert all("train" in path.parts and "test" not in path.parts for path in found.images)
    assert sorted(set(found.labels[:24])) == [0, 1, 2]
    assert sorted(set(found.labels[24:])) == [3, 4, 5]
    for label in range(6):
        assert found.held_out[found.labels == label].sum() == 2
    again = training_pictures([dataset, dataset], seed=0, labelled=0.25)
    assert np.array_equal(again.held_out, found.held_out)
    other = training_pictures([dataset, dataset], seed=1, labelled=0.25)
    assert not np.array_equal(other.held_out, found.held_out)


def test_pictures_without_labels(colour_folder):
    dataset = load_dataset("folder", colour_folder)
    plain = replace(dataset, labels=np.full(len(dataset), -1), classes=())
    found = training_pictures([plain], seed=0, unlabelled=0.5)
    assert found.held_out.sum() == 12
    assert (found.labels == -1).all()


def test_no_training_split(colour_folder):
    with pytest.raises(UnknownNameError, match="train"):
        training_pictures([load_dataset("folder", colour_folder).split("test")], seed=0)

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.errors import TrainingError
from cmr_hub.experiments.acmr_log import parse_acmr_log
from cmr_hub.losses import LOSSES
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training import trainer
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import PRESETS
from cmr_hub.training.trainer import train_projectors


def tensors(trained):
    return {
        f"{part}.{name}": value
        for part in ("image_projector", "text_projector")
        for name, value in getattr(trained, part).state_dict().items()
    }


def same(first, second):
    first, second = tensors(first), tensors(second)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def without_seconds(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def scripted(scores):
    """A score that gives these values in turn, and keeps the embeddings it was shown."""
    remaining, shown = list(scores), []

    def score(images, texts, labels):
        shown.append((images.copy(), texts.copy()))
        return remaining.pop(0)

    score.shown = shown
    return score


def test_learns_what_can_be_learnt(splits, preset, pairs):
    trained = train_projectors(splits, replace(preset, epochs=15), 0, validation_map)
    test = pairs(80, seed=3)
    images = trained.image_projector.embed(test.images)
    texts = trained.text_projector.embed(test.texts)
    assert validation_map(images, texts, test.labels) > 0.95
    shuffled = np.random.default_rng(0).permutation(test.labels)
    assert validation_map(images, texts, shuffled) < 0.4
    assert not trained.image_projector.training
    assert not trained.text_projector.training


def test_history(splits, preset):
    trained = train_projectors(splits, preset, 0, validation_map)
    select = [row for row in trained.history if row["phase"] == "select"]
    final = [row for row in trained.history if row["phase"] == "final"]
    assert trained.history == select + final
    assert [row["epoch"] for row in select] == list(range(1, 7))
    assert [row["epoch"] for row in final] == list(range(1, trained.epochs + 1))
    best = max(select, key=lambda row: row["validation_map"])
    assert trained.epochs == best["epoch"]
    parts = {"label", "triplet", "adversarial"}
    for row in trained.history:
        assert parts | {"adversarial/modality_accuracy", "adversarial/lambda"} <= row.keys()
        total = 0.5 * row["label"] + row["triplet"] + 0.1 * row["adversarial"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)
        assert 0 <= row["adversarial/modality_accuracy"] <= 1
        assert row["learning_rate"] == 1e-2
        assert row["seconds"] > 0
        assert all(isinstance(value, str | int | float) for value in row.values())
    assert all("validation_map" not in row for row in final)


@pytest.mark.parametrize("size", [40, 16])
def test_lambda_warms_up_per_step(splits, preset, size):
    preset = replace(preset, batch_size=size)
    history = train_projectors(splits, preset, 0, validation_map).history

    def strength(progress):
        return 2 / (1 + math.exp(-10 * progress)) - 1

    batches = [40] if size == 40 else [16, 16, 8]
    for row in history[:6]:
        steps = [(row["epoch"] - 1 + step / len(batches)) / 6 for step in range(len(batches))]
        expected = sum(
            strength(progress) * batch / 40 for progress, batch in zip(steps, batches, strict=True)
        )
        assert row["adversarial/lambda"] == pytest.approx(expected, rel=1e-5)


def test_same_seed_same_bits(splits, preset):
    first = train_projectors(splits, preset, 3, validation_map)
    torch.manual_seed(123)
    np.random.default_rng().random()
    second = train_projectors(splits, preset, 3, validation_map)
    assert same(first, second)
    assert without_seconds(first.history) == without_seconds(second.history)
    assert not same(first, train_projectors(splits, preset, 4, validation_map))


def test_scaling_is_of_the_pairs_trained_on(splits, preset):
    trained = train_projectors(splits, replace(preset, epochs=1), 0, validation_map)
    scaling = trained.image_projector.scaling
    np.testing.assert_allclose(scaling.mean, splits.refit.images.mean(axis=0), rtol=1e-5)
    trained = train_projectors(
        replace(splits, refit=None), replace(preset, epochs=1), 0, validation_map
    )
    scaling = trained.text_projector.scaling
    np.testing.assert_allclose(scaling.mean, splits.fit.texts.mean(axis=0), rtol=1e-5)


class Stopped(BaseException):
    """As a kill would end it, once a checkpoint is on the disk."""


@pytest.mark.parametrize("stop_after", [1, 4, 6, 7])
def test_resumed_run_is_as_if_never_stopped(splits, preset, tmp_path, monkeypatch, stop_after):
    preset = replace(preset, output="linear")
    scores = [0.1, 0.2, 0.15, 0.4, 0.3, 0.2]
    whole = train_projectors(splits, preset, 0, scripted(scores))
    assert whole.epochs == 4

    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0.0)
    write, written = trainer.write_checkpoint, []

    def write_and_stop(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == stop_after:
            raise Stopped

    monkeypatch.setattr(trainer, "write_checkpoint", write_and_stop)
    with pytest.raises(Stopped):
        train_projectors(splits, preset, 0, scripted(scores), checkpoints=tmp_path / "c")
    rest = scripted(scores[stop_after:])
    resumed = train_projectors(splits, preset, 0, rest, checkpoints=tmp_path / "c")
    assert same(whole, resumed)
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert resumed.epochs == whole.epochs
    # A third time there is nothing left to do but to read.
    again = train_projectors(splits, preset, 0, scripted([]), checkpoints=tmp_path / "c")
    assert same(whole, again)
    assert again.history == resumed.history


def test_interrupted_between_checkpoints(splits, preset, tmp_path, monkeypatch):
    whole = train_projectors(splits, preset, 0, validation_map)
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0.0)
    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validation_map(*arguments)

    with pytest.raises(KeyboardInterrupt):
        train_projectors(splits, preset, 0, interrupt, checkpoints=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["select.safetensors"]
    assert same(whole, train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path))


def test_checkpoints_are_not_written_at_every_epoch(splits, preset, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(trainer, "write_checkpoint", lambda *arguments: written.append(arguments))
    train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path)
    assert [path.name for path, *_ in written] == ["select.safetensors", "final.safetensors"]


@pytest.mark.parametrize(
    ("change", "seed"),
    [({}, 1), ({"learning_rate": 2e-2}, 0), ({"epochs": 7}, 0), ({"name": "other"}, 0)],
)
def test_checkpoint_of_another_run_is_refused(splits, preset, tmp_path, change, seed):
    train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="belongs to a run with another preset, seed, data"):
        train_projectors(
            splits, replace(preset, **change), seed, validation_map, checkpoints=tmp_path
        )


@pytest.mark.parametrize("part", ["fit", "validation"])
def test_checkpoint_of_other_data_is_refused(splits, preset, tmp_path, pairs, part):
    train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path)
    other = replace(splits, **{part: pairs(40, seed=7)})
    with pytest.raises(TrainingError, match="belongs to a run with another"):
        train_projectors(other, preset, 0, validation_map, checkpoints=tmp_path)


def test_damaged_checkpoint_is_told(splits, preset, tmp_path):
    train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path)
    file = tmp_path / "final.safetensors"
    content = bytearray(file.read_bytes())
    content[-20] ^= 4
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"final\.safetensors is damaged"):
        train_projectors(splits, preset, 0, validation_map, checkpoints=tmp_path)


def test_early_stopping(splits, preset):
    score = scripted([0.1, 0.5, 0.3, 0.5, 0.4, 0.9])
    own = replace(splits, refit=None)
    trained = train_projectors(own, replace(preset, patience=3), 0, score)
    assert len(trained.history) == len(score.shown) == 5
    assert trained.epochs == 2
    images, texts = score.shown[1]
    validation = splits.validation
    np.testing.assert_array_equal(trained.image_projector.embed(validation.images), images)
    np.testing.assert_array_equal(trained.text_projector.embed(validation.texts), texts)


def test_all_epochs_when_the_last_is_best(splits, preset):
    trained = train_projectors(
        replace(splits, refit=None), replace(preset, patience=1), 0, scripted(range(1, 7))
    )
    assert trained.epochs == len(trained.history) == 6


def test_scores_below_zero_choose_too(splits, preset):
    score = scripted([-5.0, -3.0, -4.0, -6.0, -7.0, -8.0])
    assert train_projectors(replace(splits, refit=None), preset, 0, score).epochs == 2


def test_refit_is_the_chosen_epochs_on_all_pairs(splits, preset):
    scores = [0.1, 0.2, 0.9, 0.3, 0.3, 0.3]
    trained = train_projectors(splits, preset, 0, scripted(scores))
    on_all = TrainingSplits(splits.refit, splits.validation, refit=None)
    expected = train_projectors(on_all, preset, 0, scripted(scores))
    assert trained.epochs == expected.epochs == 3
    assert same(trained, expected)
    final = without_seconds(trained.history)[6:]
    for row, other in zip(final, without_seconds(expected.history), strict=False):
        assert row | {"phase": "select", "validation_map": other["validation_map"]} == other


def test_without_early_stopping_all_pairs_are_trained_on(splits, preset):
    def never(*arguments):
        raise AssertionError("validation was asked")

    trained = train_projectors(splits, replace(preset, early_stopping=False), 0, never)
    assert trained.epochs == 6
    assert [row["phase"] for row in trained.history] == ["final"] * 6
    on_all = TrainingSplits(splits.refit, splits.validation, refit=None)
    assert same(trained, train_projectors(on_all, preset, 0, scripted(range(6))))


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_score_that_is_not_finite(splits, preset, score):
    with pytest.raises(TrainingError, match=f"the score of the validation pairs is {score}"):
        train_projectors(splits, preset, 0, lambda *arguments: score)


def test_loss_that_is_not_finite(splits, preset):
    wild = replace(preset, output="linear", learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss became .*lower the learning rate \(now 1e"):
        train_projectors(splits, wild, 0, lambda *arguments: 0.5)


def test_leaves_randomness_and_threads_as_they_were(splits, preset):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        train_projectors(splits, preset, 0, validation_map)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
        seen = []
        with pytest.raises(ZeroDivisionError):
            train_projectors(
                splits, preset, 0, lambda *_: seen.append(torch.get_num_threads()) or 1 / 0
            )
        assert seen == [1]
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


def batches(splits, preset, monkeypatch):
    """The positions of the pairs of every step, by epoch."""
    seen = {}
    step = trainer._Phase._step

    def watch(self, batch, schedule):
        seen.setdefault(self.progress.epoch, []).append(batch.tolist())
        return step(self, batch, schedule)

    monkeypatch.setattr(trainer._Phase, "_step", watch)
    train_projectors(splits, replace(preset, early_stopping=False, epochs=2), 0, validation_map)
    return list(seen.values())


def test_order_of_pairs(pairs, preset, monkeypatch):
    own = TrainingSplits(pairs(17, seed=0), pairs(8, seed=1), refit=None)
    first, second = batches(own, preset, monkeypatch)
    for epoch in (first, second):
        assert [len(batch) for batch in epoch] == [16, 1]
        assert sorted(place for batch in epoch for place in batch) == list(range(17))
    assert first != second

    once = batches(own, replace(preset, shuffle="once"), monkeypatch)
    assert once[0] == once[1]
    assert sorted(place for batch in once[0] for place in batch) == list(range(17))
    assert once[0][0] != list(range(16))
    ordered = batches(own, replace(preset, shuffle=False), monkeypatch)
    assert ordered == [[list(range(16)), [16]]] * 2
    dropped = batches(own, replace(preset, shuffle=False, drop_last=True), monkeypatch)
    assert dropped == [[list(range(16))]] * 2
    small = replace(preset, drop_last=True, batch_size=64)
    assert [len(batch) for (batch,) in batches(own, small, monkeypatch)] == [17, 17]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_and_can_be_resumed(pairs, preset, tmp_path, name):
    """With a last batch of a single pair."""
    own = TrainingSplits(pairs(17, seed=0), pairs(8, seed=1), refit=None)
    preset = replace(
        preset, objective={name: {}}, epochs=2, output="linear", learning_rate=1e-4, dim=8
    )
    trained = train_projectors(own, preset, 0, validation_map, checkpoints=tmp_path)
    assert all(torch.isfinite(value).all() for value in tensors(trained).values())
    again = train_projectors(own, preset, 0, validation_map, checkpoints=tmp_path)
    assert same(trained, again)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains(pairs, name):
    small = replace(PRESETS[name], epochs=2)
    fit, validation = pairs(65, seed=0), pairs(8, seed=1)
    if small.residual:  # both sides in one space
        fit, validation = (replace(part, texts=part.images[:, ::-1]) for part in (fit, validation))
        fit, validation = (
            replace(part, texts=np.ascontiguousarray(part.texts)) for part in (fit, validation)
        )
    whole = PairedFeatures(fit.images, fit.texts, fit.labels, fit.n_classes)
    trained = train_projectors(TrainingSplits(fit, validation, whole), small, 0, validation_map)
    assert all(torch.isfinite(value).all() for value in tensors(trained).values())


def test_a_loss_with_a_log_line_has_it_printed_after_every_step(pairs, tmp_path, capsys):
    preset = replace(PRESETS["acmr-released"], epochs=3, batch_size=16)
    own = TrainingSplits(pairs(33, seed=0), pairs(8, seed=1), refit=None)
    trained = train_projectors(own, preset, 0, validation_map, progress=True)
    lines = capsys.readouterr().out.splitlines()
    places = [re.match(r"Epoch: \[ (\d)\]\[   (\d)/   2\] time: ", line) for line in lines]
    assert [place.groups() for place in places] == [(e, s) for e in "123" for s in "01"]
    curve, problems = parse_acmr_log("\n".join(lines))
    assert problems == []
    for name in ("emb_loss", "domain_loss", "label_loss", "triplet_loss", "v_pos", "w_neg"):
        means = [sum(curve.columns[name][n : n + 2]) / 2 for n in (0, 2, 4)]
        assert means == pytest.approx([row[f"acmr-released/{name}"] for row in trained.history])
    train_projectors(own, preset, 0, validation_map)
    train_projectors(
        own, replace(preset, objective={"label": {}}), 0, validation_map, progress=True
    )
    assert capsys.readouterr().out == ""
